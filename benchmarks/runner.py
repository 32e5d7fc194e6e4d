"""Find a benchmark, run it, print and store its rows."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.machine import machine_kind, versions
from benchmarks.row import BenchmarkRow
from offramp.cascade.store import write_text_atomic
from offramp.errors import ConfigError

__all__ = ["FOLDER", "benchmark_names", "names_of_all", "run_benchmark", "store", "to_dict", "to_table"]

FOLDER = Path(__file__).parent


def benchmark_names(folder: Path = FOLDER) -> list[str]:
    """Names of the benchmarks: the modules that define ``run``."""
    return sorted(file.stem for file in folder.glob("*.py") if _defines_run(file))


def names_of_all(folder: Path = FOLDER) -> list[str]:
    """Names of those that run together: all but the modules that say ``BY_NAME = True``."""
    return [name for name in benchmark_names(folder) if not _by_name(folder / f"{name}.py")]


def run_benchmark(
    name: str, quick: bool = False, folder: Path = FOLDER, minutes: float | None = None
) -> list[BenchmarkRow]:
    """The rows of a benchmark, measured now.

    Parameters
    ----------
    quick : few repeats, to see that it works
    minutes : how long, for those that let one choose

    Raises
    ------
    ConfigError : no such benchmark, it takes no minutes, or a row lacks a key
    OfframpError : whatever the benchmark lacks
    """
    names = benchmark_names(folder)
    if name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join([*names, 'all'])}"
        raise ConfigError(f"no benchmark is called {name!r}{hint}")
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", folder / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ConfigError(f"{folder / name}.py: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and child processes look their module up
    spec.loader.exec_module(module)
    chosen = {} if minutes is None else {"minutes": minutes}
    if chosen and "minutes" not in inspect.signature(module.run).parameters:
        raise ConfigError(f"benchmark {name!r} takes as long as it takes; leave --minutes out")
    return [BenchmarkRow.of(row) for row in module.run(quick=quick, **chosen)]


def _by_name(file: Path) -> bool:
    tree = ast.parse(file.read_text(), str(file))
    return any(
        isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "BY_NAME" for t in node.targets)
        for node in tree.body
    )


def _defines_run(file: Path) -> bool:
    tree = ast.parse(file.read_text(), str(file))
    return any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body)


def to_dict(name: str, rows: list[BenchmarkRow]) -> dict[str, object]:
    """The rows as a JSON object has them."""
    return {"benchmark": name, "rows": [row.to_dict() for row in rows]}


def store(name: str, rows: list[BenchmarkRow], folder: Path = FOLDER) -> Path:
    """Write ``results/NAME.json`` with machine kind, versions and date, atomically; returns the file."""
    body = {
        **to_dict(name, rows),
        "machine": machine_kind(),
        "versions": versions(),
        "measured_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    file = folder / "results" / f"{name}.json"
    write_text_atomic(file, json.dumps(body, indent=2) + "\n")
    return file


def to_table(name: str, rows: list[BenchmarkRow]) -> Group:
    """The rows for the terminal; how they were measured stands below."""
    table = Table(title=f"Benchmark {name}", title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("row", overflow="fold")
    for column in ("baseline", "ours"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True, style="bold")
    notes = []
    for row in rows:
        table.add_row(row.name, f"{row.baseline:.4g}", f"{row.ours:.4g}", row.unit, f"{row.ratio:.3f}")
        how = "; ".join(part for part in (row.how, row.notes) if part)
        notes.append(Text(f"{row.name}: {how}", style="dim"))
    return Group(table, *notes)
