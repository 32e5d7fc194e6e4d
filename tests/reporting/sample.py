"""Made-up evidence with the shape of the real thing: for tests, never shipped as a result."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offramp.cascade.manifest import Calibration, Manifest
from offramp.confidence.temperature import fit_temperature
from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import Evidence, GateSpec, Plan, Prediction, Term
from offramp.planning.result import Candidate, FrontPoint, SearchResult
from offramp.profiles.profile import MachineInfo, Profile, SegmentCost, TransportCost
from offramp.records.records import RecordProvenance, Records
from offramp.reporting.data import ReportData
from offramp.reporting.replay import replay_gates
from offramp.runtime.run_result import RunResult
from tests.support.tiny import make_tiny_cascade

TIERS = ("device", "edge", "cloud")
TIER_S = {"device": 0.006, "edge": 0.0024, "cloud": 0.0001}
WORK = (1, 8, 24)
NETWORK = Network(
    (Tier("device", 20.0), Tier("edge", 4.0), Tier("cloud")),
    (Link("device", "edge", 5e6, 0.02), Link("edge", "cloud", 50e6, 0.04)),
    "three-tiers",
)
PAYLOAD_BYTES = 2048.0


@dataclass(frozen=True)
class Setting:
    """A placement with its cost to every exit (E,), and the parts of it at the last."""

    placement: tuple[str, ...]
    exit_latency_s: tuple[float, ...]


def make_records(manifest: Manifest, rows: int = 900, seed: int = 3) -> Records:
    """Overconfident exits, later ones better."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    hardness = rng.exponential(1.0, rows)
    logits = []
    for strength in (3.4, 4.6, 7.0):
        clean = np.eye(3)[labels] * strength
        logits.append(2.2 * (clean + rng.normal(0, 1, (rows, 3)) * hardness[:, None]))
    split = np.array(["tune", "calibrate", "test"])[np.arange(rows) % 3].astype("<U9")
    return Records(
        logits=np.stack(logits).astype(np.float32),
        labels=labels.astype(np.int64),
        split=split,
        row=np.arange(rows),
        exit_names=manifest.exit_names,
        provenance=RecordProvenance(
            manifest.name, manifest.fingerprint, "made-up", "0" * 64, 0, "tests", "2026-01-01T00:00:00Z"
        ),
    )


def settings() -> list[Setting]:
    """Every placement of three segments, exits after each."""
    found = []
    for placement in itertools.product(TIERS, repeat=3):
        order = [TIERS.index(tier) for tier in placement]
        if order == sorted(order):
            found.append(Setting(placement, _costs(placement)))
    return found


def _costs(placement: tuple[str, ...]) -> tuple[float, ...]:
    seconds, at, costs = 0.0, 0, []
    for work, tier in zip(WORK, placement, strict=True):
        while TIERS[at] != tier:
            seconds += NETWORK.links[at].transfer_s(PAYLOAD_BYTES) + NETWORK.links[at].rtt_s
            at += 1
        seconds += work * TIER_S[tier]
        costs.append(seconds)
    return tuple(costs)


def make_plan(manifest: Manifest, records: Records, setting: Setting, thresholds: tuple[float | None, ...]) -> Plan:
    """A plan with its prediction on the calibrate rows."""
    plan = Plan(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        tiers=TIERS,
        placement=setting.placement,
        gates=tuple(GateSpec(threshold=t) for t in thresholds),
        temperatures=manifest.calibration.temperatures,
    )
    held_out = records.on("calibrate")
    outcome = replay_gates(plan, held_out)
    latency_s = np.asarray(setting.exit_latency_s)[outcome.exits]
    compute = {
        t: sum(w * TIER_S[t] for w, name in zip(WORK, setting.placement, strict=True) if name == t) for t in TIERS
    }
    best = float(held_out.correct[-1].mean())
    predicted = Prediction(
        rows=len(held_out),
        accuracy=outcome.accuracy,
        accuracy_last_exit=best,
        accuracy_loss=best - outcome.accuracy,
        exit_share=tuple(outcome.exit_share.tolist()),
        exit_latency_s=setting.exit_latency_s,
        mean_latency_s=float(latency_s.mean()),
        p50_latency_s=float(np.quantile(latency_s, 0.5)),
        p95_latency_s=float(np.quantile(latency_s, 0.95)),
        bytes_per_sample=PAYLOAD_BYTES * float(outcome.exit_share[1:].sum()),
        terms=(
            *(Term(name=f"compute:{t}", mean_s=s) for t, s in compute.items() if s),
            Term(name="transfer:device-edge", mean_s=0.003),
            Term(name="rtt:device-edge", mean_s=0.007),
        ),
    )
    evidence = Evidence(
        data="made-up", data_sha256="0" * 64, tune_rows=300, calibrate_rows=300, settings=144, placements=10
    )
    return plan.model_copy(update={"predicted": predicted, "evidence": evidence})


