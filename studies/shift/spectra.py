"""Radial spectra of the rows the shift records hold: what the guard and the detector look at.

They depend on the images alone, so one file serves every cascade on CIFAR-10. ``python -m studies.shift.spectra``
makes it again from the images (``OFFRAMP_DATA``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.spectrum import radial_spectrum
from offramp.data.registry import load_source
from offramp.errors import RecordMismatch
from offramp.records.records import Records, load_records

__all__ = ["FILE", "LEVELS", "TUNED", "Spectra", "key"]

FILE = Path(__file__).with_name("spectra.npz")
DATA = "cifar10-jpeg"
#: on test rows, mildest first; blur in pixels, noise in grey levels
LEVELS = ("none", "blur0.5", "blur1", "blur1.5", "blur2", "blur3", "noise5", "noise10", "noise20", "noise40")
#: on tune rows too: what the experts are fitted on
TUNED = ("none", "blur1", "blur2", "noise10", "noise20")

Floats = NDArray[np.floating]


def key(split: str, level: str) -> str:
    """Name of an array of the file.

    Examples
    --------
    >>> key("test", "blur1")
    'test+blur1'
    """
    return f"{split}+{level}"


class Spectra:
    """Spectra by split and level, looked up by row."""

    def __init__(self, file: Path = FILE) -> None:
        if not file.is_file():
            raise RecordMismatch(f"{file}: no spectra; make them with python -m studies.shift.spectra")
        with np.load(file, allow_pickle=False) as arrays:
            self._arrays: dict[str, NDArray[np.generic]] = {name: arrays[name] for name in arrays.files}

    def of(self, records: Records, level: str) -> NDArray[np.float64]:
        """(n, bands) spectra of the rows of records of one split.

        Raises
        ------
        RecordMismatch : the file has no such split or level, or lacks a row
        """
        split = str(records.split[0])
        known, spectra = self._arrays.get(f"{split}-rows"), self._arrays.get(key(split, level))
        if known is None or spectra is None:
            raise RecordMismatch(f"{FILE.name} has no {level} spectra of {split} rows; make them again")
        order = np.argsort(known)
        at = order[np.minimum(np.searchsorted(known, records.row, sorter=order), len(known) - 1)]
        if not np.array_equal(known[at], records.row):
            raise RecordMismatch(f"{FILE.name} lacks some {split} rows of the records; make it again")
        return np.asarray(spectra[at], np.float64)


def make(records: Records, every_test: int = 2) -> dict[str, NDArray[np.generic]]:
    """The arrays of the file, from the images, for the tune, calibrate and every second test row of ``records``."""
    arrays: dict[str, NDArray[np.generic]] = {}
    levels = {"tune": TUNED, "calibrate": ("none",), "test": LEVELS}
    for split, names in levels.items():
        rows = records.on(split).row[:: every_test if split == "test" else 1]
        arrays[f"{split}-rows"] = rows.astype(np.int32)
        for level in names:
            source = load_source(DATA if level == "none" else f"{DATA}+{level}")
            parts = [radial_spectrum(source.rows(part)[0]) for part in np.array_split(rows, 10)]
            arrays[key(split, level)] = np.concatenate(parts).astype(np.float16)
    return arrays


if __name__ == "__main__":
    examples = Path(__file__).parents[2] / "examples"
    np.savez_compressed(FILE, **make(load_records(examples / "cifar10" / "records" / "fp32.parquet")))  # type: ignore[arg-type]  # its stubs take the keyword allow_pickle for an array
