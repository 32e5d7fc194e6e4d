"""Cascades with early exits: streams to fit on and to be judged on, and what depth costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.temperature import fit_temperature
from offramp.errors import NotEnoughSamples, OfframpError
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream, stream_of
from offramp.profiles.profile import load_profile
from offramp.records.records import Records, load_records

__all__ = ["EXAMPLES", "PRICE", "PROFILES", "Case", "load_cases"]

EXAMPLES = Path(__file__).parents[2] / "examples"
PROFILES = Path(__file__).parents[1] / "planners" / "profiles"
#: of the whole network, in units of one mistake
PRICE = 0.1


@dataclass(frozen=True)
class Case:
    """A cascade.

    Parameters
    ----------
    name : of the cascade
    tune, test : records
    temperatures : (E,) fitted on the tune rows
    depth : (E,) computing up to each exit as a share of the whole
    latency_s : (E,) measured up to each exit, where a profile of this very build is there
    """

    name: str
    tune: Records
    test: Records
    temperatures: tuple[float, ...]
    depth: NDArray[np.float64]
    latency_s: NDArray[np.float64] | None

    def stream(self, records: Records) -> Stream:
        """Rows as policies meet them."""
        return stream_of(records, temperatures=self.temperatures)

    def setting(self, threshold: float, price: float = PRICE) -> Setting:
        """In which policies start; the tune rows are there to fit on."""
        return Setting(
            (threshold,) * (self.tune.exits - 1),
            layer_costs=tuple((price * self.depth).tolist()),
            classes=self.tune.classes,
            rows=self.stream(self.tune).labelled,
        )


def load_cases(examples: Path = EXAMPLES, profiles: Path = PROFILES) -> Iterator[Case | str]:
    """Every cascade with early exits and tune rows; of the others with early exits, why not."""
    for file in sorted(examples.glob("*/records/fp32.parquet")):
        records = load_records(file)
        if records.exits < 2:
            continue
        try:
            tune, test = records.on("tune"), records.on("test")
        except NotEnoughSamples:
            yield f"{records.provenance.cascade}: no tune rows"
            continue
        flops = np.array(records.provenance.exit_flops or range(1, records.exits + 1), np.float64)
        temperatures = tuple(fit_temperature(logits, tune.labels) for logits in tune.logits)
        latency_s = _latency_s(records, profiles / f"{file.parents[1].name}.json")
        yield Case(records.provenance.cascade, tune, test, temperatures, flops / flops[-1], latency_s)


def _latency_s(records: Records, file: Path) -> NDArray[np.float64] | None:
    try:
        profile = load_profile(file)
        records.require(profile.cascade_fingerprint)
    except (OfframpError, OSError):
        return None
    upto = np.cumsum([segment.median_s for segment in profile.segments])
    return np.asarray(upto[list(profile.exit_segments)], np.float64)
