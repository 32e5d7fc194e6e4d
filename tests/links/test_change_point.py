"""Change points: the exact posterior by enumeration, steps found, steady links left alone."""

from __future__ import annotations

import json
import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from offramp.data.registry import data_folder
from offramp.errors import ConfigError, SampleError
from offramp.links.change_point import ChangeDetector, NormalGamma, _log_gamma_ratio, _log_predictive
from offramp.links.trace import load_trace

NAN, INF = float("nan"), float("inf")
LEVELS = st.floats(7.0, 23.0)  # natural logarithms of 1 kbit/s to 10 Gbit/s


def log_evidence(x: NDArray[np.float64], prior: NormalGamma) -> float:
    """Closed form of the marginal likelihood of one run (Murphy 2007, equation 95)."""
    n, mean, centre = len(x), x.mean(), prior.mean or 0.0
    kappa, alpha = prior.kappa + n, prior.alpha + n / 2
    beta = prior.beta + ((x - mean) ** 2).sum() / 2 + prior.kappa * n * (mean - centre) ** 2 / (2 * kappa)
    gammas = math.lgamma(alpha) - math.lgamma(prior.alpha)
    rates = prior.alpha * math.log(prior.beta) - alpha * math.log(beta)
    return float(gammas + rates + (math.log(prior.kappa / kappa) - n * math.log(2 * math.pi)) / 2)


def enumerated(x: NDArray[np.float64], prior: NormalGamma, hazard: float) -> NDArray[np.float64]:
    """Posterior of the length 1..n of the last run: every way to cut the sequence, weighed and summed."""
    weight = np.zeros(len(x))
    for cuts in product([False, True], repeat=len(x) - 1):
        starts = [0, *(at + 1 for at, cut in enumerate(cuts) if cut)]
        log_p = sum(math.log(hazard if cut else 1 - hazard) for cut in cuts)
        runs = zip(starts, [*starts[1:], len(x)], strict=True)
        log_p += sum(log_evidence(x[begin:end], prior) for begin, end in runs)
        weight[len(x) - starts[-1] - 1] += math.exp(log_p)
    weight /= weight.sum()
    return weight


def posterior(detector: ChangeDetector) -> NDArray[np.float64]:
    dense = np.zeros(detector.observed)
    dense[detector._run - 1] = np.exp(detector._log_p)
    return dense


def steps(rng: np.random.Generator, runs: int, noise: float = 0.3) -> NDArray[np.float64]:
    levels = rng.normal(15, 1.4, runs).repeat(rng.integers(5, 80, runs))
    return np.asarray(np.exp(levels + noise * rng.normal(size=len(levels))))


@settings(deadline=None, max_examples=60)
@given(
    logs=st.lists(LEVELS, min_size=1, max_size=8),
    mean=LEVELS,
    kappa=st.floats(0.01, 2),
    alpha=st.floats(0.5, 20),
    beta=st.floats(0.01, 2),
    expected_run=st.floats(1.5, 200),
    recent=st.integers(1, 9),
)
def test_the_posterior_is_that_of_the_enumeration(
    logs: list[float], mean: float, kappa: float, alpha: float, beta: float, expected_run: float, recent: int
) -> None:
    prior = NormalGamma(mean, kappa, alpha, beta)
    detector = ChangeDetector(expected_run, recent=recent, prior=prior)
    for bandwidth_bps in np.exp(logs):
        detector.update(bandwidth_bps)
    x = np.log(np.maximum(np.exp(logs), detector.floor_bps))
    exact = enumerated(x, prior, 1 / expected_run)
    assert posterior(detector) == pytest.approx(exact, rel=1e-7, abs=1e-12)
    assert detector.probability == pytest.approx(exact[:-1][:recent].sum(), rel=1e-7, abs=1e-12)
    assert detector.expected_run_length == pytest.approx(exact @ np.arange(1, len(x) + 1), rel=1e-7)
    assert exact[detector.most_likely_run_length - 1] == pytest.approx(exact.max(), rel=1e-7)


