"""The notation of a plan's precision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.cascade.precision import Precision, parse, precision_at, segments_of
from offramp.errors import ConfigError


@given(st.integers(0, 50))
def test_round_trip(count: int) -> None:
    assert parse(str(Precision(count))) == Precision(count)


@given(st.integers(0, 10), st.integers(0, 10))
def test_the_first_segments_are_int8(count: int, more: int) -> None:
    kinds = segments_of(str(Precision(count)), count + more)
    assert kinds == ("int8",) * count + ("fp32",) * more
    assert all(precision_at(str(Precision(count)), i) == kind for i, kind in enumerate(kinds))


@pytest.mark.parametrize("text", ["", "int8", "int8:0", "int8:-1", "int8:x", "fp16", "FP32", "int8: 2"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown precision"):
        parse(text)
