"""Reading data sets: by name, from .npz files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.data.dataset import Dataset
from offramp.data.registry import data_folder, load_dataset, shared_file
from offramp.errors import DataError


def test_digits() -> None:
    digits = load_dataset("digits")
    assert digits.inputs[0].shape == (1797, 8, 8, 1)
    assert digits.inputs[0].dtype == np.uint8
    assert digits.inputs[0].max() == 16
    assert (digits.label_names, len(set(digits.labels))) == (tuple("0123456789"), 10)
    assert not digits.fixed_test.any()
    assert digits.sha256 == load_dataset("digits").sha256


def test_unknown_names() -> None:
    with pytest.raises(DataError, match="unknown data set 'digit'; did you mean 'digits'"):
        load_dataset("digit")
    with pytest.raises(DataError, match=r"known are digits, .*, sst2, hf:NAME, and paths of .* files ending in \.npz"):
        load_dataset("imagenet-21k")


def make(**changes: object) -> Dataset:
    parts: dict[str, object] = {
        "name": "d",
        "inputs": (np.zeros((3, 2), np.float32),),
        "labels": np.array([0, 1, 1]),
        "label_names": ("a", "b"),
        "fixed_test": np.zeros(3, bool),
    }
    return Dataset(**{**parts, **changes})  # type: ignore[arg-type]  # the test chooses the types


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": (np.zeros((2, 2)),)}, "input 0 has 2 rows, but there are 3 labels"),
        ({"fixed_test": np.zeros(2, bool)}, "fixed_test has 2 rows, not 3"),
        ({"labels": np.array([0, 2, 1])}, r"row 1 has label 2, but there are 2 classes \(0\.\.1\)"),
        ({"labels": np.array([0, 1, -1])}, "row 2 has label -1"),
    ],
)
def test_rows_and_labels_must_fit(changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        make(**changes)


def test_the_hash_covers_values_shapes_and_dtypes() -> None:
    base = make()
    others = [
        make(inputs=(np.ones((3, 2), np.float32),)),
        make(inputs=(np.zeros((3, 2), np.int32),)),
        make(inputs=(np.zeros((3, 1, 2), np.float32),)),
        make(labels=np.array([1, 1, 1])),
    ]
    assert len({d.sha256 for d in (base, *others)}) == 5
    assert make(name="another", inputs=(np.asfortranarray(base.inputs[0]),)).sha256 == base.sha256


def test_own_data_from_npz(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    x, labels, is_test = np.arange(12.0).reshape(4, 3), np.array([0, 1, 2, 1]), np.array([0, 0, 1, 1])
    np.savez(file, inputs=x, labels=labels, label_names=np.array(["cat", "dog", "eel"]), is_test=is_test)
    own = load_dataset(str(file))
    np.testing.assert_array_equal(own.inputs[0], x)
    assert (own.name, own.label_names) == ("own", ("cat", "dog", "eel"))
    np.testing.assert_array_equal(own.fixed_test, is_test.astype(bool))
    np.savez(file, inputs=x, labels=labels)
    plain = load_dataset(str(file))
    assert plain.label_names == ("0", "1", "2")
    assert not plain.fixed_test.any()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": np.zeros((2, 2))}, "has no array 'labels'; it holds inputs"),
        ({"labels": np.zeros(2)}, "has no array 'inputs'"),
        ({}, "it holds nothing"),
        ({"inputs": np.zeros((3, 2)), "labels": np.zeros(2, int)}, "input 0 has 3 rows, but there are 2 labels"),
        ({"inputs": np.zeros((2, 2)), "labels": np.array(["cat", "dog"])}, r"labels must be \(n,\) integers, not <U3"),
        ({"inputs": np.zeros((2, 2)), "labels": np.array([0.0, 1.5])}, r"labels must be \(n,\) integers, not float64"),
        ({"inputs": np.zeros((2, 2)), "labels": np.zeros((2, 1), int)}, r"of shape \(2, 1\)"),
        ({"inputs": np.zeros(()), "labels": np.zeros(2, int)}, "inputs must have n rows"),
        ({"inputs": np.zeros((2, 2)), "labels": np.array([0, -1])}, "row 1 has label -1"),
        (
            {"inputs": np.zeros((2, 2)), "labels": np.array([0, 5]), "label_names": np.array(["a", "b"])},
            "row 1 has label 5, but there are 2 classes",
        ),
    ],
)
def test_npz_files_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]], words: str
) -> None:
    file = tmp_path / "own.npz"
    np.savez(file, allow_pickle=False, **arrays)
    with pytest.raises(DataError, match=words):
        load_dataset(str(file))


def test_npz_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data file"):
        load_dataset(str(tmp_path / "none.npz"))
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"not a NumPy \.npz file"):
        load_dataset(str(tmp_path / "text.npz"))
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"not a NumPy \.npz file"):
        load_dataset(str(tmp_path / "empty.npz"))
    np.savez(tmp_path / "pickled.npz", inputs=np.array([{"a": 1}], dtype=object), labels=np.zeros(1, int))
    with pytest.raises(DataError, match=r"not a NumPy \.npz file"):
        load_dataset(str(tmp_path / "pickled.npz"))
    good = tmp_path / "cut.npz"
    np.savez(good, inputs=np.zeros((50, 50)), labels=np.zeros(50, int))
    good.write_bytes(good.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"not a NumPy \.npz file"):
        load_dataset(str(good))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(DataError, match=r"not a NumPy \.npz file"):
        load_dataset(str(tmp_path / "array.npz"))


def test_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    with pytest.raises(DataError, match=r"no such file; OFFRAMP_DATA must name the folder that holds some\.npz"):
        shared_file("some.npz")
    (tmp_path / "cifar10_train_jpeg.npz").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"cifar10_train_jpeg\.npz: not a NumPy \.npz file"):
        load_dataset("cifar10-jpeg")
    np.savez(tmp_path / "cifar10_train_jpeg.npz", body=np.zeros(3, np.uint8))
    with pytest.raises(DataError, match=r"not the expected data file .* compare it with its SHA256SUMS"):
        load_dataset("cifar10-jpeg")


def test_no_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFRAMP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert data_folder() is None
    with pytest.raises(DataError, match="no data folder; set OFFRAMP_DATA"):
        load_dataset("cifar100")


@pytest.mark.data
@pytest.mark.skipif(data_folder() is None, reason="no data folder: set OFFRAMP_DATA to run this")
@pytest.mark.parametrize(
    ("name", "classes", "first"),
    [
        ("cifar10-jpeg", 10, "frog"),
        ("cifar100", 100, "cattle"),
        ("cifar100-coarse", 20, "large_omnivores_and_herbivores"),
    ],
    ids=["cifar10", "cifar100", "coarse"],
)
def test_cifar(name: str, classes: int, first: str) -> None:
    data = load_dataset(name)
    assert data.inputs[0].shape == (60000, 32, 32, 3)
    assert data.inputs[0].dtype == np.uint8
    assert int(data.fixed_test.sum()) == 10000
    assert data.fixed_test[50000:].all()
    assert np.bincount(data.labels).tolist() == [60000 // classes] * classes
    assert data.label_names[data.labels[0]] == first


@pytest.mark.data
@pytest.mark.skipif(data_folder() is None, reason="no data folder: set OFFRAMP_DATA to run this")
def test_the_exact_subset_of_cifar10() -> None:
    data = load_dataset("cifar10-exact-subset")
    assert data.inputs[0].shape == (6187, 32, 32, 3)
    assert int(data.fixed_test.sum()) == 1017
    assert data.label_names[data.labels[data.fixed_test][0]] == "cat"
