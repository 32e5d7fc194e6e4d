"""What every codec promises; codecs are discovered, ours and those of other packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import offramp.codecs.affine4
import offramp.codecs.fp16
import offramp.codecs.jpeg
import offramp.codecs.raw
import offramp.codecs.sign
import offramp.codecs.uint8
import offramp.codecs.webp
import offramp.codecs.zstd
from offramp.codecs.base import DTYPES, Codec
from offramp.codecs.registry import codec_names, get_codec
from offramp.errors import OfframpError, PayloadTooLarge, SampleError

CODECS = [get_codec(name) for name in codec_names()]
Array = NDArray[Any]

SHAPES = [(1, 5), (3, 4, 2), (0, 7), (1, 0), (2,), ()]


def some_arrays() -> Iterator[Array]:
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for shape in SHAPES:
            yield (rng.normal(0, 3, shape) if dtype.startswith("f") else rng.integers(0, 2, shape)).astype(dtype)
    images = rng.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    yield images
    yield images[1:3, 2:, ::-2, :1]
    yield images[:0]
    yield images[::2, :, ::-1].transpose(0, 3, 1, 2)  # not contiguous
    yield np.asfortranarray(rng.normal(size=(5, 6)).astype(np.float32))
    yield rng.normal(size=(2, 3)).astype(">f4")
    yield np.full((2, 3), 7.25, np.float32)


def round_trip(codec: Codec, array: Array) -> Array:
    return codec.decode(codec.encode(array), array.dtype.name, array.shape)


def assert_as_promised(codec: Codec, array: Array) -> None:
    back = round_trip(codec, array)
    assert back.dtype.name == array.dtype.name
    assert back.shape == array.shape
    if codec.lossless:
        np.testing.assert_array_equal(back, array)
    bound = codec.error_bound(array)
    assert bound.shape == array.shape
    assert (np.abs(back.astype(np.float64) - array) <= bound).all()


def check_error_bound_is_honest(codec: Codec) -> None:
    for array in some_arrays():
        bound = codec.error_bound(array)
        assert (bound >= 0).all()
        assert not (codec.lossless and bound.any())


def check_repr_reproduces(codec: Codec) -> None:
    names = {type(codec).__name__: type(codec)}
    twin = eval(repr(codec), names)
    assert repr(twin) == repr(codec)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert twin.encode(array) == codec.encode(array)
    bounded = type(codec)(max_bytes=8)
    assert eval(repr(bounded), names).max_bytes == 8


def check_round_trip(codec: Codec) -> None:
    for array in some_arrays():
        assert_as_promised(codec, array)


def check_memory_layout_does_not_matter(codec: Codec) -> None:
    for array in some_arrays():
        assert codec.encode(array) == codec.encode(np.ascontiguousarray(array).reshape(array.shape))


def check_same_input_same_bytes(codec: Codec) -> None:
    array = np.random.default_rng(1).normal(size=(3, 50)).astype(np.float32)
    before = array.copy()
    first = codec.encode(array)
    np.testing.assert_array_equal(array, before)
    assert codec.encode(array.copy()) == first == get_codec(codec.name).encode(array)


def check_threads_do_not_disturb_each_other(codec: Codec) -> None:
    arrays = [np.random.default_rng(i).normal(size=(2, 300)).astype(np.float32) for i in range(16)]
    alone = [codec.encode(array) for array in arrays]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(codec.encode, arrays)) == alone


def check_truncated_bytes_are_refused(codec: Codec) -> None:
    for dtype in ("float32", "uint8"):
        array = np.random.default_rng(2).integers(0, 200, (2, 40)).astype(dtype)
        data = codec.encode(array)
        for length in (0, 1, 5, len(data) // 2, len(data) - 1):
            with pytest.raises(SampleError):
                codec.decode(data[:length], dtype, array.shape)
        with pytest.raises(SampleError):
            codec.decode(data + b"\0", dtype, array.shape)


def check_garbage_is_refused_or_decoded_within_bounds(codec: Codec) -> None:
    rng = np.random.default_rng(3)
    for length in (0, 3, 16, 17, 40, 333):
        garbage = rng.bytes(length)
        with pytest.raises(SampleError):
            codec.decode(garbage, "float32", (2, 1000))


def check_another_shape_is_refused(codec: Codec) -> None:
    data = codec.encode(np.ones((2, 40), np.float32))
    for shape in ((2, 41), (2, 4_000_000), (0, 40), (-1, -80)):
        with pytest.raises(SampleError):
            codec.decode(data, "float32", shape)
    with pytest.raises(SampleError):
        codec.decode(data, "object", (2, 40))


def check_decoding_is_bounded(codec: Codec) -> None:
    small = type(codec)(max_bytes=100)
    array = np.zeros((1, 26), np.float32)
    with pytest.raises(PayloadTooLarge, match="104 bytes, but at most 100"):
        small.decode(small.encode(array), "float32", array.shape)
    with pytest.raises(PayloadTooLarge):
        codec.decode(b"", "float32", (1 << 20, 1 << 20, 1 << 20))
    assert small.decode(small.encode(array[:, :25]), "float32", (1, 25)).shape == (1, 25)


def check_dtypes_that_cannot_travel_are_refused(codec: Codec) -> None:
    for array in (np.zeros(2, np.complex64), np.array(["a"]), np.array([None]), np.zeros(2, np.float64)):
        with pytest.raises(SampleError, match="cannot travel"):
            codec.encode(array)


CHECKS: list[Callable[[Codec], None]] = [
    value for name, value in sorted(globals().items()) if name.startswith("check_")
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_codec_contract(codec: Codec, check: Callable[[Codec], None]) -> None:
    check(codec)


tensors = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6),
        elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
    )
)


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@settings(max_examples=80, deadline=None)
@given(array=tensors)
def test_any_tensor_survives(codec: Codec, array: Array) -> None:
    assert_as_promised(codec, array)


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=200), dtype=st.sampled_from(DTYPES), rows=st.integers(0, 12))
def test_foreign_bytes_never_crash(codec: Codec, data: bytes, dtype: str, rows: int) -> None:
    try:
        array = codec.decode(data, dtype, (rows, 3))
    except OfframpError:
        return
    assert array.shape == (rows, 3)
    assert array.dtype.name == dtype


@pytest.mark.parametrize(
    "kind",
    [
        offramp.codecs.raw.Raw,
        offramp.codecs.zstd.Zstd,
        offramp.codecs.uint8.Uint8,
        offramp.codecs.fp16.Fp16,
        offramp.codecs.fp16.Fp16Zstd,
        offramp.codecs.affine4.Affine4,
        offramp.codecs.affine4.Affine4Zstd,
        offramp.codecs.affine4.Affine4Channel,
        offramp.codecs.affine4.Affine4ChannelZstd,
        offramp.codecs.sign.Sign,
        offramp.codecs.sign.SignZstd,
        offramp.codecs.sign.SignChannel,
        offramp.codecs.sign.SignChannelZstd,
        offramp.codecs.webp.Webp,
        offramp.codecs.jpeg.Jpeg,
    ],
)
def test_ours_are_installed(kind: type[Codec]) -> None:
    assert isinstance(get_codec(kind.name), kind)
