"""Every objective, constraint and variant: the search equals a loop over everything, and re-planning the search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.confidence.one_threshold import with_one_threshold
from offramp.confidence.settings import GateSettings, exits_taken
from offramp.errors import ConfigError, PlanInfeasible, RecordMismatch
from offramp.links.network import Network
from offramp.planning.costs import CostTable, cost_table
from offramp.planning.objective import Objective, Weights
from offramp.planning.plan import Plan
from offramp.planning.replanner import Replanner
from offramp.planning.search import search
from offramp.profiles.energy import energy_model
from offramp.profiles.profile import PayloadCost, Profile
from offramp.records.certify import check
from offramp.records.confidences import confidences
from offramp.records.records import Records
from tests.support.instances import Instance, make_instance

MOST = 60
JOULES = "raspberry-pi-3b"


def rich(seed: int, segments: int, tiers: int, exits: int, coded: bool, int8: bool) -> tuple[Instance, list[Records]]:
    """An instance with prices, energy, sizes, and records of variants."""
    case = make_instance(seed, segments, tiers, min(exits, segments), 40, ("raw", "zstd"))
    rng = np.random.default_rng(seed + 1)
    names = [*case.network.tiers]
    priced = tuple(
        replace(tier, price_per_s=float(rng.uniform(0, 1)), energy=JOULES if i == 0 else None)
        for i, tier in enumerate(names)
    )
    links = tuple(replace(link, price_per_byte=float(rng.uniform(0, 1e-5))) for link in case.network.links)
    profiles = {name: _enriched(profile, rng, coded) for name, profile in case.profiles.items()}
    variants = [case.records]
    if int8:
        variants.append(_variant(case.records, rng, "int8:1"))
    if coded and segments > 1:
        variants.append(_variant(case.records, rng, "fp32+uint8@1"))
    return replace(case, network=Network(priced, links, "made-up"), profiles=profiles), variants


def _enriched(profile: Profile, rng: np.random.Generator, coded: bool) -> Profile:
    segments = tuple(
        cost.model_copy(update={"macs": int(rng.integers(1, 10**7)), "model_bytes": int(rng.integers(1, 1000))})
        for cost in profile.segments
    )
    int8 = tuple(
        cost.model_copy(
            update={"precision": "int8", "median_s": cost.median_s * 0.6, "model_bytes": cost.model_bytes // 4}
        )
        for cost in segments
        if cost.model_bytes is not None
    )
    lossy = [
        PayloadCost(cut=c.cut, codec="uint8", payload_bytes=c.payload_bytes / 4, encode_s=1e-5, decode_s=1e-5)
        for c in profile.payloads
        if c.codec == "raw"
    ]
    payloads = (*profile.payloads, *(lossy if coded else ()))
    return profile.model_copy(update={"segments": (*segments, *int8), "payloads": payloads})


def _variant(records: Records, rng: np.random.Generator, name: str) -> Records:
    noisy = records.logits + rng.normal(0, 0.3, records.logits.shape).astype(np.float32)
    return replace(records, logits=noisy, provenance=replace(records.provenance, variant=name))


@dataclass
class Point:
    """One combination, looked at by itself."""

    value: float
    loss: float
    late: float
    busy_s: float
    fits: bool


def everything(case: Instance, variants: list[Records], goal: Objective) -> Iterator[Point]:
    """Brute force: every variant, codec, placement and setting, from first principles."""
    reference = variants[0].on("tune").correct[-1].mean()
    for records in variants:
        precision, _, at = records.provenance.variant.partition("+")
        coded = {1: "uint8"} if at else {}
        tune = records.on("tune")
        confidence = confidences(tune, case.temperatures)
        grid = with_one_threshold(GateSettings.build(confidence, tune.correct, MOST), confidence, tune.correct)
        taken = [exits_taken(confidence, setting) for setting in grid.thresholds]
        for codec in ("raw", "zstd"):
            table = cost_table(case.profiles, case.network, codec, records.exits, precision=precision, coded=coded)
            for row in range(len(table.placements)):
                fits = _fits(case, table, row, goal, precision)
                per_exit = [_paid(case, table, row, e, precision) for e in range(records.exits)]
                for exits in taken:
                    correct = tune.correct[exits, np.arange(len(tune))]
                    yield _point(per_exit, exits, float(reference - correct.mean()), goal, fits)


def _fits(case: Instance, table: CostTable, row: int, goal: Objective, precision: str) -> bool:
    names = table.placement_names(row)
    for pin in goal.pins:
        if (names[pin.segment] == pin.tier) != pin.there:
            return False
    if goal.input_stays and names[0] != case.network.tier_names[0]:
        return False
    for tier in case.network.tiers:
        held = 0
        for segment, name in enumerate(names):
            kind = "int8" if precision == "int8:1" and segment == 0 else "fp32"
            if name == tier.name:
                held += next(
                    c.model_bytes or 0
                    for c in case.profiles[name].segments
                    if c.segment == segment and c.precision == kind
                )
        if held > tier.memory_bytes:
            return False
    return True


def _paid(case: Instance, table: CostTable, row: int, exit_index: int, precision: str) -> dict[str, float]:
    """Seconds, joules, bytes, money of a sample that leaves by an exit, and the longest stage."""
    terms = dict(zip(table.names, table.terms_s[row, exit_index].tolist(), strict=True))
    latency = sum(terms.values())
    model = energy_model(JOULES)
    busy = [terms[f"compute:{t.name}"] + table.codec_s[row, exit_index, i] for i, t in enumerate(case.network.tiers)]
    up, down = table.up_bytes[row, exit_index], table.down_bytes[row, exit_index]
    price = sum(t.price_per_s * seconds for t, seconds in zip(case.network.tiers, busy, strict=True))
    stages = [*busy]
    for i, link in enumerate(case.network.links):
        price += link.price_per_byte * (up[i] + down[i])
        stages += [8 * up[i] / link.bandwidth_bps, 8 * down[i] / link.bandwidth_bps]
    energy = model.busy_w * busy[0] + model.idle_w * (latency - busy[0])
    if case.network.links:
        energy += model.sent_energy_j(up[0], 8 * up[0] / case.network.links[0].bandwidth_bps)
    sent = float(up[0]) if len(up) else 0.0
    return {"latency": latency, "energy": energy, "bytes": sent, "price": price, "stages": np.array(stages)}


def _point(per_exit: list[dict[str, float]], exits: np.ndarray, loss: float, goal: Objective, fits: bool) -> Point:
    latency = np.array([one["latency"] for one in per_exit])[exits]
    if goal.minimise == "latency_quantile":
        value = float(np.sort(latency)[int(np.ceil(goal.quantile * len(latency) - 1e-9)) - 1])
    elif goal.weights is not None:
        weights = goal.weights
        each = [
            weights.latency_s * one["latency"]
            + weights.energy_j * one["energy"]
            + weights.bytes * one["bytes"]
            + weights.price * one["price"]
            for one in per_exit
        ]
        value = float(np.array(each)[exits].mean())
    else:
        value = float(np.array([one[goal.minimise] for one in per_exit])[exits].mean())
    late = 0.0 if goal.deadline_s is None else float((latency > goal.deadline_s + 1e-12).mean())
    stages = np.array([one["stages"] for one in per_exit])[exits].mean(0)
    return Point(value, loss, late, float(stages.max()), fits)


def best_of(points: Iterator[Point], goal: Objective) -> float:
    least = np.inf
    for point in points:
        fine = point.fits and point.loss <= goal.accuracy_loss + 1e-9
        fine = fine and point.late <= 1 - goal.deadline_quantile + 1e-9
        fine = fine and (goal.arrival_hz is None or point.busy_s <= 1 / goal.arrival_hz + 1e-12)
        if fine:
            least = min(least, point.value)
    return least


def value_on_tune(case: Instance, variants: list[Records], plan: Plan, goal: Objective) -> Point:
    records = next(one for one in variants if one.provenance.variant == plan.variant)
    tune = records.on("tune")
    table = cost_table(
        case.profiles, case.network, plan.codec, records.exits, precision=plan.precision, coded=plan.coded
    )
    row = table.row_of(plan.placement)
    per_exit = [_paid(case, table, row, e, plan.precision) for e in range(records.exits)]
    thresholds = np.array([np.inf if t is None else t for t in plan.thresholds])
    exits = exits_taken(confidences(tune, plan.temperatures), thresholds)
    loss = float(variants[0].on("tune").correct[-1].mean() - tune.correct[exits, np.arange(len(tune))].mean())
    return _point(per_exit, exits, loss, goal, _fits(case, table, row, goal, plan.precision))


goals = st.one_of(
    st.sampled_from(["latency", "latency_quantile", "energy", "bytes", "price"]).map(lambda name: {"minimise": name}),
    st.tuples(*[st.sampled_from([0.0, 1e-3, 1.0])] * 4)
    .filter(any)
    .map(
        lambda w: {
            "minimise": "weighted",
            "weights": Weights(latency_s=w[0], energy_j=w[1], bytes=w[2] * 1e-3, price=w[3]),
        }
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 4),
    tiers=st.integers(1, 3),
    exits=st.integers(1, 3),
    goal=goals,
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    deadline_s=st.one_of(st.none(), st.floats(1e-3, 0.1)),
    deadline_quantile=st.sampled_from([1.0, 0.8]),
    quantile=st.sampled_from([0.5, 0.95, 1.0]),
    arrival_hz=st.one_of(st.none(), st.floats(1, 1e4)),
    input_stays=st.booleans(),
    memory=st.one_of(st.none(), st.integers(200, 3000)),
    coded=st.booleans(),
    int8=st.booleans(),
    data=st.data(),
)
def test_search_and_replanning_equal_a_loop_over_everything(
    seed: int,
    segments: int,
    tiers: int,
    exits: int,
    goal: dict[str, object],
    loss: float,
    deadline_s: float | None,
    deadline_quantile: float,
    quantile: float,
    arrival_hz: float | None,
    input_stays: bool,
    memory: int | None,
    coded: bool,
    int8: bool,
    data: st.DataObject,
) -> None:
    case, variants = rich(seed, segments, tiers, exits, coded, int8)
    if memory is not None:
        first = replace(case.network.tiers[0], memory_bytes=float(memory))
        case = replace(case, network=replace(case.network, tiers=(first, *case.network.tiers[1:])))
    pins = data.draw(st.lists(st.integers(0, segments - 1), max_size=1))
    there = data.draw(st.booleans())
    objective = Objective.model_validate(
        {
            **goal,
            "accuracy_loss": loss,
            "deadline_s": deadline_s,
            "deadline_quantile": deadline_quantile,
            "quantile": quantile,
            "arrival_hz": arrival_hz,
            "input_stays": input_stays,
            "pins": [f"{pin}{'=' if there else '!='}{case.network.tier_names[0]}" for pin in pins],
        }
    )
    expected = best_of(everything(case, variants, objective), objective)
    options = {"temperatures": case.temperatures, "max_settings": MOST}
    if expected == np.inf:
        with pytest.raises(PlanInfeasible):
            search(variants, case.profiles, case.network, objective, **options)  # type: ignore[arg-type]
        with pytest.raises(PlanInfeasible):
            Replanner(variants, case.profiles, case.network, objective, **options).replan()  # type: ignore[arg-type]
        return
    found = search(variants, case.profiles, case.network, objective, **options)  # type: ignore[arg-type]
    replanner = Replanner(variants, case.profiles, case.network, objective, **options)  # type: ignore[arg-type]
    choice = replanner.replan()
    assert choice.value == pytest.approx(expected, rel=1e-9, abs=1e-11)
    for plan in (found.plan, replanner.plan_of(choice), replanner.plan_of(choice, case.network)):
        point = value_on_tune(case, variants, plan, objective)
        assert point.value == pytest.approx(expected, rel=1e-9, abs=1e-11)
        assert best_of(iter([point]), objective) < np.inf


def test_a_prediction_says_what_energy_and_price_come_to() -> None:
    case, variants = rich(3, 3, 3, 2, coded=True, int8=True)
    found = search(variants, case.profiles, case.network, Objective(minimise="energy"), temperatures=case.temperatures)
    predicted = found.plan.predicted
    assert predicted is not None
    assert predicted.energy_j is not None
    assert predicted.price is not None
    held_out = next(one for one in variants if one.provenance.variant == found.plan.variant).on("calibrate")
    plan = found.plan
    table = cost_table(
        case.profiles, case.network, plan.codec, held_out.exits, precision=plan.precision, coded=plan.coded
    )
    paid = [_paid(case, table, table.row_of(plan.placement), e, plan.precision) for e in range(held_out.exits)]
    assert predicted.energy_j == pytest.approx(np.dot(predicted.exit_share, [one["energy"] for one in paid]))
    assert predicted.price == pytest.approx(np.dot(predicted.exit_share, [one["price"] for one in paid]))
    reference = variants[0].on("calibrate").correct[-1].mean()
    assert predicted.accuracy_loss == pytest.approx(reference - predicted.accuracy)


def test_sensitivity_says_where_the_plan_changes() -> None:
    case, variants = rich(9, 4, 3, 3, coded=False, int8=False)
    objective = Objective(accuracy_loss=0.05)
    options = {"temperatures": case.temperatures, "max_settings": MOST}
    found = search(variants, case.profiles, case.network, objective, sensitivity=True, **options)  # type: ignore[arg-type]
    replanner = Replanner(variants, case.profiles, case.network, objective, **options)  # type: ignore[arg-type]
    here = replanner.replan().index
    rates = [link.bandwidth_bps for link in case.network.links]
    changes = 0
    for index, one in enumerate(found.sensitivity):
        assert one.low_bps <= rates[index]
        inside = [*rates]
        if one.low_bps > 0:
            inside[index] = one.low_bps * 1.001
            assert replanner.replan(inside).index == here
            inside[index] = one.low_bps * 0.999
            assert replanner.replan(inside).index != here
            changes += 1
        if one.high_bps is not None:
            inside[index] = one.high_bps * 1.001
            assert replanner.replan(inside).index != here
            changes += 1
    assert changes


def test_what_cannot_be_is_said_in_one_sentence() -> None:
    case, variants = rich(4, 3, 3, 2, coded=True, int8=False)
    device, cloud = case.network.tier_names[0], case.network.tier_names[-1]

    def find(objective: Objective, network: Network = case.network, records: list[Records] = variants) -> None:
        search(records, case.profiles, network, objective, temperatures=case.temperatures)

    with pytest.raises(PlanInfeasible, match=rf"pin 1={device} contradicts 0={cloud}"):
        find(Objective(pins=[f"0={cloud}", f"1={device}"]))
    with pytest.raises(ConfigError, match="pin 9=device: the segments are numbered 0 to 2"):
        find(Objective(pins=["9=device"]))
    with pytest.raises(ConfigError, match="unknown tier 'moon'"):
        find(Objective(pins=["0=moon"]))
    with pytest.raises(ValueError, match="SEGMENT=TIER"):
        Objective(pins=["device"])
    with pytest.raises(PlanInfeasible, match="pins and input_stays"):
        find(Objective(pins=[f"0={cloud}"], input_stays=True))
    tiny = Network(tuple(replace(t, memory_bytes=1.0) for t in case.network.tiers), case.network.links, "tiny")
    with pytest.raises(PlanInfeasible, match=r"no placement fits the memory: the nearest needs [\d,]+ bytes on"):
        find(Objective(), tiny)
    with pytest.raises(PlanInfeasible, match=r"sustains 1e\+07 samples/s: the arrival rate binds.*highest rate"):
        find(Objective(arrival_hz=1e7))
    plain = Network(tuple(replace(t, energy=None) for t in case.network.tiers), case.network.links, "plain")
    with pytest.raises(ConfigError, match="declares no energy model"):
        find(Objective(minimise="energy"), plain)
    with pytest.raises(ConfigError, match="two records are of variant 'fp32'"):
        find(Objective(), records=[variants[0], variants[0]])
    with pytest.raises(ConfigError, match="cannot be the reference"):
        find(Objective(), records=variants[::-1])
    fewer = variants[1].take(np.arange(len(variants[1]) - 2))
    with pytest.raises(RecordMismatch, match="other rows or exits"):
        find(Objective(), records=[variants[0], fewer])
    with pytest.raises(ValueError, match="goes with weights"):
        Objective(minimise="weighted")
    with pytest.raises(ValueError, match="above zero"):
        Objective(minimise="weighted", weights=Weights())


def test_a_lossless_codec_of_one_cut_is_a_choice_there() -> None:
    case = make_instance(5, 3, 2, 2, 60)
    pictures = {}
    for name, profile in case.profiles.items():
        small = PayloadCost(cut=0, codec="webp", payload_bytes=1.0, encode_s=0.0, decode_s=0.0)
        pictures[name] = profile.model_copy(update={"payloads": (*profile.payloads, small)})
    cloud = case.network.tier_names[-1]
    options = {"temperatures": case.temperatures, "placements": [[cloud] * 3]}
    plain = search(case.records, case.profiles, case.network, **options).plan  # type: ignore[arg-type]
    plan = search(case.records, pictures, case.network, **options).plan  # type: ignore[arg-type]
    assert plan.coded == {0: "webp"}
    assert plan.variant == "fp32"
    assert plan.predicted is not None
    assert plain.predicted is not None
    assert plan.predicted.mean_latency_s < plain.predicted.mean_latency_s
    replanner = Replanner(case.records, pictures, case.network, **options)  # type: ignore[arg-type]
    assert replanner.plan_of(replanner.replan()).plan_id == plan.plan_id
    refused = search(case.records, pictures, case.network, codecs=["raw"], **options).plan  # type: ignore[arg-type]
    assert refused.coded == {}


def test_certified_variants_lose_little_against_the_reference() -> None:
    case, variants = rich(7, 3, 3, 2, coded=True, int8=True)
    many = [_repeated(records, 40) for records in variants]
    many[1] = replace(many[1], logits=many[0].logits, provenance=many[1].provenance)  # int8 as good as fp32
    objective = Objective(accuracy_loss=0.05, confidence=0.9)
    found = search(many, case.profiles, case.network, objective, temperatures=case.temperatures)
    plans = [found.plan, *(one.plan for one in found.alternatives)]
    assert {plan.precision for plan in plans} >= {"int8:1"}
    for plan in plans:
        certificate = plan.certificate
        assert certificate is not None
        assert certificate.delta == pytest.approx(0.1 / 3)
        assert certificate.variant == plan.variant
        assert certificate.reference == (None if plan.variant == "fp32" else "fp32")
        held = next(one for one in many if one.provenance.variant == plan.variant)
        check(certificate, held, None if certificate.reference is None else many[0])
    with pytest.raises(ConfigError, match="a certificate speaks of one variant"):
        search(many, case.profiles, case.network, certificate=plans[0].certificate, temperatures=case.temperatures)


def _repeated(records: Records, times: int) -> Records:
    """So many copies of the rows with a little noise."""
    count = len(records) * times
    logits = np.tile(records.logits, (1, times, 1))
    noise = np.random.default_rng(1).normal(0, 0.3, logits.shape).astype(np.float32)
    return replace(
        records,
        logits=logits + noise,
        labels=np.tile(records.labels, times),
        split=np.tile(records.split, times),
        row=np.arange(count),
    )
