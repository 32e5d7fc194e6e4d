"""Records the shifted streams: ``python -m studies.domain_shift.record NAME.cascade`` (needs ``OFFRAMP_DATA``).

Writes ``examples/sst2/records/shift/{clean,products,typos,products-typos}.parquet``, of one build of the cascade:
*clean* holds the tune rows too, which thresholds are fitted on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from offramp.cascade.store import open_cascade
from offramp.data.registry import load_dataset
from offramp.records.collect import collect_to_file
from studies.domain_shift.perturb import SHIFTS, ShiftedText

__all__ = ["FOLDER"]

FOLDER = Path(__file__).parents[2] / "examples" / "sst2" / "records" / "shift"


def main(folder: str) -> None:
    """Record every stream with the cascade in ``folder``."""
    cascade, data = open_cascade(folder), load_dataset("sst2")
    command = f"python -m studies.domain_shift.record {Path(folder).name}"
    collect_to_file(cascade, data, FOLDER / "clean.parquet", form="float16", command=command)
    for shift in SHIFTS:
        shifted = ShiftedText.of(data, shift)
        splits = ("calibrate", "test")
        collect_to_file(cascade, shifted, FOLDER / f"{shift}.parquet", splits=splits, form="float16", command=command)


if __name__ == "__main__":
    main(*sys.argv[1:])
