"""Bandwidth estimators: what all of them promise, and what each one computes."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.data.registry import data_folder
from offramp.errors import ConfigError, SampleError
from offramp.links import estimators
from offramp.links.estimators import Estimator, Ewma, HarmonicMean, WindowQuantile, estimator_from_json
from offramp.links.trace import load_trace

NAN, INF = float("nan"), float("inf")
KINDS = sorted(
    (k for k in vars(estimators).values() if isinstance(k, type) and issubclass(k, Estimator) and hasattr(k, "name")),
    key=lambda kind: kind.name,
)
RATES = st.lists(st.floats(0, 1e10), min_size=1, max_size=40)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def fed(estimator: Estimator, rates: list[float]) -> Estimator:
    for bandwidth_bps in rates:
        estimator.update(bandwidth_bps)
    return estimator


def test_all_kinds_are_found() -> None:
    assert [kind.name for kind in KINDS] == ["ewma", "harmonic-mean", "window-quantile"]


@every_kind
def test_the_declared_rate_holds_until_something_is_seen(kind: Callable[[float], Estimator]) -> None:
    assert kind(3e6).bandwidth_bps == 3e6


@every_kind
@given(rates=RATES)
def test_between_least_and_greatest(kind: Callable[[float], Estimator], rates: list[float]) -> None:
    estimate = fed(kind(1e6), rates).bandwidth_bps
    assert min(rates) * (1 - 1e-12) <= estimate <= max(rates) * (1 + 1e-12)


@every_kind
@given(rate=st.floats(0, 1e12), rows=st.integers(1, 30))
def test_a_steady_link_is_known(kind: Callable[[float], Estimator], rate: float, rows: int) -> None:
    assert fed(kind(1e6), [rate] * rows).bandwidth_bps == pytest.approx(rate, rel=1e-12)


@every_kind
@given(before=RATES, after=RATES)
def test_json_goes_on_where_it_was(kind: Callable[[float], Estimator], before: list[float], after: list[float]) -> None:
    estimator = fed(kind(1e6), before)
    estimator.observe(1000, 0.5, 12.5)
    again = estimator_from_json(estimator.to_json())
    assert again == estimator
    assert again.last_s == 12.5
    assert fed(again, after).bandwidth_bps == fed(estimator, after).bandwidth_bps


@every_kind
def test_repr_reproduces(kind: Callable[[float], Estimator]) -> None:
    estimator = kind(2e6)
    assert eval(repr(estimator), vars(estimators)) == estimator


@every_kind
@given(payload_bytes=st.floats(1, 1e9), seconds=st.floats(1e-6, 1e4))
def test_a_transfer_is_its_rate(kind: Callable[[float], Estimator], payload_bytes: float, seconds: float) -> None:
    seen, told = kind(1e6), kind(1e6)
    seen.observe(payload_bytes, seconds, 1.0)
    told.update(payload_bytes * 8 / seconds)
    assert seen.bandwidth_bps == told.bandwidth_bps


@every_kind
def test_a_transfer_that_never_arrives_is_an_outage(kind: Callable[[float], Estimator]) -> None:
    seen, told = fed(kind(1e6), [2e6, 3e6]), fed(kind(1e6), [2e6, 3e6, 0.0])
    seen.observe(1000, INF, 1.0)
    assert seen.bandwidth_bps == told.bandwidth_bps
    assert fed(kind(1e6), [0.0]).bandwidth_bps == 0.0


@every_kind
@pytest.mark.parametrize(
    ("transfer", "words"),
    [
        ((0, 1.0, 3.0), "must have bytes, not 0"),
        ((-1, 1.0, 3.0), "must have bytes, not -1"),
        ((NAN, 1.0, 3.0), "must have bytes, not nan"),
        ((INF, 1.0, 3.0), "must have bytes, not inf"),
        ((10, 0.0, 3.0), "of 10 bytes must take time, not 0.0 s"),
        ((10, -1.0, 3.0), "must take time"),
        ((10, NAN, 3.0), "must take time, not nan s"),
        ((10, 5e-324, 3.0), "must be zero or more bit/s, not inf"),
        ((10, 1.0, 1.0), "now_s must not go back, but 1.0 follows 2.0"),
        ((10, 1.0, NAN), "now_s must not go back, but nan"),
    ],
)
def test_what_is_no_transfer_is_refused(
    kind: Callable[[float], Estimator], transfer: tuple[float, float, float], words: str
) -> None:
    estimator = kind(1e6)
    estimator.observe(1000, 1.0, 2.0)
    before = estimator.to_json()
    with pytest.raises(SampleError, match=words):
        estimator.observe(*transfer)
    assert estimator.to_json() == before


@every_kind
@pytest.mark.parametrize("bandwidth_bps", [-1.0, NAN, INF, -INF])
def test_what_is_no_bandwidth_is_refused(kind: Callable[[float], Estimator], bandwidth_bps: float) -> None:
    with pytest.raises(SampleError, match=r"observed bandwidth must be zero or more bit/s"):
        kind(1e6).update(bandwidth_bps)
    with pytest.raises(ConfigError, match="initial_bps must be zero or more"):
        kind(bandwidth_bps)


@given(rates=st.lists(st.floats(0, 1e9), min_size=1, max_size=20), weight=st.floats(0.01, 1))
def test_ewma_is_its_sum(rates: list[float], weight: float) -> None:
    shares = [weight * (1 - weight) ** age for age in range(len(rates))][::-1]
    shares[0] = (1 - weight) ** (len(rates) - 1)
    expected = math.fsum(share * rate for share, rate in zip(shares, rates, strict=True))
    assert fed(Ewma(1e6, weight), rates).bandwidth_bps == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(rates=RATES, window=st.integers(1, 10))
def test_harmonic_mean_is_that_of_the_library(rates: list[float], window: int) -> None:
    expected = 0.0 if 0 in rates[-window:] else statistics.harmonic_mean(rates[-window:])
    assert fed(HarmonicMean(1e6, window), rates).bandwidth_bps == pytest.approx(expected, rel=1e-9)


def test_harmonic_mean_of_the_tiniest_rates() -> None:
    assert fed(HarmonicMean(1e6), [5e-324, 5e-324]).bandwidth_bps == 5e-324


@given(rates=RATES, window=st.integers(1, 30), quantile=st.floats(0, 1))
def test_quantile_is_that_of_numpy(rates: list[float], window: int, quantile: float) -> None:
    last = rates[-window:]
    rank = int(np.quantile(np.arange(len(last)), quantile, method="lower"))
    assert fed(WindowQuantile(1e6, window, quantile), rates).bandwidth_bps == sorted(last)[rank]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ewma(1e6, 0.0), r"ewma: weight must lie in \(0, 1\], not 0.0"),
        (lambda: Ewma(1e6, NAN), "weight must lie"),
        (lambda: HarmonicMean(1e6, 0), "harmonic-mean: window must be a number of observations from 1 to 100000"),
        (lambda: HarmonicMean(1e6, 2.5), "window must be"),  # type: ignore[arg-type]  # on purpose
        (lambda: WindowQuantile(1e6, 5, 1.5), r"window-quantile: quantile must lie in \[0, 1\], not 1.5"),
        (lambda: WindowQuantile(1e6, 5, NAN), "quantile must lie"),
    ],
)
def test_settings_are_checked(make: Callable[[], Estimator], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"name": "nothing"},
        {"name": []},
        {"seen": [NAN]},
        {"seen": 3},
        {"seen": ["1"]},
        {"window": -1},
        {"extra": 1},
        {"last_s": NAN},
        {"last_s": 10**400},
        {"last_s": "now"},
    ],
)
def test_damaged_json_is_refused(change: dict[str, object]) -> None:
    body = json.loads(fed(HarmonicMean(1e6), [1e6]).to_json())
    with pytest.raises(ConfigError, match="not a bandwidth estimator"):
        estimator_from_json(json.dumps({**body, **change}))


@pytest.mark.parametrize("text", ["", "[]", "3", "{}"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a bandwidth estimator"):
        estimator_from_json(text)


@pytest.mark.data
@pytest.mark.skipif(data_folder() is None, reason="no data folder: set OFFRAMP_DATA to run this")
def test_a_low_quantile_is_seldom_too_high_on_real_links() -> None:
    folder = data_folder()
    assert folder is not None
    too_high = {"ewma": 0, "window-quantile": 0}
    rows = 0
    for file in sorted((folder / "traces").glob("*/*.csv.gz"))[::10]:
        rates = load_trace(file).bandwidth_bps
        for estimator in (Ewma(rates[0]), WindowQuantile(rates[0])):
            for bandwidth_bps in rates:
                too_high[estimator.name] += estimator.bandwidth_bps > bandwidth_bps
                estimator.update(bandwidth_bps)
        rows += len(rates)
    assert rows > 1000
    assert too_high["window-quantile"] < 0.25 * rows < too_high["ewma"]
