"""What the figures say is what the data say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.confidence.gates import MarginGate
from offramp.confidence.metrics import expected_calibration_error
from offramp.confidence.scores import softmax
from offramp.planning.gate_spec import GateSpec
from offramp.reporting.calibration import calibration_of
from offramp.reporting.chain import chain_svg
from offramp.reporting.data import ReportData
from offramp.reporting.figures.front import front_figure
from offramp.reporting.figures.latency import latency_figure, predicted_steps
from offramp.reporting.figures.reliability import reliability_figure
from offramp.reporting.figures.shares import ShareBar, shares_figure
from offramp.reporting.figures.style import exit_colours
from offramp.reporting.figures.terms import terms_figure
from offramp.reporting.replay import replay_gates
from offramp.reporting.words import binding_sentence, placement_text, plan_sentence
from tests.reporting.sample import NETWORK


def test_predicted_steps_are_the_mixture_over_exits(sample: ReportData) -> None:
    assert sample.search
    predicted = sample.search.plan.predicted
    assert predicted
    seconds, within = predicted_steps(predicted)
    assert within[-1] == pytest.approx(1.0)
    assert (np.diff(seconds) > 0).all()
    assert float(seconds @ np.diff(within, prepend=0.0)) == pytest.approx(predicted.mean_latency_s)


def test_latency_has_a_panel_per_run_with_two_lines(sample: ReportData) -> None:
    figure = latency_figure(sample.runs)
    assert [note.text for note in figure.layout.annotations] == [f"<b>{run.name}</b>" for run in sample.runs]
    assert len(figure.data) == 2 * len(sample.runs)
    measured = figure.data[0]
    assert np.interp(50.0, measured.y, measured.x) == pytest.approx(
        1e3 * sample.runs[0].latency_quantile_s(0.5), rel=0.02
    )


def test_reliability_prints_the_error_of_the_test_rows(sample: ReportData) -> None:
    assert sample.records
    test = sample.records.on("test")
    exits = calibration_of(test, sample.manifest.calibration.temperatures)
    before = expected_calibration_error(softmax(test.logits[0]).max(-1), test.correct[0])
    assert exits[0].ece_before == pytest.approx(before)
    titles = [note.text for note in reliability_figure(exits).layout.annotations]
    assert f"ECE {100 * before:.1f} %" in titles[0]


def test_reliability_bands_hold_their_bins(sample: ReportData) -> None:
    assert sample.records
    exits = calibration_of(sample.records.on("test"), sample.manifest.calibration.temperatures)
    figure = reliability_figure(exits)
    bands = [trace for trace in figure.data if trace.name == "95 % band"]
    after = [trace for trace in figure.data if trace.name == "after calibration"]
    assert len(bands) == len(after) == len(exits)
    for band, line in zip(bands, after, strict=True):
        high, low = np.array(band.y[: len(line.y)]), np.array(band.y[len(line.y) :][::-1])
        assert ((low <= line.y) & (line.y <= high)).all()
        np.testing.assert_allclose(np.array(line.customdata)[:, 1:], np.stack([low, high], 1))


def test_the_plan_stands_on_its_replay(sample: ReportData) -> None:
    assert sample.records
    assert sample.search
    tune = sample.records.on("tune")
    figure = front_figure(sample.search, tune)
    star = next(trace for trace in figure.data if trace.name == "the plan")
    assert star.y[0] == pytest.approx(100 * replay_gates(sample.search.plan, tune).accuracy)
    without = next(t for t in front_figure(sample.search, None).data if t.name == "the plan")
    assert sample.search.plan.predicted
    assert without.y[0] == pytest.approx(100 * sample.search.plan.predicted.accuracy)


def test_shares_add_up(sample: ReportData) -> None:
    bars = [ShareBar(run.name, run.exit_share.tolist(), run.tier_share) for run in sample.runs]
    figure = shares_figure(bars, sample.manifest.exit_names)
    assert np.sum([trace.x for trace in figure.data], axis=0) == pytest.approx(200.0)


def test_terms_are_in_milliseconds(sample: ReportData) -> None:
    assert sample.search
    plan = sample.search.plan
    assert plan.predicted
    figure = terms_figure([("the plan", plan)])
    total = sum(trace.x[0] for trace in figure.data)
    assert total == pytest.approx(1e3 * sum(term.mean_s for term in plan.predicted.terms))


def test_colours_are_one_per_exit() -> None:
    assert len(set(exit_colours(5))) == 5
    assert len(exit_colours(1)) == 1


def test_chain_shows_tiers_links_and_idle_ends(sample: ReportData) -> None:
    assert sample.search
    svg = chain_svg(sample.search.plan, sample.manifest, NETWORK)
    assert svg.count("<rect") == 3 + len(sample.manifest.segments)
    assert "5 Mbit/s" in svg
    device_only = next(end.plan for end in sample.search.endpoints if end.name == "device-only")
    idle = chain_svg(device_only, sample.manifest, NETWORK)
    assert idle.count("runs nothing") == 2
    assert idle.count("unused") == 2
    assert "off" in chain_svg(
        device_only.model_copy(update={"gates": (device_only.gates[0].model_copy(update={"threshold": None}),) * 2}),
        sample.manifest,
    )
    margin = device_only.model_copy(update={"gates": (GateSpec.of(MarginGate(0.25)),) * 2})
    assert "margin ≥ 0.250" in chain_svg(margin, sample.manifest)


def test_words_name_tiers_and_the_limit(sample: ReportData) -> None:
    assert sample.search
    text = plan_sentence(sample.search, sample.manifest.exit_segments)
    assert placement_text(sample.search.plan.placement) in text
    assert "the fastest one-tier plan" in text
    assert "accuracy limit binds" in binding_sentence(sample.search)
    free = sample.search.model_copy(update={"binding": "none"})
    assert "No constraint binds" in binding_sentence(free)


def test_degraded_run_is_counted(sample: ReportData) -> None:
    killed = sample.runs[-1]
    assert killed.degraded_rows > 0
    assert replace(killed, degraded=[""] * len(killed)).degraded_rows == 0
