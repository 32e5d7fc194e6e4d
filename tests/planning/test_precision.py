"""A plan made from records in int8 runs, and is scored, in int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.planning.search import search
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from tests.support.instances import Instance, make_instance


def _int8(records: Records, variant: str) -> Records:
    return replace(records, provenance=replace(records.provenance, variant=variant))


def _with_int8(profile: Profile, segments: int) -> Profile:
    """The first segments also measured in int8, twice as fast."""
    faster = tuple(
        cost.model_copy(update={"precision": "int8", "median_s": cost.median_s / 2})
        for cost in profile.segments[:segments]
    )
    return profile.model_copy(update={"segments": (*profile.segments, *faster)})


@pytest.fixture
def case() -> Instance:
    """Three segments, two tiers."""
    return make_instance(0, segments=3, tiers=2)


def test_the_first_segments_cost_what_int8_costs(case: Instance) -> None:
    profiles = {name: _with_int8(profile, 2) for name, profile in case.profiles.items()}
    exits = case.records.exits
    fp32 = cost_table(profiles, case.network, "raw", exits)
    int8 = cost_table(profiles, case.network, "raw", exits, precision="int8:2")
    device = profiles["device"]
    all_here = fp32.row_of(("device",) * 3)
    saved = fp32.cost_s[all_here] - int8.cost_s[all_here]
    half = np.cumsum([device.segments[0].median_s / 2, device.segments[1].median_s / 2, 0.0])
    np.testing.assert_allclose(saved, half[list(fp32.exit_segments)])


def test_the_plan_takes_the_precision_of_its_records(case: Instance) -> None:
    profiles = {name: _with_int8(profile, 2) for name, profile in case.profiles.items()}
    plan = search(_int8(case.records, "int8:2"), profiles, case.network, Objective()).plan
    assert plan.precision == "int8:2"


def test_a_profile_without_int8_is_refused(case: Instance) -> None:
    profiles = {name: _with_int8(profile, 1) for name, profile in case.profiles.items()}
    with pytest.raises(RecordMismatch, match="does not cover the 3 segments, one row at a time in int8:2"):
        search(_int8(case.records, "int8:2"), profiles, case.network, Objective())
