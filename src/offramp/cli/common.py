"""What several commands share: the console, progress bars, finding files in a cascade folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offramp.errors import ConfigError

if TYPE_CHECKING:
    from offramp.cascade.manifest import Manifest
    from offramp.confidence.gates.base import Gate
    from offramp.profiles.profile import Profile
    from offramp.records.records import Records

__all__ = [
    "GateKind",
    "command_line",
    "console",
    "data_name",
    "fit_kind",
    "git_commit",
    "load_profiles",
    "print_json",
    "progress_bar",
    "records_file",
    "say",
    "status_console",
]

#: what decides at the exits
GateKind = Literal["max_probability", "margin", "entropy", "logistic", "gain"]

#: results go to stdout
console = Console(highlight=False)
#: progress and remarks go to stderr, so that stdout stays clean for scripts
status_console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print a sentence to stdout; a terminal wraps it, a pipe gets one line. ``[bold]`` marks work."""
    console.print(text, soft_wrap=True)


def print_json(body: Any) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(json.dumps(body, indent=2) + "\n")


def command_line() -> str:
    """The command as typed, without folders of this machine."""
    return " ".join(["offramp", *(_without_folder(a) for a in sys.argv[1:])])


def _without_folder(argument: str) -> str:
    return Path(argument).name if os.path.isabs(argument) else argument


def git_commit() -> str | None:
    """Commit of the working folder, if it is in a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; the value is called with (done, total)."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=status_console, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update


def records_file(cascade: Path, records: Path | None) -> Path:
    """The records file of a cascade: the one given, else ``records/fp32.parquet`` in its folder."""
    return records or cascade / "records" / "fp32.parquet"


def data_name(manifest: Manifest, data: str | None) -> str:
    """The data set to read: the one given, else the one the cascade was built on.

    Raises
    ------
    ConfigError : neither is known
    """
    if data is not None:
        return data
    if manifest.data is None:
        raise ConfigError(f"the cascade {manifest.name!r} does not say what it was built on; pass --data")
    return manifest.data.name


def load_profiles(cascade: Path, tiers: tuple[str, ...]) -> dict[str, Profile]:
    """The stored profile of every tier.

    Raises
    ------
    ConfigError : one is missing
    """
    from offramp.profiles.profile import load_profile

    return {tier: load_profile(cascade / "profiles" / f"{tier}.json") for tier in tiers}


def fit_kind(kind: GateKind, records: Records, temperatures: tuple[float, ...]) -> tuple[Gate, ...] | None:
    """Gates of a kind, fitted on half of the tune rows; ``None`` for the confidence, which needs none.

    Raises
    ------
    NotEnoughSamples : too few tune rows
    """
    from offramp.records.fit_gates import fit_gates

    return None if kind == "max_probability" else fit_gates(records, temperatures, kind)
