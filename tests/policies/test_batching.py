"""Batches of offloads, sample by sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.links.network import Link
from offramp.policies.batching import BatchCosts, BatchRule, best_batch, send_in_batches

LINK = Link("device", "edge", bandwidth_bps=8000.0, rtt_s=0.1)
COSTS = BatchCosts(LINK, batch_bytes=50.0, batch_s=0.02, sample_s=0.001)
GAPS = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30)


@given(gaps=GAPS, size=st.integers(1, 6), wait_s=st.sampled_from([0.0, 0.5, 2.0, math.inf]))
def test_against_a_batcher_that_takes_one_sample_after_the_other(gaps: list[float], size: int, wait_s: float) -> None:
    at_s = np.cumsum(gaps)
    found = send_in_batches(at_s, 100.0, BatchRule(size, wait_s), COSTS)
    batches: list[tuple[float, list[float]]] = []
    held: list[float] = []
    for now_s in at_s.tolist():
        if held and now_s > held[0] + wait_s:
            batches.append((held[0] + wait_s, held))
            held = []
        held.append(now_s)
        if len(held) == size:
            batches.append((now_s, held))
            held = []
    if held:
        batches.append((held[-1] if math.isinf(wait_s) else held[0] + wait_s, held))
    expected, free_s = [], -math.inf
    for leaves_s, samples in batches:
        free_s = max(free_s, leaves_s) + (50 + 100 * len(samples)) / 1000
        expected += [free_s + 0.1 + 0.02 + 0.001 * len(samples) - sample for sample in samples]
    np.testing.assert_allclose(found.latency_s, expected, atol=1e-9)
    assert found.sizes.tolist() == [len(samples) for _, samples in batches]
    assert found.sizes.max() <= size
    assert found.sending_s == pytest.approx(sum(50 + 100 * s for s in found.sizes) / 1000)


def test_larger_batches_send_less_often_and_wait_longer() -> None:
    at_s = np.arange(60) * 0.5
    outcomes = [send_in_batches(at_s, 100.0, BatchRule(size), COSTS) for size in (1, 3, 10)]
    assert [one.transmissions for one in outcomes] == [60, 20, 6]
    assert np.diff([one.latency_s.mean() for one in outcomes]).min() > 0


@pytest.mark.parametrize(("price", "size"), [(0.0, 1), (1e9, 12)])
def test_the_best_size_is_what_is_dear(price: float, size: int) -> None:
    at_s = np.arange(60) * 0.5
    best, cost = best_batch(
        at_s, 100.0, COSTS, range(1, 13), transmission_price=price, latency_price_per_s=1.0, wait_s=100.0
    )
    assert best.rule.size == size
    assert cost.shape == (12,)


def test_a_busy_link_is_what_batches_relieve() -> None:
    at_s = np.arange(200) * 0.13
    best, cost = best_batch(at_s, 100.0, COSTS, range(1, 9), transmission_price=0.0, latency_price_per_s=1.0)
    assert best.rule.size > 1
    assert cost[0] > 2 * cost.min()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: BatchRule(0), "at least one"),
        (lambda: BatchRule(1, math.nan), "longest wait"),
        (lambda: send_in_batches([1.0, 0.0], 1.0, BatchRule(1), COSTS), "never fall"),
        (lambda: send_in_batches([], 1.0, BatchRule(1), COSTS), "never fall"),
        (lambda: send_in_batches([1.0], -1.0, BatchRule(1), COSTS), "bytes"),
        (lambda: best_batch([1.0], 1.0, COSTS, [], transmission_price=0, latency_price_per_s=0), "to try"),
    ],
)
def test_bad_input(made: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made()
