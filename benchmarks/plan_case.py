"""Planning problems of chosen size, made up from a seed: variants in two precisions, several codecs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np

from offramp.links.network import Network
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from tests.support.instances import Instance, make_instance

__all__ = ["CODECS", "PlanCase", "all_codecs", "with_hard_rows"]

CODECS = ("raw", "a", "b", "c")
SEED = 22


@dataclass(frozen=True)
class PlanCase:
    """What a search over fp32 and int8 needs; the fp32 records come first."""

    records: tuple[Records, ...]
    profiles: dict[str, Profile]
    network: Network
    temperatures: tuple[float, ...]

    @classmethod
    def of(cls, segments: int = 50, tiers: int = 3, exits: int = 5, rows: int = 5_000, variants: int = 2) -> PlanCase:
        """Some rows are harder than others; int8 runs in 0.4 to 0.9 of the time and answers a little worse."""
        case = with_hard_rows(make_instance(SEED, segments, tiers, exits, rows, CODECS))
        several = (case.records, _coarse(case.records, segments))[:variants]
        profiles = {name: _with_int8(profile) for name, profile in case.profiles.items()}
        return cls(several, profiles, case.network, case.temperatures)


@contextmanager
def all_codecs() -> Iterator[None]:
    """Let a search take the made-up codecs: it takes installed ones only, and too few of these are lossless."""
    with patch("offramp.planning.problem.lossless_ways", lambda profiles, wanted: [(name, {}) for name in CODECS]):
        yield


def with_hard_rows(case: Instance) -> Instance:
    """The same with logits that fall short on hard rows, so that many settings lie on the hull."""
    rng, records = np.random.default_rng(0), case.records
    logits = rng.normal(size=records.logits.shape)
    strength = np.linspace(2.5, 5.0, records.exits)[:, None] * (1.0 - 0.6 * rng.random(len(records.labels)))
    logits[:, np.arange(len(records.labels)), records.labels] += strength
    return replace(case, records=replace(records, logits=logits.astype(np.float32)))


def _coarse(records: Records, segments: int) -> Records:
    noise = np.random.default_rng(1).normal(0.0, 0.1, records.logits.shape)
    provenance = replace(records.provenance, variant=f"int8:{segments}")
    return replace(records, logits=(records.logits + noise).astype(np.float32), provenance=provenance)


def _with_int8(profile: Profile) -> Profile:
    factor = np.random.default_rng(2).uniform(0.4, 0.9, len(profile.segments)).tolist()
    faster = [
        cost.model_copy(update={"precision": "int8", "median_s": cost.median_s * part})
        for cost, part in zip(profile.segments, factor, strict=True)
    ]
    return profile.model_copy(update={"segments": (*profile.segments, *faster)})
