"""The streams: clean and shifted rows of one build of the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.temperature import fit_temperature
from offramp.errors import RecordMismatch
from offramp.policies.stream import Stream, stream_of
from offramp.records.records import Records, load_records
from studies.domain_shift.perturb import SHIFTS
from studies.domain_shift.record import FOLDER

__all__ = ["Streams", "load_streams"]


@dataclass(frozen=True)
class Streams:
    """Tune rows to fit on, and by name the streams (*clean* first), all of the same rows.

    Nothing is certified here, so the calibrate rows stand in the streams beside the test rows.
    """

    tune: Records
    temperatures: tuple[float, ...]
    records: dict[str, Records]

    def stream(self, name: str) -> Stream:
        """As policies meet it."""
        return stream_of(self.records[name], temperatures=self.temperatures)

    @property
    def labelled(self) -> Stream:
        """The tune rows."""
        return stream_of(self.tune, temperatures=self.temperatures)


def load_streams(folder: Path = FOLDER) -> Streams:
    """Read them.

    Raises
    ------
    RecordMismatch : a stream is missing, or of another build or other rows than the clean one
    """
    clean = load_records(folder / "clean.parquet")
    tune, plain = clean.on("tune"), clean.on("calibrate", "test")
    found = {"clean": plain}
    for shift in SHIFTS:
        records = load_records(folder / f"{shift}.parquet")
        records.require(clean.provenance.cascade_fingerprint)
        if not _same(records.row, plain.row):
            raise RecordMismatch(f"{shift}: other rows than the clean stream; record them again")
        found[shift] = records
    return Streams(tune, tuple(fit_temperature(logits, tune.labels) for logits in tune.logits), found)


def _same(one: NDArray[np.int64], two: NDArray[np.int64]) -> bool:
    return np.array_equal(one, two)
