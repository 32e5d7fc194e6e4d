"""``python -m benchmarks [NAME|all] [--json] [--quick] [--minutes N] [--store]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.runner import FOLDER, benchmark_names, names_of_all, run_benchmark, store, to_dict, to_table
from offramp.errors import ConfigError, OfframpError


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Run benchmarks, or list them; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.name is None:
        print("\n".join(benchmark_names(folder)))
        return 0
    try:
        if options.minutes is not None and options.name == "all":
            raise ConfigError("--minutes is for one benchmark; name it, or leave --minutes out")
        if options.quick and options.store:
            raise ConfigError("a quick run is not stored: its repeats are too few; leave out --quick or --store")
        results = _run(options, folder)
    except OfframpError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps(results[0] if options.name != "all" else {"benchmarks": results}))
    return 0


def _run(options: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    results = []
    for name in names_of_all(folder) if options.name == "all" else [options.name]:
        rows = run_benchmark(name, options.quick, folder, options.minutes)
        results.append(to_dict(name, rows))
        if not options.json:
            Console().print(to_table(name, rows))
        if options.store:
            store(name, rows, folder)
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure offramp against named baselines."
    )
    parser.add_argument("name", nargs="?", help="the benchmark, or all; none lists them")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="few repeats, to see that it works")
    parser.add_argument("--minutes", type=float, help="how long, where a benchmark lets one choose (soak)")
    parser.add_argument("--store", action="store_true", help="write results/NAME.json beside the benchmark")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
