"""Choosing among cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.cascade.cuts import CutPoint, even_cuts, row_bytes, useful_cuts
from offramp.cascade.manifest import TensorSpec
from offramp.errors import ConfigError


def cut(index: int, flops: int, floats: int) -> CutPoint:
    """A cut where one tensor of ``floats`` numbers crosses."""
    return CutPoint(index, (TensorSpec(name=f"t{index}", dtype="float32", shape=(None, floats)),), flops)


def raw(floats: int) -> tuple[TensorSpec, ...]:
    """An input of ``floats`` numbers."""
    return (TensorSpec(name="x", dtype="float32", shape=(None, floats)),)


def test_of_equals_the_last_stays() -> None:
    cuts = [cut(1, 300, 64), cut(2, 300, 64), cut(3, 300, 64), cut(4, 600, 64)]
    assert useful_cuts(cuts, 1000, raw(4096)) == [cuts[2], cuts[3]]


def test_the_smallest_of_a_group_stays() -> None:
    cuts = [cut(1, 300, 64), cut(2, 300, 16), cut(3, 305, 32)]
    assert useful_cuts(cuts, 1000, raw(4096)) == [cuts[1]]


def test_cuts_beside_the_input_or_the_answer_are_pointless() -> None:
    cuts = [cut(1, 0, 64), cut(2, 500, 64), cut(3, 995, 8)]
    assert useful_cuts(cuts, 1000, raw(16)) == [cuts[1]]
    assert useful_cuts(cuts, 1000, raw(4096)) == cuts[:2]


def test_a_cut_with_an_exit_stands_for_its_group() -> None:
    cuts = [cut(1, 300, 64), cut(2, 300, 64), cut(3, 999, 64)]
    assert useful_cuts(cuts, 1000, raw(4096), keep=[cuts[0], cuts[2]]) == [cuts[0], cuts[2]]


def test_models_without_products_have_no_useful_cut() -> None:
    assert useful_cuts([cut(1, 0, 64), cut(2, 0, 32)], 0, raw(64)) == []


def test_dynamic_dimensions_are_compared_at_one_size() -> None:
    wide = CutPoint(1, (TensorSpec(name="w", dtype="float32", shape=(None, None, 64)),), 300)
    narrow = CutPoint(2, (TensorSpec(name="n", dtype="float32", shape=(None, None, 16)),), 300)
    assert (wide.payload_bytes, row_bytes(wide.tensors, 32)) == (None, 8192)
    assert useful_cuts([narrow, wide], 1000, raw(4096)) == [narrow]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.data())
def test_even_cuts_are_as_many_as_asked_for_and_in_order(flops: list[int], data: st.DataObject) -> None:
    cuts = [cut(i, f, 1) for i, f in enumerate(sorted(flops))]
    keep = data.draw(st.lists(st.sampled_from(cuts), unique=True))
    segments = data.draw(st.integers(len(keep) + 1, len(cuts) + 1))
    chosen = even_cuts(cuts, segments, 1000, keep=keep)
    assert len(chosen) == segments - 1
    assert set(keep) <= set(chosen)
    assert chosen == sorted(set(chosen), key=lambda c: c.index)


def test_more_exits_than_segments() -> None:
    cuts = [cut(1, 1, 1), cut(2, 2, 1)]
    with pytest.raises(ConfigError, match="2 early exits need at least 3 segments, not 2"):
        even_cuts(cuts, 2, 3, keep=cuts)