def make_search(manifest: Manifest, records: Records) -> SearchResult:
    """Brute force over a coarse grid of thresholds."""
    tune = records.on("tune")
    floor = float(tune.correct[-1].mean()) - 0.01
    grid = list(itertools.product((None, 0.5, 0.6, 0.7, 0.8, 0.9), repeat=2))
    options, everything = [], []
    for setting in settings():
        best: tuple[float, Plan] | None = None
        for thresholds in grid:
            plan = make_plan(manifest, records, setting, thresholds)
            outcome = replay_gates(plan, tune)
            mean_s = outcome.mean_latency_s(setting.exit_latency_s)
            everything.append((mean_s, outcome.accuracy, setting.placement, thresholds))
            if outcome.accuracy >= floor and (best is None or mean_s < best[0]):
                best = (mean_s, plan)
        assert best is not None
        options.append(best)
    options.sort(key=lambda option: option[0])
    chosen = options[0][1]
    one_tier = {p.placement[0]: p for _, p in options if len(set(p.placement)) == 1}
    front, top = [], -1.0
    for mean_s, accuracy, placement, thresholds in sorted(everything, key=lambda e: (e[0], -e[1])):
        if accuracy > top:
            top = accuracy
            front.append(
                FrontPoint(
                    mean_latency_s=mean_s, accuracy=accuracy, placement=placement, thresholds=thresholds, codec="raw"
                )
            )
    return SearchResult(
        plan=chosen,
        alternatives=tuple(
            Candidate(
                name=f"runner-up {i + 1}", plan=p, reason=f"slower by {1e3 * (s - options[0][0]):.1f} ms on average"
            )
            for i, (s, p) in enumerate(options[1:4])
        ),
        endpoints=tuple(
            Candidate(name=f"{t}-only", plan=one_tier[t], reason="every sample pays its one tier") for t in TIERS
        ),
        front=tuple(front),
        binding="accuracy_loss",
        why="Most samples are easy and leave on the device; the hard ones are worth the way to a faster tier.",
    )


def make_run(name: str, plan: Plan, test: Records, kill_after: int | None = None, seed: int = 0) -> RunResult:
    """What a run of the plan could have looked like."""
    rng = np.random.default_rng(seed)
    outcome = replay_gates(plan, test)
    exits = outcome.exits.copy()
    degraded = [""] * len(test)
    home = next((i for i, t in reversed(list(enumerate(plan.placement))) if t == plan.placement[0]), 0)
    if kill_after is not None:
        for row in range(kill_after, len(test)):
            if exits[row] > home:
                exits[row], degraded[row] = home, "link_down"
    assert plan.predicted is not None
    noise = rng.lognormal(0.03, 0.06, len(test))
    return RunResult(
        name=name,
        plan=plan,
        labels=test.labels.tolist(),
        answers=test.predictions[exits, np.arange(len(test))].tolist(),
        exits=exits.tolist(),
        tier=[TIERS.index(plan.placement[e]) for e in exits],
        tiers=list(TIERS),
        latency_s=(np.asarray(plan.predicted.exit_latency_s)[exits] * noise).tolist(),
        sent_bytes=[0 if plan.placement[e] == "device" else 2300 for e in exits],
        degraded=degraded,
    )


def make_profile(manifest: Manifest, tier: str) -> Profile:
    """A profile that says who measured it."""
    return Profile(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        tier=tier,
        slow_down=NETWORK.tier(tier).slow_down,
        how="modelled",
        created_utc="2026-01-01T00:00:00Z",
        machine=MachineInfo(
            cpu="made-up CPU", cores=2, system="Linux", versions={"numpy": "2.4", "onnxruntime": "1.31"}
        ),
        segments=tuple(SegmentCost(segment=i, median_s=1e-3, mean_s=1e-3, p95_s=1e-3, repeats=1) for i in range(3)),
        payloads=(),
        transport=TransportCost(hop_s=0.0, request_overhead_bytes=0.0, answer_bytes=0.0),
    )


def make_report_data(folder: Path) -> ReportData:
    """A report with every section."""
    manifest = make_tiny_cascade(folder, segments=3).manifest
    records = make_records(manifest)
    tune = records.on("tune")
    temperatures = tuple(fit_temperature(logits, tune.labels) for logits in tune.logits)
    calibration = Calibration(method="temperature", temperatures=temperatures, fitted_on="300 tune rows")
    manifest = manifest.model_copy(update={"calibration": calibration})
    search = make_search(manifest, records)
    test = records.on("test")
    ends = {end.name: end.plan for end in search.endpoints}
    runs = (
        make_run("plan", search.plan, test),
        make_run("device-only", ends["device-only"], test, seed=1),
        make_run("cloud-only", ends["cloud-only"], test, seed=2),
        make_run("plan, cloud killed", search.plan, test, kill_after=150, seed=3),
    )
    return ReportData(
        title="A made-up report",
        manifest=manifest,
        records=records,
        search=search,
        runs=runs,
        network=NETWORK,
        profiles=tuple(make_profile(manifest, tier) for tier in TIERS),
        notes=("Every number in this file is made up: it is a test of the report, not a result.",),
    )
