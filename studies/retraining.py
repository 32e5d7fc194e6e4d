"""Training the cascades of a study again, and recording them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from offramp.errors import ConfigError
from offramp.records.compact import LOWEST_CLASSES

__all__ = ["EXAMPLES", "OUT", "commands_of", "retrain"]

EXAMPLES, OUT = Path(__file__).parents[1] / "examples", Path("out")
_OFFRAMP = (sys.executable, "-c", "from offramp.cli.main import main; main()")

Run = Callable[[Sequence[str]], int]


def _run(command: Sequence[str]) -> int:
    return subprocess.run([*_OFFRAMP, *command], check=False).returncode


def commands_of(name: str, examples: Path = EXAMPLES, out: Path = OUT) -> list[list[str]]:
    """What ``offramp`` is asked to do for one example: build, going on where it was interrupted, then record.

    Raises
    ------
    ConfigError : the example has no config
    """
    config = examples / name / "config.toml"
    if not config.is_file():
        raise ConfigError(f"{config}: no such file; only cascades trained here can be trained again")
    classes = tomllib.loads(config.read_text()).get("model", {}).get("arguments", {}).get("classes", 0)
    cascade, records = out / name / f"{name}.cascade", out / name / "fp32.parquet"
    record = ["record", str(cascade), "--output", str(records), "--dtype", "float16"]
    return [
        ["build", str(config), "--output", str(cascade), "--resume", "--overwrite"],
        [*record, "--compact"] if classes >= LOWEST_CLASSES else record,
    ]


def retrain(names: Iterable[str], examples: Path = EXAMPLES, out: Path = OUT, run: Run = _run) -> None:
    """Train and record, one after the other; the records and ``cascade.json`` of an example change when it is done.

    Interrupted, the same call goes on. Trained to the end, delete the checkpoint below ``out`` to begin again.

    Parameters
    ----------
    names : folders below ``examples``, those whose weights others begin from first
    run : takes the arguments of ``offramp`` and returns its exit code

    Raises
    ------
    ConfigError : an example has no config, or ``offramp`` failed, which has said why
    """
    todo = [(name, commands_of(name, examples, out)) for name in names]
    for name, commands in todo:
        for command in commands:
            if code := run(command):
                raise ConfigError(f"offramp {command[0]} of {name!r} ended with {code}; see above")
        (examples / name / "records").mkdir(exist_ok=True)
        shutil.copyfile(out / name / "fp32.parquet", examples / name / "records" / "fp32.parquet")
        shutil.copyfile(out / name / f"{name}.cascade" / "cascade.json", examples / name / "cascade.json")
