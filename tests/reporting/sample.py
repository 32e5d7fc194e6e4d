"""Made-up evidence with the shape of the real thing: for tests, never shipped as a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offramp.cascade.manifest import Calibration, Manifest
from offramp.confidence.temperature import fit_temperature
from offramp.links.network import Link, Network, Tier
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.search import search
from offramp.profiles.profile import MachineInfo, PayloadCost, Profile, SegmentCost, TransportCost
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
        segments=tuple(
            SegmentCost(segment=index, median_s=seconds, mean_s=seconds, p95_s=seconds, repeats=1)
            for index, seconds in enumerate(work * TIER_S[tier] for work in WORK)
        ),
        payloads=tuple(
            PayloadCost(cut=cut, codec="raw", payload_bytes=PAYLOAD_BYTES, encode_s=1e-5, decode_s=1e-5)
            for cut in range(3)
        ),
        transport=TransportCost(hop_s=1e-3, request_overhead_bytes=100.0, answer_bytes=200.0),
    )


def make_report_data(folder: Path) -> ReportData:
    """A report with every section."""
    manifest = make_tiny_cascade(folder, segments=3).manifest
    records = make_records(manifest)
    tune = records.on("tune")
    temperatures = tuple(fit_temperature(logits, tune.labels) for logits in tune.logits)
    calibration = Calibration(method="temperature", temperatures=temperatures, fitted_on="300 tune rows")
    manifest = manifest.model_copy(update={"calibration": calibration})
    profiles = tuple(make_profile(manifest, tier) for tier in TIERS)
    found = search(records, profiles, NETWORK, Objective(accuracy_loss=0.01), temperatures=temperatures)
    test = records.on("test")
    ends = {end.name: end.plan for end in found.endpoints}
    runs = (
        make_run("plan", found.plan, test),
        make_run("device-only", ends["device-only"], test, seed=1),
        make_run("cloud-only", ends["cloud-only"], test, seed=2),
        make_run("plan, cloud killed", found.plan, test, kill_after=150, seed=3),
    )
    return ReportData(
        title="A made-up report",
        manifest=manifest,
        records=records,
        search=found,
        runs=runs,
        network=NETWORK,
        profiles=profiles,
        notes=("Every number in this file is made up: it is a test of the report, not a result.",),
    )
