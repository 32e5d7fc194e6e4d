"""Planners without exits choose the best of their own space: Neurosurgeon, DADS, Scission."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.network import Network, Tier
from offramp.planning.costs import all_placements
from offramp.planning.objective import Objective
from offramp.planning.pin import Pin
from offramp.planning.published.dads import Dads, DadsHeavy, bottleneck_s
from offramp.planning.published.neurosurgeon import Neurosurgeon
from offramp.planning.published.scission import Scission
from offramp.profiles.energy import energy_model
from tests.planning.published.oracle import cost_of, cuts, tune_latency
from tests.support.instances import Instance, make_instance

CASES = {"seed": st.integers(0, 2**20), "segments": st.integers(1, 5), "tiers": st.integers(1, 3)}
GOAL = Objective()


def placements_of(case: Instance) -> list[tuple[str, ...]]:
    names, segments = case.network.tier_names, len(case.profiles["device"].segments)
    return [tuple(names[tier] for tier in row) for row in all_placements(segments, len(names))]


@settings(max_examples=40, deadline=None)
@given(**CASES)
def test_neurosurgeon_and_dads_take_the_fastest_cut(seed: int, segments: int, tiers: int) -> None:
    case = make_instance(seed, segments, tiers, min(2, segments), codecs=("raw", "zstd"))
    last = case.records.exits - 1
    names = case.network.tier_names
    scan = [cost_of(case, p, codec, last) for codec in ("raw", "zstd") for p in cuts(segments, names[0], names[-1])]
    for planner in (Neurosurgeon(), Dads()):
        plan = planner.plan(case.records, case.profiles, case.network, GOAL)
        assert set(plan.thresholds) <= {None}
        assert tune_latency(case, plan)[0] == pytest.approx(min(scan), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(**CASES)
def test_scission_takes_the_fastest_placement(seed: int, segments: int, tiers: int) -> None:
    case = make_instance(seed, segments, tiers, min(2, segments), codecs=("raw", "zstd"))
    last = case.records.exits - 1
    plan = Scission().plan(case.records, case.profiles, case.network, GOAL)
    scan = [cost_of(case, p, codec, last) for codec in ("raw", "zstd") for p in placements_of(case)]
    assert tune_latency(case, plan)[0] == pytest.approx(min(scan))


def test_scission_keeps_its_pins() -> None:
    case = make_instance(8, segments=4, tiers=3)
    for pins in (["0=device", "3!=cloud"], ["2=edge"]):
        plan = Scission(pins=pins).plan(case.records, case.profiles, case.network, GOAL)
        for pin in pins:
            segment, tier = (int(pin[0]), pin.split("=")[1])
            assert (plan.placement[segment] == tier) == ("!" not in pin)
    with pytest.raises(PlanInfeasible, match="pin 1=device contradicts 0=cloud"):
        Scission(pins=["0=cloud", "1=device"]).plan(case.records, case.profiles, case.network, GOAL)
    with pytest.raises(ConfigError, match="numbered 0 to 3"):
        Scission(pins=["9=device"]).plan(case.records, case.profiles, case.network, GOAL)
    with pytest.raises(ConfigError, match="unknown tier 'devise'"):
        Scission(pins=["1=devise"]).plan(case.records, case.profiles, case.network, GOAL)
    with pytest.raises(ConfigError, match="SEGMENT=TIER"):
        Scission(pins=["on the device"])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), segments=st.integers(1, 5), tiers=st.integers(2, 3))
def test_heavy_load_has_the_lowest_bottleneck(seed: int, segments: int, tiers: int) -> None:
    case = make_instance(seed, segments, tiers, 1)
    planner = DadsHeavy()
    plan = planner.plan(case.records, case.profiles, case.network, GOAL)
    space = planner.space(case.records, case.profiles, case.network, GOAL)
    slowest = bottleneck_s(space)
    names = [tuple(case.network.tier_names[tier] for tier in row) for row in space.placements]
    assert slowest[names.index(plan.placement)] == pytest.approx(slowest.min())
    for row, placement in enumerate(names):  # what the stages do is part of what a sample waits for
        assert slowest[row] <= cost_of(case, placement, "raw", 0) + 1e-12
        run = placement.count("device")
        device = sum(cost.median_s for cost in case.profiles["device"].segments[:run])
        assert slowest[row] >= device - 1e-12


def test_a_pair_of_tiers_can_be_named() -> None:
    case = make_instance(8, segments=4, tiers=3)
    plan = Neurosurgeon(pair=("edge", "cloud")).plan(case.records, case.profiles, case.network, GOAL)
    assert set(plan.placement) <= {"edge", "cloud"}
    least = min(cost_of(case, p, "raw", 2) for p in cuts(4, "edge", "cloud"))
    assert tune_latency(case, plan)[0] == pytest.approx(least)
    assert set(Dads(pair=("edge", "cloud")).plan(case.records, case.profiles, case.network, GOAL).placement) <= {
        "edge",
        "cloud",
    }
    with pytest.raises(ConfigError, match="name the nearer one first"):
        Neurosurgeon(pair=("cloud", "edge")).plan(case.records, case.profiles, case.network, GOAL)
    with pytest.raises(ConfigError, match="unknown tier"):
        Neurosurgeon(pair=("cloud", "moon")).plan(case.records, case.profiles, case.network, GOAL)


@pytest.mark.parametrize("kind", [Neurosurgeon, Dads, DadsHeavy, Scission])
def test_a_deadline_is_met_or_refused(kind: type[Neurosurgeon | Dads | DadsHeavy | Scission]) -> None:
    case = make_instance(8, segments=4, tiers=3)
    fastest = Scission().plan(case.records, case.profiles, case.network, GOAL)
    two_tiers = Neurosurgeon().plan(case.records, case.profiles, case.network, GOAL)
    least = tune_latency(case, fastest if kind is Scission else two_tiers)[0]
    plan = kind().plan(case.records, case.profiles, case.network, Objective(deadline_s=least * 1.001))
    assert tune_latency(case, plan)[0] <= least * 1.001
    with pytest.raises(PlanInfeasible, match=f"{kind.name}: no plan answers within .* its fastest needs"):
        kind().plan(case.records, case.profiles, case.network, Objective(deadline_s=least * 0.999))


def with_energy(case: Instance, model: str | None) -> Instance:
    tiers = (Tier("device", energy=model), *case.network.tiers[1:])
    return Instance(case.records, case.profiles, Network(tiers, case.network.links), case.temperatures)


def test_neurosurgeon_saves_the_phone_energy() -> None:
    objective = Objective(minimise="energy")
    case = with_energy(make_instance(8, segments=4, tiers=2), "raspberry-pi-3b")
    plan = Neurosurgeon(codecs=["raw"]).plan(case.records, case.profiles, case.network, objective)
    model, link = energy_model("raspberry-pi-3b"), case.network.links[0]

    def joules(placement: tuple[str, ...]) -> float:
        run = [cost for cost, tier in zip(case.profiles["device"].segments, placement, strict=True) if tier == "device"]
        total = sum(model.segment_energy_j(cost) for cost in run)
        if "cloud" in placement or "edge" in placement:
            device = case.profiles["device"]
            sent = device.payload(len(run), "raw").payload_bytes + device.transport.request_overhead_bytes
            total += model.sent_energy_j(sent, link.transfer_s(sent))
        return total

    assert joules(plan.placement) == pytest.approx(min(joules(p) for p in cuts(4, "device", "edge")))
    bare = with_energy(case, None)
    with pytest.raises(ConfigError, match="names no energy model"):
        Neurosurgeon().plan(bare.records, bare.profiles, bare.network, objective)
    with pytest.raises(ConfigError, match="minimises latency, not energy"):
        Scission().plan(case.records, case.profiles, case.network, objective)


def test_codecs_that_change_tensors_are_no_choice() -> None:
    case = make_instance(8)
    with pytest.raises(ConfigError, match="give records made with it"):
        Neurosurgeon(codecs=["uint8"]).plan(case.records, case.profiles, case.network, GOAL)


def test_without_exits_a_certificate_is_not_needed() -> None:
    case = make_instance(8)
    plan = Dads().plan(case.records, case.profiles, case.network, Objective(confidence=0.95))
    assert plan.predicted is not None
    assert plan.predicted.accuracy_loss == 0.0
    assert np.isclose(sum(term.mean_s for term in plan.predicted.terms), plan.predicted.mean_latency_s)


def sized(case: Instance, device_bytes: float) -> Instance:
    """Segments of 100 bytes each, and so much room on the device."""
    profiles = {
        name: profile.model_copy(
            update={"segments": tuple(cost.model_copy(update={"model_bytes": 100}) for cost in profile.segments)}
        )
        for name, profile in case.profiles.items()
    }
    tiers = (Tier("device", memory_bytes=device_bytes), *case.network.tiers[1:])
    return Instance(case.records, profiles, Network(tiers, case.network.links), case.temperatures)


@pytest.mark.parametrize("kind", [Neurosurgeon, Dads, DadsHeavy, Scission])
def test_limits_on_placements_hold_for_every_method(kind: type[Neurosurgeon | Dads | DadsHeavy | Scission]) -> None:
    for seed in range(6):
        case = sized(make_instance(seed, segments=4, tiers=2), 250)
        tables = (case.records, case.profiles, case.network)
        plan = kind().plan(*tables, Objective())
        assert plan.placement.count("device") <= 2
        least = min(cost_of(case, p, "raw", 2) for p in cuts(4, "device", "edge") if p.count("device") <= 2)
        assert kind is DadsHeavy or tune_latency(case, plan)[0] == pytest.approx(least, rel=1e-6)
        assert kind().plan(*tables, Objective(input_stays=True)).placement[0] == "device"
        pinned = kind().plan(*tables, Objective(pins=(Pin(segment=1, tier="device"),)))
        assert pinned.placement == ("device", "device", "edge", "edge")
        with pytest.raises(PlanInfeasible, match=f"{kind.name}: none of its .* placements keeps"):
            kind().plan(*tables, Objective(pins=(Pin(segment=3, tier="device"),)))


def test_arrivals_switch_dads_to_heavy_load() -> None:
    switched = 0
    for seed in range(30):
        case = make_instance(seed, segments=4, tiers=2, exits=1)
        tables = (case.records, case.profiles, case.network)
        space = Dads().space(*tables, GOAL)
        slowest, latency = bottleneck_s(space), space.cost_s[:, -1]
        most_hz, light_hz = 1 / slowest.min(), 1 / slowest[latency.argmin()]
        assert Dads().plan(*tables, Objective(arrival_hz=light_hz * 0.99)).placement == (
            Dads().plan(*tables, GOAL).placement
        )
        with pytest.raises(PlanInfeasible, match=r"sustains .* its fastest bottleneck allows"):
            Dads().plan(*tables, Objective(arrival_hz=most_hz * 1.01))
        if light_hz < most_hz * 0.9:
            switched += 1
            rate = Objective(arrival_hz=most_hz * 0.99)
            assert Dads().plan(*tables, rate).placement == DadsHeavy().plan(*tables, rate).placement
    assert switched > 0
    with pytest.raises(ConfigError, match="knows no rate of arrivals"):
        Neurosurgeon().plan(*tables, Objective(arrival_hz=1.0))
