"""The prediction study: exact where reality is made to follow the tables, and able to run processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.manifest import Manifest
from offramp.errors import ConfigError, RecordMismatch
from offramp.planning.costs import cost_table
from offramp.planning.plan import Term
from offramp.planning.replay import replay, replay_exits
from offramp.profiles.machine import this_machine
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.runtime.answer import Answer
from offramp.runtime.stamps import Stamps
from offramp.simulation.arrivals import poisson
from offramp.simulation.simulate import simulate
from studies.prediction.compare import busiest_s, compare
from studies.prediction.measure import measure
from studies.prediction.measurement import MeasuredRun, Measurement, load_measurement
from studies.prediction.rows import balanced_rows
from studies.prediction.settings import ARRIVALS, LINKS, PLANS, TIERS
from studies.prediction.study import MEASURED, rows_of, study
from studies.prediction.terms import TERMS, measured_terms, predicted_terms
from tests.reporting.sample import make_profile, make_records
from tests.support.gated import make_gated
from tests.support.tiny import make_tiny_cascade

DEEP = "device-edge-cloud, careful, zstd"


def made_up_profile(manifest: Manifest, tier: str) -> Profile:
    """A profile that knows both codecs."""
    profile = make_profile(manifest, tier)
    zstd = tuple(cost.model_copy(update={"codec": "zstd", "encode_s": 3e-4}) for cost in profile.payloads)
    return profile.model_copy(update={"payloads": (*profile.payloads, *zstd)})


def empty_run(plan: str, links: str = "medium") -> MeasuredRun:
    return MeasuredRun(plan=plan, links=links, exits="", degraded=0, latency_us=(), terms_s=dict.fromkeys(TERMS, 0.0))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return make_records(make_tiny_cascade(tmp_path, segments=3).manifest)


@pytest.fixture
def measured(tmp_path: Path, records: Records) -> Measurement:
    """A measurement without runs; its rows are the calibrate rows, so that both predictions agree."""
    manifest = make_tiny_cascade(tmp_path / "again", segments=3).manifest
    return Measurement(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        data="made-up",
        temperatures=(1.0, 1.0, 1.0),
        created_utc="2026-01-01T00:00:00+00:00",
        commit=None,
        seed=0,
        load=(0.0, 0.0),
        machine=this_machine(),
        rows=tuple(records.on("calibrate").row.tolist()),
        slow_down=(1.0, 1.0, 1.0),
        links=LINKS,
        plans=PLANS,
        profiles={tier: made_up_profile(manifest, tier) for tier in TIERS},
        runs=(),
    )


def test_reality_that_follows_the_tables_has_no_error(measured: Measurement, records: Records) -> None:
    runs = []
    for plan in PLANS:
        run = empty_run(plan)
        costs = cost_table(measured.profiles, measured.network(run), PLANS[plan].codec, records.exits)
        world = replay(measured.plan(run), measured.sent(records), costs)
        latency_us = tuple(np.rint(world.latency_s * 1e6).astype(int).tolist())
        exits = "".join(map(str, world.exit.tolist()))
        runs.append(run.model_copy(update={"latency_us": latency_us, "exits": exits}))
    for run in runs:
        found = compare(measured, run, records)
        for forecast in (found.ahead, found.same_rows):
            assert found.mean_error(forecast) == pytest.approx(0.0, abs=1e-4)
            assert found.p95_error(forecast) == pytest.approx(0.0, abs=1e-4)
            assert sum(forecast.terms_s.values()) == pytest.approx(forecast.mean_s)
    rows = list(rows_of(measured.model_copy(update={"runs": tuple(runs)}), records))
    named = {row.name: row for row in rows}
    assert len(named) == len(rows)
    assert named["runs with both errors small enough"].ours == 12
    assert all(row.holds is not False for row in rows)
    assert any("off in" in name for name in named)  # the made-up terms are zero: that is printed


def test_arrivals_are_simulated(measured: Measurement, records: Records) -> None:
    run = empty_run(DEEP)
    rate_hz = 0.6 / busiest_s(measured, run, records)
    sent = measured.sent(records)
    arrival_s = poisson(rate_hz, len(sent), np.random.default_rng(7))
    found = simulate(measured.plan(run), sent, measured.profiles, measured.network(run), arrival_s)
    times = {
        "rate_hz": rate_hz,
        "exits": "".join(map(str, found.exit.tolist())),
        "latency_us": tuple(np.rint(found.latency_s * 1e6).astype(int).tolist()),
        "arrival_us": tuple(np.rint(arrival_s * 1e6).astype(int).tolist()),
    }
    compared = compare(measured, run.model_copy(update=times), records)
    assert compared.mean_error(compared.same_rows) == pytest.approx(0.0, abs=1e-3)
    assert compared.p95_error(compared.same_rows) == pytest.approx(0.0, abs=1e-2)
    assert compared.same_rows.terms_s["queue"] > 0
    busy = max(found.busy_share.values())
    assert busy < 1.0


def test_terms_add_up() -> None:
    device = Stamps(0.0, 0.5, 0.5, 2.0, 2.25, 9.0, 9.5)
    edge = Stamps(3.0, 3.5, 4.0, 6.0, 6.0, 6.0, 6.5)
    probabilities = np.zeros(2, np.float32)
    answer = Answer(0, probabilities, 0.9, 1, "edge", 9.5, None, {"device": 1.25, "edge": 1.5}, 10, {})
    answer = answer._replace(stamps={"device": device, "edge": edge})
    found = measured_terms(answer, TIERS)
    assert found == {
        "compute": 2.75,
        "encode": 0.25 + 0.5,
        "transfer": 0.75,
        "queue": 1.0,
        "return": 2.5,
        "other": pytest.approx(9.5 - 7.75),
    }
    assert sum(found.values()) == pytest.approx(answer.latency_s)
    terms = [Term(name=name, mean_s=1.0) for name in ("compute:edge", "decode:a-b", "hop:a-b", "return:a-b", "new")]
    predicted = predicted_terms(terms)
    assert predicted == {"compute": 1, "encode": 1, "transfer": 0.5, "queue": 0, "return": 1.5, "other": 1}


def test_a_file_is_read_back_or_refused(measured: Measurement, records: Records, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    kept = measured.model_copy(update={"runs": (empty_run(DEEP),)})
    kept.save(file)
    assert load_measurement(file) == kept
    file.write_text(file.read_text().replace('"seed":0', '"seed":"x"'))
    with pytest.raises(ConfigError, match=r"seed.*measure again"):
        load_measurement(file)
    with pytest.raises(ConfigError, match="no measurements"):
        load_measurement(tmp_path / "none.json")
    with pytest.raises(RecordMismatch, match="the records have no row"):
        measured.sent(replace(records, row=records.row + 10_000))


@pytest.mark.e2e
def test_processes_are_measured(tmp_path: Path) -> None:
    gated = make_gated(tmp_path)
    rows = list(range(6))
    manifest = gated.cascade.manifest
    profiles = {tier: made_up_profile(manifest, tier) for tier in TIERS}
    inputs = (gated.inputs[rows],)
    measured = measure(gated.cascade, gated.records, inputs, rows, profiles, links=("fast",))
    assert [run.plan for run in measured.runs if run.rate_hz is None] == list(PLANS)
    assert [run.plan for run in measured.runs if run.rate_hz is not None] == list(ARRIVALS)
    sent = measured.sent(gated.records)
    for run in measured.runs:
        assert run.degraded == 0
        assert run.exit.tolist() == replay_exits(measured.plan(run), sent).tolist()
        assert sum(run.terms_s.values()) == pytest.approx(run.latency_s.mean(), abs=1e-5)
        assert min(run.terms_s.values()) >= 0
    means = {run.plan: run.latency_s.mean() for run in measured.runs if run.rate_hz is None}
    assert means["cloud, no exits"] > 0.015  # both links' delays
    assert list(rows_of(measured, gated.records))


def test_the_committed_measurement() -> None:
    if not MEASURED.is_file():
        pytest.skip("nothing was measured in this checkout")
    rows = {row.name: row for row in study()}
    assert rows["rows answered degraded"].holds
    assert sum(name.endswith(": mean") for name in rows) == len(LINKS) * (len(PLANS) + len(ARRIVALS))


def test_a_balanced_sample_leaves_as_all_rows_do(measured: Measurement, records: Records) -> None:
    plans = [measured.plan(empty_run(name)) for name in PLANS]
    rows = balanced_rows(records, plans, 90, np.random.default_rng(0))
    assert len(set(rows.tolist())) == 90
    chosen = records.take(rows.astype(np.intp))  # a made-up record's row is its position
    for plan in plans:
        shares = [np.bincount(replay_exits(plan, some), minlength=3) / len(some) for some in (chosen, records)]
        assert np.abs(shares[0] - shares[1]).max() < 0.05
    assert sorted(balanced_rows(records, plans, 10_000, np.random.default_rng(0))) == sorted(records.row)
