"""Binary convolutions on packed bits, against sums written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.cascade.kernels.binary_conv import BinaryConv, GridConv, pack_filters
from offramp.cascade.kernels.chain import Chain, Link
from offramp.cascade.kernels.compiling import compile_kernels, why_not
from offramp.errors import ConfigError

Floats = NDArray[np.float32]
needs_kernels = pytest.mark.skipif(bool(why_not()), reason=why_not() or "kernels are there")


def convolution(x: Floats, weight: Floats, stride: int) -> Floats:
    """(H, W, C), (O, C, k, k) to (H / stride, W / stride, O), in float64."""
    k = weight.shape[2]
    padded = np.pad(x.astype(np.float64), ((k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(0, 1))[::stride, ::stride]
    sums: Floats = np.einsum("hwcij,ocij->hwo", windows, weight).astype(np.float32)
    return sums


@needs_kernels
@pytest.mark.parametrize(("channels", "filters"), [(16, 16), (16, 32), (64, 64), (8, 5), (24, 40), (128, 17)])
@pytest.mark.parametrize(("size", "stride"), [((8, 8), 1), ((6, 10), 2), ((7, 5), 2), ((1, 1), 1)])
def test_a_binary_convolution_is_the_sum_written_out(
    channels: int, filters: int, size: tuple[int, int], stride: int
) -> None:
    random = np.random.default_rng(channels * filters + stride)
    x = random.standard_normal((*size, channels)).astype(np.float32)
    weight = random.choice([-1.0, 1.0], (filters, channels, 3, 3)).astype(np.float32)
    threshold, *rest = (random.standard_normal(n).astype(np.float32) for n in (channels, filters, filters, filters))
    x[0, 0] = threshold  # at the threshold counts as 1
    sums = convolution(np.where(x >= threshold, 1.0, -1.0).astype(np.float32), weight, stride)
    added = random.standard_normal(sums.shape).astype(np.float32)
    scale, factor, shift = rest
    value = sums * scale * factor + shift
    found = BinaryConv(weight, threshold, scale, factor, shift, 0.25, stride)(x)
    np.testing.assert_array_equal(found, np.where(value < 0, value * np.float32(0.25), value))
    found = BinaryConv(weight, threshold, scale, factor, shift, 1.0, stride)(x, added)
    np.testing.assert_array_equal(found, value + added)


@needs_kernels
@pytest.mark.parametrize(("k", "stride"), [(1, 2), (3, 1), (3, 2)])
def test_a_convolution_on_a_grid(k: int, stride: int) -> None:
    random = np.random.default_rng(k)
    x = random.standard_normal((9, 8, 5)).astype(np.float32)
    weight = (np.rint(random.standard_normal((7, 5, k, k)) * 1024) / 1024).astype(np.float32)
    bias = random.standard_normal(7).astype(np.float32)
    wanted = convolution((np.rint(x * 64) / 64).astype(np.float32), weight, stride) + bias
    np.testing.assert_array_equal(GridConv(weight, 6, bias, leak=0.0, stride=stride)(x), np.maximum(wanted, 0))


@needs_kernels
def test_shapes_that_do_not_fit_are_refused() -> None:
    ones = np.ones(8, np.float32)
    with pytest.raises(ConfigError, match=r"scale has shape \(9,\), it must be \(8,\)"):
        BinaryConv(np.ones((8, 8, 3, 3), np.float32), ones, np.ones(9, np.float32), ones, ones)
    conv = BinaryConv(np.ones((8, 8, 3, 3), np.float32), ones, ones, ones, ones)
    with pytest.raises(ConfigError, match="features are float32"):
        conv(np.ones((4, 4, 16), np.float32))
    assert conv.packed_bytes == 3 * 8 * 8


@pytest.mark.parametrize("weight", [np.ones((2, 8, 5, 5)), np.ones((2, 6, 3, 3)), np.zeros((2, 8, 3, 3))])
def test_filters_that_cannot_be_packed_are_refused(weight: NDArray[np.float64]) -> None:
    with pytest.raises(ConfigError, match="takes 3 x 3 filters of -1 and 1 with a multiple of 8 channels"):
        pack_filters(weight)


def test_without_a_compiler_a_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no C compiler \(no-such-cc\).*ONNX Runtime computes them instead"):
        compile_kernels(tmp_path, {"CC": "no-such-cc", "PATH": "/nowhere"})
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'no such option' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ConfigError, match=r"cannot make the binary kernels \(no such option\)"):
        compile_kernels(tmp_path / "cache", {"CC": str(broken)})
    assert not list((tmp_path / "cache").iterdir())


@needs_kernels
def test_what_is_compiled_is_kept(tmp_path: Path) -> None:
    import os

    first = compile_kernels(tmp_path, os.environ)
    (file,) = tmp_path.iterdir()
    stamp = file.stat().st_mtime_ns
    assert compile_kernels(tmp_path, os.environ).level == first.level
    assert file.stat().st_mtime_ns == stamp


@needs_kernels
def test_a_chain_is_the_convolutions_one_by_one() -> None:
    random = np.random.default_rng(0)

    def real(*shape: int) -> Floats:
        return (np.rint(random.standard_normal(shape) * 64) / 64).astype(np.float32)

    def binary(channels: int, filters: int, stride: int = 1) -> BinaryConv:
        weight = random.choice([-1.0, 1.0], (filters, channels, 3, 3)).astype(np.float32)
        return BinaryConv(weight, real(channels), real(filters), real(filters), real(filters), 0.25, stride)

    stem, short = GridConv(real(16, 3, 3, 3), 6, leak=0.0), GridConv(real(24, 16, 1, 1), 7, stride=2)
    first, second = binary(16, 24, 2), binary(24, 24)
    chain = Chain([Link(stem, -1), Link(short, 0), Link(first, 0, 1), Link(second, 2, 2)])
    for size in ((8, 8), (7, 5), (8, 8)):
        x = random.standard_normal((*size, 3)).astype(np.float32)
        begin = stem(x)
        middle = first(begin, short(begin))
        np.testing.assert_array_equal(chain(x), second(middle, middle))
    with pytest.raises(ConfigError, match=r"link 0 does not take maps of \(8, 8, 4\)"):
        chain(np.zeros((8, 8, 4), np.float32))
    with pytest.raises(ConfigError, match="link 0 reads what comes later"):
        Chain([Link(stem, 0)])
