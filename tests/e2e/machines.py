"""Machines for tests: network namespaces joined by virtual cables, each with a folder and a stand-in for systemd."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["Machine", "cable", "can_have_machines", "machines"]

#: what ``systemctl`` does here: units are started as processes and stopped as systemd stops them
_SYSTEMCTL = """#!{python}
import os, pathlib, signal, subprocess, sys, time
verb, unit = [word for word in sys.argv[1:] if not word.startswith("--")]
folder = pathlib.Path({folder!r})
name, _, instance = unit.partition("@")
pid_file = folder / (unit + ".pid")
if verb in ("start", "enable"):
    lines = (folder / (name + ("@" if instance else "") + ".service")).read_text().splitlines()
    command = next(line for line in lines if line.startswith("ExecStart=")).removeprefix("ExecStart=")
    with (folder / (unit + ".log")).open("ab") as log:
        process = subprocess.Popen(command.replace("%i", instance).split(), stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
    pid_file.write_text(str(process.pid))
elif verb == "stop":
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    for _ in range(1000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    else:
        raise SystemExit("it does not stop")
    pid_file.unlink()
else:
    raise SystemExit(f"no {{verb}} here")
"""


class Machine:
    """A network namespace and a folder.

    Parameters
    ----------
    name : of the machine
    folder : stands for ``/srv/offramp``
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.space = f"offramp-{os.getpid()}-{name}"
        folder.mkdir()
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "systemctl").write_text(_SYSTEMCTL.format(python=sys.executable, folder=str(folder)))
        (bin_folder / "systemctl").chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Its commands first on the path."""
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}

    def here(self, text: str) -> str:
        """A text of the page, with this machine's places."""
        found = text.replace("/srv/offramp", str(self.folder))
        return re.sub(r"/opt/offramp/bin/", f"{Path(sys.executable).parent}/", found)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """A block of shell, stopped at its first error."""
        command = ["ip", "netns", "exec", self.space, "bash", "-euo", "pipefail", "-c", self.here(script)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=150, env=self.environment, cwd=self.folder
        )

    def begin(self, *command: str) -> subprocess.Popen[bytes]:
        """A process that goes on."""
        return subprocess.Popen(["ip", "netns", "exec", self.space, *command], env=self.environment)

    def end(self) -> None:
        """End its services, and the namespace."""
        for file in self.folder.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.space], check=False, capture_output=True)


def can_have_machines() -> bool:
    """Whether namespaces can be made here: Linux, root, and ``ip``."""
    name = f"offramp-{os.getpid()}-try"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return True


@contextlib.contextmanager
def machines(folder: Path, *names: str) -> Iterator[Mapping[str, Machine]]:
    """So many machines, with loopback and no way to each other yet."""
    found = {name: Machine(name, folder / name) for name in names}
    try:
        for machine in found.values():
            _ip("netns", "add", machine.space)
            _ip("-n", machine.space, "link", "set", "lo", "up")
        yield found
    finally:
        for machine in found.values():
            machine.end()


def cable(one: Machine, address: str, other: Machine, other_address: str, rate: str) -> None:
    """Join two machines by a link of a rate, such as ``20mbit``."""
    ends = [(one, address, f"to-{other.name}"), (other, other_address, f"to-{one.name}")]
    (_, _, first), (_, _, second) = ends
    _ip("link", "add", first, "netns", one.space, "type", "veth", "peer", "name", second, "netns", other.space)
    for machine, at, device in ends:
        _ip("-n", machine.space, "address", "add", f"{at}/24", "dev", device)
        _ip("-n", machine.space, "link", "set", device, "up")
        shape = ["tc", "-n", machine.space, "qdisc", "add", "dev", device, "root", "tbf"]
        subprocess.run([*shape, "rate", rate, "burst", "64kb", "latency", "400ms"], check=True, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr}")
