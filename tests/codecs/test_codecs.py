"""What single codecs do beyond the contract."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import zstandard

from offramp.codecs.registry import get_codec
from offramp.codecs.uint8 import Uint8
from offramp.codecs.zstd import Zstd
from offramp.errors import ConfigError, SampleError


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown codec 'zst'; did you mean 'zstd'\? installed are .*raw, .*zstd"):
        get_codec("zst")


def test_a_zip_bomb_is_refused_before_it_grows() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(100_000_000))
    with pytest.raises(SampleError, match="100000000 bytes, but 40 are expected"):
        Zstd().decode(bomb, "uint8", (40,))


def test_a_frame_of_unknown_size_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(40))
    with pytest.raises(SampleError):
        Zstd().decode(frame, "uint8", (40,))


def test_one_flipped_bit_is_noticed() -> None:
    data = bytearray(Zstd().encode(np.random.default_rng(0).integers(0, 256, 1000).astype(np.uint8)))
    data[500] ^= 1
    with pytest.raises(SampleError, match="damaged"):
        Zstd().decode(bytes(data), "uint8", (1000,))


def test_quantised_features_are_small() -> None:
    features = np.maximum(np.random.default_rng(0).normal(size=(1, 16, 32, 32)), 0).astype(np.float32)
    assert len(Uint8().encode(features)) < features.nbytes / 4.5


def test_extremes_of_a_tensor_stay() -> None:
    x = np.random.default_rng(0).normal(size=(2, 100)).astype(np.float32)
    back = Uint8().decode(Uint8().encode(x), "float32", x.shape)
    assert (back.min(), back.max()) == pytest.approx((x.min(), x.max()), rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["uint8", "fp16", "affine4", "sign"])
def test_a_codec_of_finite_values_refuses_others(name: str, bad: float) -> None:
    with pytest.raises(SampleError, match=f"'{name}' cannot hold NaN or infinity"):
        get_codec(name).encode(np.array([0.0, bad], np.float32))


@pytest.mark.parametrize(("scale", "zero_point"), [(np.nan, 0.0), (-1.0, 0.0), (1.0, np.inf)])
def test_a_header_that_makes_no_sense(scale: float, zero_point: float) -> None:
    data = struct.pack("<dd", scale, zero_point) + Zstd().compress(bytes(4))
    with pytest.raises(SampleError, match="damaged header"):
        Uint8().decode(data, "float32", (4,))
