"""``python -m studies [NAME] [--json] [--retrain]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from offramp.errors import OfframpError
from studies.retraining import retrain
from studies.runner import FOLDER, run_study, study_names, to_json, to_table, trainings_of


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Run a study, or list them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m studies", description="Recompute a study from committed records.")
    parser.add_argument("name", nargs="?", help="the study; none lists them")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--retrain", action="store_true", help="first train and record its cascades again: hours")
    options = parser.parse_args(arguments)
    if options.name is None:
        print("\n".join(study_names(folder)))
        return 0
    try:
        if options.retrain:
            retrain(trainings_of(options.name, folder))
        rows = run_study(options.name, folder)
    except OfframpError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if options.json:
        print(to_json(options.name, rows))
    else:
        Console().print(to_table(options.name, rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
