"""Images as picture files."""

from __future__ import annotations

import struct
import sys
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from offramp.codecs.jpeg import Jpeg
from offramp.codecs.pictures import Pictures
from offramp.codecs.webp import Webp
from offramp.codecs.zstd import Zstd
from offramp.errors import ConfigError, OfframpError, SampleError

BOTH = [Webp(), Jpeg()]

batches = st.tuples(*(st.integers(1, side) for side in (3, 20, 20)), st.sampled_from([1, 3])).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape)
)


def smooth(n: int, channels: int) -> NDArray[np.uint8]:
    """Images (n, 32, 32, channels) as slow waves."""
    y, x = np.mgrid[:32, :32] / 10
    waves = [np.sin(x + i) * np.cos(y - k) for i in range(n) for k in range(channels)]
    return (127 + 100 * np.stack(waves).reshape(n, channels, 32, 32).transpose(0, 2, 3, 1)).astype(np.uint8)


def file_of(kind: str, size: tuple[int, int] = (8, 8), mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def packed(*files: bytes) -> bytes:
    return b"\1" + b"".join(struct.pack("<I", len(file)) + file for file in files)


@given(images=batches)
def test_webp_gives_back_every_pixel(images: NDArray[np.uint8]) -> None:
    data = Webp().encode(images)
    assert data[0] == 1
    np.testing.assert_array_equal(Webp().decode(data, "uint8", images.shape), images)


@given(images=batches)
def test_jpeg_gives_what_pillow_gives(images: NDArray[np.uint8]) -> None:
    back = Jpeg().decode(Jpeg().encode(images), "uint8", images.shape)
    for image, found in zip(images, back, strict=True):
        file = BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "JPEG", quality=75)
        np.testing.assert_array_equal(np.asarray(Image.open(file)).reshape(image.shape), found)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("codec", BOTH, ids=repr)
def test_smooth_images_become_small_and_stay_close(codec: Pictures, channels: int) -> None:
    images = smooth(3, channels)
    data = codec.encode(images)
    assert len(data) < images.nbytes
    assert np.abs(codec.decode(data, "uint8", images.shape).astype(int) - images).mean() < 5


@pytest.mark.parametrize("codec", BOTH, ids=repr)
@pytest.mark.parametrize(
    "other",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((1, 65501, 1, 1), np.uint8),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_other_tensors_are_compressed_without_loss(codec: Pictures, other: NDArray[Any]) -> None:
    data = codec.encode(other)
    assert data == b"\0" + Zstd().encode(other)
    np.testing.assert_array_equal(codec.decode(data, other.dtype.name, other.shape), other)
    assert not codec.error_bound(other).any()


@pytest.mark.parametrize(
    ("codec", "file", "says"),
    [
        (Webp(), file_of("WEBP", (9, 8), lossless=True), r"is \(8, 9\), not \(8, 8\)"),
        (Webp(), file_of("WEBP"), "no simple lossless WebP"),
        (Webp(), file_of("PNG"), "no simple lossless WebP"),
        (Webp(), file_of("WEBP", lossless=True)[:-2], "another length"),
        (Webp(), b"RIFF\x11\0\0\0WEBPVP8L\x05\0\0\0\x2f\x07\xc0\x01\0", "damaged"),
        (Jpeg(), file_of("JPEG", (8, 9)), r"is RGB \(8, 9\), not"),
        (Jpeg(), file_of("JPEG", mode="CMYK"), "is CMYK"),
        (Jpeg(), file_of("JPEG", mode="L"), "is grey"),
        (Jpeg(), file_of("PNG"), "damaged"),
        (Jpeg(), file_of("JPEG")[:200], "damaged"),
        (Jpeg(), b"", "damaged"),
    ],
)
def test_foreign_pictures_are_refused(codec: Pictures, file: bytes, says: str) -> None:
    with pytest.raises(SampleError, match=says):
        codec.decode(packed(file), "uint8", (1, 8, 8, 3))


def test_a_picture_that_claims_to_be_huge_makes_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = bytearray(file_of("JPEG"))
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("made the pixels"))
    with pytest.raises(SampleError, match="65535, 65535"):
        Jpeg().decode(packed(bytes(huge)), "uint8", (1, 8, 8, 3))
    with pytest.raises(SampleError, match="16384, 16384"):
        Webp().decode(packed(b"RIFF\x11\0\0\0WEBPVP8L\x05\0\0\0\x2f\xff\xff\xff\x0f"), "uint8", (1, 8, 8, 3))


@pytest.mark.parametrize("codec", BOTH, ids=repr)
def test_another_number_of_pictures_or_dtype_is_refused(codec: Pictures) -> None:
    data = codec.encode(smooth(2, 3))
    for length in range(0, len(data), 7):
        with pytest.raises(SampleError):
            codec.decode(data[:length], "uint8", (2, 32, 32, 3))
    for dtype, shape in [("uint8", (1, 32, 32, 3)), ("uint8", (3, 32, 32, 3)), ("int8", (2, 32, 32, 3))]:
        with pytest.raises(SampleError):
            codec.decode(data, dtype, shape)


@pytest.mark.parametrize("codec", BOTH, ids=repr)
@settings(max_examples=100, deadline=None)
@given(draw=st.data())
def test_damaged_pictures_never_crash(codec: Pictures, draw: st.DataObject) -> None:
    data = bytearray(codec.encode(smooth(1, 3)))
    for _ in range(draw.draw(st.integers(1, 5))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with suppress(OfframpError):
        assert codec.decode(bytes(data), "uint8", (1, 32, 32, 3)).shape == (1, 32, 32, 3)


@pytest.mark.parametrize("kind", [Webp, Jpeg])
def test_without_pillow_the_error_names_the_extra(kind: type[Pictures], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ConfigError, match=r"needs Pillow; pip install 'offramp\[data\]'"):
        kind()
