"""Half precision, 4-bit levels and sign planes: what they keep, and how many bytes they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from offramp.codecs.affine4 import Affine4, Affine4Channel
from offramp.codecs.base import Codec
from offramp.codecs.fp16 import Fp16
from offramp.codecs.packed import PackedFloats
from offramp.codecs.registry import codec_names, get_codec
from offramp.codecs.sign import Sign, SignChannel
from offramp.errors import SampleError

Array = NDArray[Any]
PACKED = [codec for codec in map(get_codec, codec_names()) if isinstance(codec, PackedFloats)]
PLAIN = [codec for codec in PACKED if not codec.compressed]

features = st.sampled_from(["float32", "float16"]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
        elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
    )
)


def back(codec: Codec, array: Array) -> Array:
    return codec.decode(codec.encode(array), array.dtype.name, array.shape)


@given(x=features)
def test_fp16_is_what_numpy_rounds_to(x: Array) -> None:
    if (np.abs(x.astype(np.float64)) <= 65504).all():
        np.testing.assert_array_equal(back(Fp16(), x), x.astype(np.float16).astype(x.dtype))


@given(x=hnp.arrays("float32", (2, 5), elements=st.floats(-(2.0**120), 2.0**120, width=32)))
def test_fp16_keeps_the_largest_value_of_every_row_to_eleven_bits(x: Array) -> None:
    largest = np.abs(x.astype(np.float64)).max(1)
    error = np.abs(np.abs(back(Fp16(), x).astype(np.float64)).max(1) - largest)
    assert (error <= np.maximum(largest / 2**11, 2.0**-25)).all()


def test_fp16_holds_the_largest_float32() -> None:
    x = np.array([[np.finfo(np.float32).max, -np.finfo(np.float32).max]], np.float32)
    np.testing.assert_array_equal(back(Fp16(), x), x)


@pytest.mark.parametrize("codec", [Affine4(), Affine4Channel()], ids=repr)
@example(x=np.full(1, np.finfo(np.float32).max))
@example(x=np.array([-1, 1], np.float32) * np.finfo(np.float32).max)
@given(x=features)
def test_four_bits_keep_the_ends_and_miss_by_half_a_step(codec: PackedFloats, x: Array) -> None:
    if not x.size:
        return
    axes = tuple(range(2 if codec.name.endswith("channel") and x.ndim > 2 else 1, x.ndim))
    got, wide = back(codec, x), x.astype(np.float64)
    np.testing.assert_array_equal(got.min(axes), x.min(axes))
    np.testing.assert_array_equal(got.max(axes), x.max(axes))
    half_step = (wide.max(axes, keepdims=True) - wide.min(axes, keepdims=True)) / 30
    limits = np.finfo(x.dtype)
    rounding = float(limits.eps) * np.abs(wide).max(axes, keepdims=True) + float(limits.smallest_subnormal)
    assert (np.abs(got - wide) <= half_step + rounding).all()


@pytest.mark.parametrize("codec", [Sign(), SignChannel()], ids=repr)
@given(x=features)
def test_the_sign_plane_keeps_every_sign(codec: PackedFloats, x: Array) -> None:
    np.testing.assert_array_equal(np.signbit(back(codec, x)), x < 0)


@given(x=hnp.arrays("float32", (2, 3, 4), elements=st.floats(-100, 100, width=32)))
def test_the_scale_of_a_sign_plane_has_the_least_squared_error(x: Array) -> None:
    wide = x.astype(np.float64)
    signs = np.where(wide < 0, -1.0, 1.0)
    best = (wide * signs).sum((1, 2)) / 12
    np.testing.assert_allclose(np.abs(back(Sign(), x))[:, 0, 0], best, rtol=1e-6, atol=1e-40)
    per_channel = np.abs(back(SignChannel(), x))[:, :, 0]
    np.testing.assert_allclose(per_channel, (wide * signs).mean(2), rtol=1e-6, atol=1e-40)


@pytest.mark.parametrize("codec", PACKED, ids=repr)
@given(x=features)
def test_a_row_does_not_depend_on_the_others(codec: PackedFloats, x: Array) -> None:
    together = back(codec, x)
    for i in range(len(x)):
        np.testing.assert_array_equal(back(codec, x[i : i + 1]), together[i : i + 1])


@pytest.mark.parametrize(
    ("name", "payload_bytes"),
    [
        ("fp16", 2 + 2 * 2 * 4 * 9),
        ("affine4", 2 * 8 + 4 * 9),
        ("affine4-channel", 2 * 4 * 8 + 4 * 9),
        ("sign", 2 * 4 + 9),
        ("sign-channel", 2 * 4 * 4 + 9),
    ],
)
def test_bytes_of_two_rows_of_four_channels(name: str, payload_bytes: int) -> None:
    assert len(get_codec(name).encode(np.ones((2, 4, 3, 3), np.float32))) == payload_bytes


@pytest.mark.parametrize("codec", PACKED, ids=repr)
def test_images_of_bytes_pass_unchanged(codec: PackedFloats) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    plain = get_codec("zstd" if codec.compressed else "raw")
    assert codec.encode(images) == plain.encode(images)


@pytest.mark.parametrize("codec", PLAIN, ids=repr)
def test_the_compressed_twin_decodes_to_the_same(codec: PackedFloats) -> None:
    x = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(back(get_codec(f"{codec.name}-zstd"), x), back(codec, x))


@pytest.mark.parametrize(
    ("codec", "data", "dtype", "says"),
    [
        (Fp16(), b"\x72" + bytes(6), "float32", "damaged exponents"),
        (Fp16(), b"\x01" + bytes(6), "float16", "damaged exponents"),
        (Fp16(), b"\x00" + np.array([1, np.inf, 0], "<f2").tobytes(), "float32", "hold NaN or infinity"),
        (Affine4(), np.array([1, 0], "<f4").tobytes() + bytes(2), "float32", "runs backwards"),
        (Affine4(), np.array([0, np.inf], "<f4").tobytes() + bytes(2), "float32", "not finite"),
        (Affine4(), np.array([0, 1], "<f4").tobytes() + b"\x00\x10", "float32", "half byte behind the last"),
        (Sign(), np.array([-1], "<f4").tobytes() + bytes(1), "float32", "negative or not finite"),
        (Sign(), np.array([np.nan], "<f4").tobytes() + bytes(1), "float32", "negative or not finite"),
        (Sign(), np.array([1], "<f4").tobytes() + b"\x01", "float32", "bit behind the last"),
        (Sign(), bytes(4), "float32", "4 bytes do not make .* which packs into 5"),
    ],
)
def test_damaged_bytes_are_refused(codec: PackedFloats, data: bytes, dtype: str, says: str) -> None:
    with pytest.raises(SampleError, match=says):
        codec.decode(data, dtype, (1, 3))
