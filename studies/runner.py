"""Find a study, run it, and print its rows."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import cast

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from offramp.errors import ConfigError
from studies.row import StudyRow

__all__ = ["FOLDER", "run_study", "study_names", "to_json", "to_table", "trainings_of"]

FOLDER = Path(__file__).parent


def study_names(folder: Path = FOLDER) -> list[str]:
    """Names of the studies: the folders with a ``study.py``, with hyphens for underscores."""
    return sorted(path.parent.name.replace("_", "-") for path in folder.glob("*/study.py"))


def run_study(name: str, folder: Path = FOLDER) -> list[StudyRow]:
    """The rows of a study, recomputed.

    Raises
    ------
    ConfigError : no such study, or it has no function ``study``
    OfframpError : whatever the study lacks, say its records
    """
    module = _module(name, folder)
    function = getattr(module, "study", None)
    if not callable(function):
        raise ConfigError(f"{module.__file__}: must define a function study() that gives rows")
    return list(cast("Callable[[], Iterable[StudyRow]]", function)())


def trainings_of(name: str, folder: Path = FOLDER) -> tuple[str, ...]:
    """The examples whose records a study reads and can train again, in order.

    Raises
    ------
    ConfigError : no such study, or it names none
    """
    names = getattr(_module(name, folder), "TRAININGS", ())
    if not names:
        raise ConfigError(f"study {name!r} trains nothing; its records come from other studies' cascades")
    return tuple(names)


def _module(name: str, folder: Path) -> ModuleType:
    name, names = name.replace("_", "-"), study_names(folder)
    if name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names) or 'none'}"
        raise ConfigError(f"no study is called {name!r}{hint}")
    package = name.replace("-", "_")
    file = folder / package / "study.py"
    spec = importlib.util.spec_from_file_location(f"studies.{package}.study", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def to_json(name: str, rows: list[StudyRow]) -> str:
    """One JSON object with the rows.

    Examples
    --------
    >>> to_json("tiny", [StudyRow("a", None, 1.0, "s", "measured")])
    '{"study": "tiny", "rows": [{"name": "a", "published": null, "ours": 1.0, "unit": "s", "how": "measured", "holds": null}]}'
    """  # noqa: E501  # one line of JSON is what a script reads
    return json.dumps({"study": name, "rows": [row.to_dict() for row in rows]})


def to_table(name: str, rows: list[StudyRow]) -> Group:
    """The rows for the terminal; how a number was obtained stands below, once for all rows that share it."""
    table = Table(title=f"Study {name}", title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("row", overflow="fold")
    for column in ("published", "ours"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("unit", "holds", "how"):
        table.add_column(column, no_wrap=True)
    notes = {how: str(number) for number, how in enumerate(dict.fromkeys(row.how for row in rows), 1)}
    for row in rows:
        holds = {None: "", True: "yes", False: "NO"}[row.holds]
        published = "–" if row.published is None else f"{row.published:g}"
        table.add_row(row.name, published, f"{row.ours:.4g}", row.unit, holds, notes[row.how])
    return Group(table, *(Text(f"{number}  {how}", style="dim") for how, number in notes.items()))
