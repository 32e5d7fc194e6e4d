"""Few different values at their true bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.codecs.palette import Palette, PaletteZstd
from offramp.errors import SampleError

CODECS = [Palette(), PaletteZstd()]


@given(st.sampled_from(["float32", "float16", "int8"]), st.integers(1, 300), st.integers(1, 700), st.integers(0, 99))
def test_nothing_is_lost(dtype: str, values: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    palette = random.normal(size=values).astype(dtype)
    array = random.choice(palette, (count,)).reshape(1, count)
    for codec in CODECS:
        np.testing.assert_array_equal(codec.decode(codec.encode(array), dtype, array.shape), array)


@pytest.mark.parametrize(("values", "bits"), [(2, 1), (3, 2), (4, 2), (16, 4), (256, 8)])
def test_it_takes_the_bits_it_promises(values: int, bits: int) -> None:
    array = np.random.default_rng(0).integers(0, values, (1, 64, 8, 8)).astype(np.float32) * 0.37
    assert len(Palette().encode(array)) == 2 + 4 * values + 4096 * bits // 8


def test_special_values_survive() -> None:
    array = np.array([[0.0, -0.0, np.nan, np.inf]], np.float32)
    back = Palette().decode(Palette().encode(array), "float32", array.shape)
    np.testing.assert_array_equal(back.view(np.uint32), array.view(np.uint32))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x02", "1 bytes are too few for a header"),
        (b"\x09\x00" + bytes(40), "a table of 9 values for 8"),
        (b"\x02\x00" + bytes(4), "a table of 2 values for 8 in 6 bytes"),
        (b"\x02\x00" + bytes(10), "2 bytes behind the table, but 1 are expected"),
        (b"\x03\x00" + bytes(12) + b"\xff\xff", "an index points behind the table of 3 values"),
    ],
)
def test_damaged_bytes_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(SampleError, match=sentence):
        Palette().decode(data, "float32", (1, 8))


def test_bits_behind_the_last_value_are_refused() -> None:
    with pytest.raises(SampleError, match="a bit behind the last value is not 0"):
        Palette().decode(b"\x02\x00" + bytes(8) + b"\xff", "float32", (1, 7))
