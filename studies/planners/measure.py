"""``python -m studies.planners.measure [NAME ...]``: the profiles of the study, measured on this machine.

For every example with committed records the cascade they were made with is looked for under ``out/`` and ``examples/``,
by its fingerprint. Run it while nothing else runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import Cascade, open_cascade
from offramp.cli.common import data_name
from offramp.data.registry import load_dataset
from offramp.errors import OfframpError
from offramp.profiles.measure import measure
from offramp.records.records import load_records
from offramp.records.variant import VariantName
from offramp.runtime.probe import measure_transport
from studies.planners.cases import PROFILES, TIER, coded_files, records_files

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
SAMPLES = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and store; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m studies.planners.measure", description=__doc__)
    parser.add_argument("names", nargs="*", help="examples; default all with committed records")
    parser.add_argument("--repeats", type=int, default=400, help="at most this many timings of each piece")
    parser.add_argument("--budget-s", type=float, default=30.0, help="seconds for a cascade")
    parser.add_argument("--folder", type=Path, default=PROFILES, help="where the profiles go")
    options = parser.parse_args(arguments)
    built = list(_built())
    for name, path in records_files().items():
        if options.names and name not in options.names:
            continue
        records = load_records(path)
        if not {"tune", "calibrate"} <= set(records.split.tolist()):
            print(f"{name}: its records have no tune or calibrate rows; skipped", file=sys.stderr)
            continue
        fingerprint = records.provenance.cascade_fingerprint
        cascade = next((one for one in built if one.manifest.fingerprint == fingerprint), None)
        if cascade is None:
            print(f"{name}: its cascade is not here; skipped", file=sys.stderr)
            continue
        profile = measure(
            cascade.path,
            TIER,
            transport=measure_transport(cascade.path),
            codecs=_codecs(name),
            samples=_samples(cascade),
            repeats=options.repeats,
            budget_s=options.budget_s,
        )
        profile.save(options.folder / f"{name}.json")
        total_s = sum(cost.median_s for cost in profile.segments if cost.precision == "fp32")
        print(f"{name}: {1e3 * total_s:.2f} ms in {len(cascade.manifest.segments)} segments")
    return 0


def _codecs(name: str) -> list[str]:
    """The lossless ones, and those of the example's variants."""
    coded = [load_records(file).provenance.variant for file in coded_files(records_files()[name])]
    own = [codec for variant in coded for codec in VariantName.parse(variant).coded.values()]
    return list(dict.fromkeys(["raw", "zstd", *own]))


def _built() -> list[Cascade]:
    """Every cascade under ``out/`` and ``examples/`` that opens."""
    found = []
    for folder in sorted([*ROOT.glob("out/*/*.cascade"), *ROOT.glob("examples/*/*.cascade")]):
        try:
            found.append(open_cascade(folder))
        except OfframpError as error:
            print(f"{folder.name}: {error}; skipped", file=sys.stderr)
    return found


def _samples(cascade: Cascade) -> tuple[NDArray[Any], ...] | None:
    """Rows for real payload sizes; random ones where the data is not here."""
    try:
        dataset = load_dataset(data_name(cascade.manifest, None))
    except OfframpError as error:
        print(f"{cascade.manifest.name}: payload sizes come from random rows: {error}", file=sys.stderr)
        return None
    return tuple(np.asarray(array[:SAMPLES]) for array in dataset.inputs)


if __name__ == "__main__":
    raise SystemExit(main())
