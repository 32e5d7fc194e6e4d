"""A child process that says when it is ready."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from offramp.errors import AddressInUse, CascadeError, ConfigError, LinkDown, OfframpError, RecordMismatch

__all__ = ["ReadyProcess"]

#: which error a child's exit code stands for
_ERRORS: dict[int, type[OfframpError]] = {
    2: ConfigError,
    3: CascadeError,
    5: RecordMismatch,
    8: AddressInUse,
}


class ReadyProcess:
    """``python -m MODULE ARGUMENTS``, which writes one line of JSON to stdout once it is ready.

    It is told our process id, and ends when we do.

    Parameters
    ----------
    module : to run
    arguments : its command line
    name : what to call it in errors
    """

    def __init__(self, module: str, arguments: Sequence[str], name: str) -> None:
        self.name = name
        self.ready: dict[str, Any] = {}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the process
        command = [sys.executable, "-m", module, *arguments, "--parent-pid", str(os.getpid())]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; ``None`` while it runs."""
        return self._process.poll()

    def wait_ready(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait for its line.

        Raises
        ------
        OfframpError : it ended instead; the class follows from its exit code, the message is its own
        LinkDown : it is not ready in time
        """
        until_s = time.monotonic() + timeout_s
        stdout = self._process.stdout
        assert stdout is not None
        while (left_s := until_s - time.monotonic()) > 0:
            if select.select([stdout], [], [], left_s)[0]:
                line = stdout.readline()
                if not line:
                    raise self._failure()
                self.ready = json.loads(line)
                return self.ready
        raise LinkDown(f"{self.name}: not ready after {timeout_s:g} s")

    def _failure(self) -> OfframpError:
        code = self._process.wait(5)
        lines = self.errors().strip().splitlines() or [f"exit code {code}"]
        return _ERRORS.get(code, LinkDown)(f"{self.name}: {lines[-1].removeprefix('error: ')}")

    def errors(self) -> str:
        """What it wrote to stderr."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL) and wait for that."""
        if self.exit_code is None:
            self._process.kill()
        self._process.wait()

    def close(self, timeout_s: float = 3.0) -> int:
        """End it, by force if it does not within the time; returns its exit code."""
        self.terminate()
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
        return code