@given(off=st.floats(-20, 20), kappa=st.floats(0.01, 1e6), alpha=st.floats(0.5, 1e6), beta=st.floats(1e-3, 1e6))
def test_the_predictive_is_student_t(off: float, kappa: float, alpha: float, beta: float) -> None:
    ours = _log_predictive(*(np.array([value]) for value in (off, kappa, alpha, beta)))[0]
    scale = math.sqrt(beta * (kappa + 1) / (alpha * kappa))
    assert ours == pytest.approx(stats.t.logpdf(off, 2 * alpha, 0, scale), rel=1e-7, abs=1e-7)


@given(alpha=st.floats(0.01, 170))
def test_gamma_ratio(alpha: float) -> None:
    expected = math.lgamma(alpha + 0.5) - math.lgamma(alpha)
    assert _log_gamma_ratio(np.array([alpha]))[0] == pytest.approx(expected, rel=1e-11, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(rates=st.lists(st.floats(0, 1e12), min_size=1, max_size=60), max_runs=st.integers(3, 20))
def test_it_stays_a_bounded_distribution(rates: list[float], max_runs: int) -> None:
    detector = ChangeDetector(recent=2, max_runs=max_runs)
    for seen, bandwidth_bps in enumerate(rates, 1):
        probability = detector.update(bandwidth_bps)
        assert 0 <= probability <= 1
        assert detector.changed == (probability >= 0.5)
        assert len(detector._run) == min(seen, max_runs)
        assert np.exp(detector._log_p).sum() == pytest.approx(1)
        assert 1 <= detector.expected_run_length <= seen * (1 + 1e-12)
        assert 1 <= detector.most_likely_run_length <= seen


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), factor=st.floats(0.1, 100))
def test_the_unit_does_not_matter(seed: int, factor: float) -> None:
    one, other = ChangeDetector(floor_bps=1e-3), ChangeDetector(floor_bps=1e-3)
    for bandwidth_bps in steps(np.random.default_rng(seed), 2):
        assert other.update(factor * bandwidth_bps) == pytest.approx(one.update(bandwidth_bps), rel=1e-6, abs=1e-9)
    assert other.level_bps == pytest.approx(factor * one.level_bps)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**20), at=st.integers(0, 60))
def test_json_goes_on_where_it_was(seed: int, at: int) -> None:
    rates = steps(np.random.default_rng(seed), 3)
    detector = ChangeDetector(max_runs=30)
    for bandwidth_bps in rates[:at]:
        detector.update(bandwidth_bps)
    again = ChangeDetector.from_json(detector.to_json())
    assert again == detector
    assert repr(again) == repr(detector)
    assert [again.update(each) for each in rates[at:]] == [detector.update(each) for each in rates[at:]]
    assert again == detector


@pytest.mark.parametrize("bandwidth_bps", [0.0, 1e3, 5e6, 1e12])
def test_a_constant_link_never_changes(bandwidth_bps: float) -> None:
    detector = ChangeDetector()
    assert max(detector.update(bandwidth_bps) for _ in range(1500)) < 0.1
    assert detector.most_likely_run_length == 1500


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_step_of_three_sigma_is_found_within_ten(seed: int, sign: int) -> None:
    logs = 15 + 0.3 * np.random.default_rng(seed).normal(size=110)
    logs[100:] += sign * 0.9
    detector = ChangeDetector()
    raised = [at for at, bandwidth_bps in enumerate(np.exp(logs)) if detector.update(bandwidth_bps) >= 0.5]
    assert any(at >= 100 for at in raised)
    assert abs(detector.most_likely_run_length - 10) <= 2
    assert detector.level_bps == pytest.approx(math.exp(15 + sign * 0.9), rel=0.35)


def test_an_outage_is_a_change_and_so_is_its_end() -> None:
    detector = ChangeDetector()
    for _ in range(30):
        detector.update(5e6)
    assert [detector.update(0.0) >= 0.5 for _ in range(2)][-1]
    for _ in range(30):
        detector.update(0.0)
    assert not detector.changed
    assert [detector.update(5e6) >= 0.5 for _ in range(2)][-1]


