"""Shifted images: what is blurred, what is noise, and that a row is the same in every batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.data.registry import load_dataset, load_source, names_file
from offramp.data.shift import Shift, ShiftedRows, parse_shift
from offramp.errors import DataError


def grey(rows: int = 20, side: int = 32) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((rows, side, side, 3), 128, np.uint8)


@pytest.mark.parametrize("sigma", [5.0, 20.0, 40.0])
def test_noise_has_the_sigma_asked_for(sigma: float) -> None:
    noisy = Shift("noise", sigma).apply(grey(), np.arange(20)).astype(float)
    assert abs(noisy.mean() - 128) < 0.5
    assert abs(noisy.std() / sigma - 1) < 0.02


def test_blur_keeps_the_mean_and_stays_within_a_row_and_channel() -> None:
    images = grey(3)
    images[1, 16, 16, 1] = 255
    blurred = Shift("blur", 1.5).apply(images, np.arange(3))
    np.testing.assert_array_equal(blurred[[0, 2]], images[[0, 2]])
    np.testing.assert_array_equal(blurred[1, ..., [0, 2]], images[1, ..., [0, 2]])
    # the centre of a sampled Gaussian of sigma 1.5
    taps = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
    assert blurred[1, 16, 16, 1] == round(128 + 127 * (taps[6] / taps.sum()) ** 2)


@pytest.mark.parametrize("shift", ["blur1.5", "noise20"])
def test_a_row_is_the_same_in_every_batch(shift: str) -> None:
    digits = load_dataset("digits")
    source = ShiftedRows(replace(digits, inputs=(digits.inputs[0] * 15,)), _parsed(shift))
    together = source.rows(np.array([3, 7, 5]))[0]
    np.testing.assert_array_equal(together[2], source.rows(np.array([5]))[0][0])
    assert (together != source.base.rows(np.array([3, 7, 5]))[0]).any()


def _parsed(text: str) -> Shift:
    shift = parse_shift(f"x+{text}")[1]
    assert shift is not None
    return shift


def test_the_rows_keep_labels_split_and_name() -> None:
    digits, source = load_dataset("digits"), load_source("digits+noise5")
    assert (source.name, len(source), source.label_names) == ("digits+noise5", 1797, digits.label_names)
    np.testing.assert_array_equal(source.labels, digits.labels)
    np.testing.assert_array_equal(source.fixed_test, digits.fixed_test)
    assert source.sha256 != digits.sha256
    assert source.sha256 != load_source("digits+noise6").sha256
    np.testing.assert_array_equal(load_dataset("digits+noise5").inputs[0], source.rows(np.arange(1797))[0])


def test_names() -> None:
    assert parse_shift("a+b+noise20") == ("a+b", Shift("noise", 20.0))
    assert parse_shift("c++") == ("c++", None)
    assert not names_file("digits+noise20")
    assert names_file("own.npz+blur2")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digits+fog3", "unknown shift 'fog'; write blur or noise with its sigma, such as blur1.5"),
        ("digits+blur0", "must be above 0 and below 256, not 0"),
        ("digits+noise300", "must be above 0 and below 256, not 300"),
        ("digit+blur1", "did you mean 'digits'"),
    ],
)
def test_shifts_that_make_no_sense(name: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_source(name)


def test_only_images_can_be_shifted() -> None:
    flat = replace(load_dataset("digits"), inputs=(np.zeros((1797, 4), np.float32),))
    with pytest.raises(DataError, match=r"only uint8 images .* can be shifted, not rows of float32 \(4,\)"):
        ShiftedRows(flat, Shift("blur", 1.0))
