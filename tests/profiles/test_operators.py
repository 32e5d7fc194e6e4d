"""Operators as they run: kinds, work and features, from shapes alone and from ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.quantise import quantise
from offramp.profiles.operators import FEATURES, PUBLISHED_FEATURES, Operator
from offramp.profiles.segment_macs import segment_macs
from offramp.profiles.tracing import trace_segment
from tests.support.images import CHANNELS, make_image_cascade
from tests.support.tiny_text import make_tiny_text_cascade

SHAPES = tuple[tuple[int, ...], ...]


def operator(type_: str, inputs: SHAPES, outputs: SHAPES, integer: bool = False) -> Operator:
    return Operator(type=type_, integer=integer, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    ("type_", "inputs", "outputs", "integer", "group", "macs"),
    [
        ("Conv", ((1, 8, 6, 6), (4, 8, 3, 3), (4,)), ((1, 4, 6, 6),), False, "conv", 4 * 36 * 8 * 9),
        ("Conv", ((1, 8, 6, 6), (8, 1, 3, 3)), ((1, 8, 3, 3),), False, "depthwise", 8 * 9 * 9),
        ("Conv", ((1, 1, 6, 6), (4, 1, 3, 3)), ((1, 4, 6, 6),), False, "conv", 4 * 36 * 9),
        (
            *("QLinearConv", ((1, 6, 6, 8), (), (), (4, 8, 3, 3), (4,), (4,), (), ())),
            *(((1, 6, 6, 4),), True, "conv int8", 4 * 36 * 8 * 9),
        ),
        ("QLinearConv", ((1, 6, 6, 8), (), (), (8, 1, 3, 3)), ((1, 6, 6, 8),), True, "depthwise int8", 8 * 36 * 9),
        ("Gemm", ((1, 16), (16, 10), (10,)), ((1, 10),), False, "matmul", 160),
        ("FusedMatMul", ((1, 2, 5, 4), (1, 2, 4, 5)), ((1, 2, 5, 5),), False, "matmul", 2 * 5 * 5 * 4),
        ("MaxPool", ((1, 2, 4, 4),), ((1, 2, 2, 2),), False, "pool", 0),
        ("ReduceMean", ((1, 2, 4, 4), (2,)), ((1, 2),), False, "reduce", 0),
        ("Relu", ((1, 2),), ((1, 2),), False, "elementwise", 0),
        ("QLinearAdd", ((1, 2), (), (), (1, 2)), ((1, 2),), True, "elementwise", 0),
        ("BiasGelu", ((1, 2), (2,)), ((1, 2),), False, "function", 0),
        ("LayerNormalization", ((1, 2), (2,), (2,)), ((1, 2),), False, "normalise", 0),
        ("Softmax", ((1, 2),), ((1, 2),), False, "softmax", 0),
        ("Transpose", ((1, 2),), ((2, 1),), False, "copy", 0),
        ("Reshape", ((1, 2), (2,)), ((2, 1),), False, "view", 0),
        ("TopK", ((1, 9), ()), ((1, 2), (1, 2)), False, "other", 0),
    ],
)
def test_group_and_work(type_: str, inputs: SHAPES, outputs: SHAPES, integer: bool, group: str, macs: int) -> None:
    found = operator(type_, inputs, outputs, integer)
    assert (found.group, found.macs) == (group, macs)
    assert all(found.feature(name) >= 0 for name in {*FEATURES[found.kind], *PUBLISHED_FEATURES[found.kind]})


def test_the_published_features_of_a_strided_convolution() -> None:
    conv = operator("Conv", ((1, 3, 32, 32), (16, 3, 3, 3)), ((1, 16, 16, 16),))
    assert conv.feature("input_values") == 3 * 32 * 32
    assert conv.feature("filter_work") == pytest.approx((3 / 2) ** 2 * 16)
    assert conv.feature("input_values") * conv.feature("filter_work") == pytest.approx(conv.macs)
    assert conv.feature("patch_values") == 16 * 16 * 27
    last = operator("QLinearConv", ((1, 32, 32, 3), (), (), (16, 3, 3, 3)), ((1, 16, 16, 16),), integer=True)
    assert last.feature("filter_work") == pytest.approx((3 / 2) ** 2 * 16)


def test_a_trace_says_what_ran(tmp_path: Path) -> None:
    cascade = make_image_cascade(tmp_path)
    image = (np.zeros((1, 8, 8, 3), np.uint8),)
    first, second = cascade.load_segments()
    before = trace_segment(first, image, runs=3)
    after = trace_segment(second, first.run(image).hand_over)
    assert {"conv", "copy"} <= {op.kind for op in before}
    assert {"depthwise", "pool", "matmul"} <= {op.kind for op in after}
    assert sum(op.macs for op in before) == 8 * 8 * CHANNELS * 27
    for spec, operators in zip(cascade.manifest.segments, (before, after), strict=True):
        assert segment_macs(spec, operators) == sum(op.macs for op in operators) > 0
    assert any(op.seconds > 0 for op in before)


def test_a_trace_of_8_bit_convolutions_knows_their_weights(tmp_path: Path) -> None:
    cascade = make_image_cascade(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3)).astype(np.uint8)
    cascade = quantise(cascade, [images], [0])
    plain, small = (cascade.segment(0, precision=precision) for precision in ("fp32", "int8"))
    found = trace_segment(small, (images[:1],))
    assert "conv int8" in {op.group for op in found}
    assert sum(op.macs for op in found) == sum(op.macs for op in trace_segment(plain, (images[:1],)))


def test_work_that_hangs_on_the_length_of_a_text_is_counted_where_it_ran(tmp_path: Path) -> None:
    cascade = make_tiny_text_cascade(tmp_path)
    segment = cascade.segment(0)
    long, short = (
        trace_segment(segment, tuple(np.ones((1, size), np.int64) for _ in cascade.manifest.inputs)) for size in (12, 3)
    )
    assert segment_macs(segment.spec, long) >= segment_macs(segment.spec, lambda: short)
    assert segment_macs(segment.spec, short) == sum(op.macs for op in short)