@pytest.mark.parametrize("seed", range(3))
def test_dropping_hypotheses_changes_little(seed: int) -> None:
    rates = steps(np.random.default_rng(seed), 8)
    bounded, exact = ChangeDetector(max_runs=60), ChangeDetector(max_runs=10_000)
    for bandwidth_bps in rates:
        assert bounded.update(bandwidth_bps) == pytest.approx(exact.update(bandwidth_bps), abs=0.02)


def test_before_anything_is_seen() -> None:
    detector = ChangeDetector()
    assert (detector.changed, detector.expected_run_length, detector.most_likely_run_length) == (False, 0.0, 0)
    assert math.isnan(detector.level_bps)
    assert math.isnan(detector.log_std)
    assert ChangeDetector.from_json(detector.to_json()) == detector


def test_the_scatter_of_a_run_is_learnt() -> None:
    detector = ChangeDetector()
    for bandwidth_bps in np.exp(15 + 0.5 * np.random.default_rng(1).normal(size=400)):
        detector.update(bandwidth_bps)
    assert detector.log_std == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("bandwidth_bps", [-1.0, NAN, INF, -INF])
def test_what_is_no_bandwidth_is_refused(bandwidth_bps: float) -> None:
    detector = ChangeDetector()
    detector.update(1e6)
    before = detector.to_json()
    with pytest.raises(SampleError, match="observed bandwidth must be zero or more bit/s"):
        detector.update(bandwidth_bps)
    assert detector.to_json() == before


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"expected_run": 1.0}, "expected_run must be above 1 observation, not 1.0"),
        ({"expected_run": NAN}, "expected_run must be above 1"),
        ({"threshold": 1.0}, r"threshold must lie in \(0, 1\), not 1.0"),
        ({"recent": 0}, "recent must be 1 or more and max_runs above it, not 0 and 200"),
        ({"recent": 5, "max_runs": 5}, "not 5 and 5"),
        ({"floor_bps": 0.0}, "floor_bps must be above 0, not 0.0"),
    ],
)
def test_settings_are_checked(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ChangeDetector(**setting)


@pytest.mark.parametrize("setting", [{"kappa": 0.0}, {"alpha": -1.0}, {"beta": NAN}, {"mean": INF}])
def test_a_prior_is_checked(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"prior of a change detector: {next(iter(setting))} must be"):
        NormalGamma(**setting)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"run": [1, 1]},
        {"run": [1]},
        {"run": [0, 2]},
        {"run": [1, 3]},
        {"beta": [1.0, -1.0]},
        {"mean": [1.0, NAN]},
        {"log_p": [0.0]},
        {"observed": 3},
        {"observed": INF},
        {"run": [1, 10**30]},
        {"origin": None},
        {"prior": None},
        {"probability": 2.0},
        {"threshold": 7},
        {"extra": 1},
    ],
)
def test_damaged_json_is_refused(change: dict[str, object]) -> None:
    detector = ChangeDetector()
    detector.update(1e6)
    detector.update(2e6)
    with pytest.raises(ConfigError, match="not a change detector"):
        ChangeDetector.from_json(json.dumps({**json.loads(detector.to_json()), **change}))


@pytest.mark.parametrize("text", ["", "[]", "3", "{}"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a change detector"):
        ChangeDetector.from_json(text)


@pytest.mark.data
@pytest.mark.skipif(data_folder() is None, reason="no data folder: set OFFRAMP_DATA to run this")
def test_real_links_change_now_and_then() -> None:
    folder = data_folder()
    assert folder is not None
    seen = changed = 0
    for file in sorted((folder / "traces").glob("*/*.csv.gz"))[::25]:
        detector = ChangeDetector()
        before = False
        for bandwidth_bps in load_trace(file).bandwidth_bps:
            detector.update(bandwidth_bps)
            changed += detector.changed and not before
            before = detector.changed
            assert len(detector._run) <= 200
        seen += detector.observed
    assert seen > 1000
    assert 0.005 < changed / seen < 0.1
