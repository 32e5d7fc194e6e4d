"""Per-sample exit in a batch: survivors gathered, order kept, equal to one row at a time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offramp.cascade.pace import Pace
from offramp.cascade.segment import Segment, SegmentOutput
from offramp.cascade.walk import NO_EXIT, Walk, walk
from tests.support.tiny import CLASSES, make_tiny_cascade, tiny_rows

SEGMENTS: tuple[Segment, ...] = make_tiny_cascade(Path(tempfile.mkdtemp()), segments=3).load_segments()
TEMPERATURES = (1.0, 1.5, 2.0)


def _walk(x: NDArray[np.float32], thresholds: tuple[float, ...], segments: slice = slice(None)) -> Walk:
    def stop(exit_index: int, output: SegmentOutput) -> NDArray[np.bool_]:
        assert output.confidence is not None
        return np.asarray(output.confidence >= thresholds[exit_index])

    chosen = SEGMENTS[segments]
    return walk(chosen, list(range(3))[segments], TEMPERATURES, (x,), stop, CLASSES)


thresholds = st.tuples(st.floats(0.3, 1.0), st.floats(0.3, 1.0), st.just(0.0))


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 17), seed=st.integers(0, 99), gates=thresholds)
def test_batch_equals_one_by_one(rows: int, seed: int, gates: tuple[float, ...]) -> None:
    x = tiny_rows(rows, seed)
    batch = _walk(x, gates)
    single = [_walk(x[i : i + 1], gates) for i in range(rows)]
    margin = min(abs(float(s.confidence[0]) - t) for s in single for t in gates)
    if margin < 1e-5:
        return  # the last bit of a sum may depend on the batch size
    assert batch.exit.tolist() == [int(s.exit[0]) for s in single]
    assert batch.label.tolist() == [int(s.label[0]) for s in single]
    np.testing.assert_allclose(batch.probabilities, np.concatenate([s.probabilities for s in single]), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 40), seed=st.integers(0, 99), gates=thresholds)
def test_an_exited_row_runs_no_further_segment(rows: int, seed: int, gates: tuple[float, ...]) -> None:
    result = _walk(tiny_rows(rows, seed), gates)
    assert result.rows_executed == [int((result.exit >= segment).sum()) for segment in range(3)]
    assert len(result.survivors) == 0


def test_survivors_carry_their_own_tensors() -> None:
    x = tiny_rows(30)
    everything = _walk(x, (2.0, 2.0, 2.0), slice(0, 2))
    some = _walk(x, (0.8, 0.8, 2.0), slice(0, 2))
    assert 0 < len(some.survivors) < 30
    assert some.survivors.tolist() == sorted(some.survivors.tolist())
    np.testing.assert_allclose(some.tensors[0], everything.tensors[0][some.survivors], atol=1e-6)
    assert (some.exit[some.survivors] == 1).all(), "the deepest exit computed is kept as a fallback"


def test_confidence_is_the_tempered_maximum_probability() -> None:
    result = _walk(tiny_rows(5), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(result.confidence, result.probabilities.max(1))
    hot = SEGMENTS[0].run((tiny_rows(5),), temperature=10.0)
    assert hot.confidence is not None
    assert (hot.confidence < result.confidence).all()


def test_logits_do_not_depend_on_temperature() -> None:
    _, logits = SEGMENTS[0].run_with_logits((tiny_rows(5),))
    output = SEGMENTS[0].run((tiny_rows(5),), temperature=2.0)
    assert logits is not None
    assert output.probabilities is not None
    scaled = np.exp(logits / 2.0)
    np.testing.assert_allclose(output.probabilities, scaled / scaled.sum(1, keepdims=True), atol=1e-6)


def test_no_exit_yet() -> None:
    result = walk(SEGMENTS[:1], [None], TEMPERATURES, (tiny_rows(2),), lambda *_: np.ones(2, bool), CLASSES)
    assert result.exit.tolist() == [NO_EXIT, NO_EXIT]
    assert result.survivors.tolist() == [0, 1]


def test_a_slower_machine_takes_longer() -> None:
    import time

    def work() -> int:
        begin = time.thread_time()
        while time.thread_time() - begin < 0.005:
            pass
        return 7

    begin = time.perf_counter()
    assert Pace(10.0).run(work) == 7
    assert time.perf_counter() - begin >= 0.05
    with pytest.raises(ValueError, match="at least 1"):
        Pace(0.5)
