"""Folders: images by class, and arrays larger than memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offramp.data.images import load_image_folder
from offramp.data.registry import load_dataset
from offramp.errors import DataError


def picture(file: Path, value: int, shape: tuple[int, int] = (4, 6)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(file)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    folder = tmp_path / "pets"
    for name, value in (("dog/1.png", 10), ("cat/1.png", 20), ("cat/2.png", 30)):
        picture(folder / name, value)
    (folder / "cat" / "notes.txt").write_text("not an image")
    return folder


def test_a_folder_of_images(pets: Path) -> None:
    data = load_dataset(str(pets))
    assert data.inputs[0].shape == (3, 4, 6, 3)
    assert data.inputs[0].dtype == np.uint8
    assert (data.label_names, data.labels.tolist()) == (("cat", "dog"), [0, 0, 1])
    assert data.inputs[0][:, 0, 0, 0].tolist() == [20, 30, 10]
    assert not data.fixed_test.any()


def test_train_and_test_folders(tmp_path: Path) -> None:
    both = tmp_path / "both"
    picture(both / "train" / "cat" / "a.png", 1)
    picture(both / "test" / "cat" / "b.png", 2)
    picture(both / "test" / "dog" / "c.png", 3)
    data = load_dataset(str(both))
    assert (data.label_names, data.labels.tolist()) == (("cat", "dog"), [0, 0, 1])
    assert data.fixed_test.tolist() == [False, True, True]


def test_images_of_several_sizes(pets: Path) -> None:
    picture(pets / "dog" / "2.png", 40, (8, 8))
    with pytest.raises(DataError, match=r"2\.png: is 8 x 8, but 1\.png is 6 x 4; scale them with size="):
        load_dataset(str(pets))
    assert load_dataset(f"{pets}?size=5").inputs[0].shape == (4, 5, 5, 3)
    with pytest.raises(DataError, match="size must be a number of pixels, not 'big'"):
        load_dataset(f"{pets}?size=big")


def test_unreadable_images_stop_or_are_skipped_with_a_count(pets: Path) -> None:
    (pets / "cat" / "3.jpg").write_bytes(b"no image")
    whole = (pets / "cat" / "2.png").read_bytes()
    (pets / "cat" / "4.png").write_bytes(whole[:40])
    with pytest.raises(DataError, match=r"3\.jpg: not a readable image .* on_error=skip leaves such files out"):
        load_dataset(str(pets))
    with pytest.warns(UserWarning, match="pets: 2 of 5 files could not be read and were skipped"):
        data = load_dataset(f"{pets}?on_error=skip")
    assert len(data) == 3
    assert data.description.endswith("; 2 of 5 files could not be read and were skipped")


def test_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no readable image in a sub-folder for each class"):
        load_dataset(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="no such folder"):
        load_image_folder(tmp_path / "none")
    with pytest.raises(DataError, match="on_error must be stop or skip, not 'ignore'"):
        load_image_folder(tmp_path / "empty", on_error="ignore")


def test_arrays_on_disk_are_mapped(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    ids, mask = np.arange(12).reshape(4, 3), np.ones((4, 3), bool)
    for name, array in (("inputs-0", ids), ("inputs-1", mask), ("labels", np.array([0, 1, 1, 0]))):
        np.save(folder / f"{name}.npy", array)
    data = load_dataset(str(folder))
    assert all(isinstance(array, np.memmap) for array in data.inputs)
    assert [array.tolist() for array in data.rows(np.array([2]))] == [[[6, 7, 8]], [[True] * 3]]
    assert data.label_names == ("0", "1")
    np.save(folder / "label_names.npy", np.array(["no", "yes"]))
    np.save(folder / "is_test.npy", np.array([0, 0, 0, 1]))
    again = load_dataset(str(folder))
    assert (again.label_names, again.fixed_test.tolist()) == (("no", "yes"), [False] * 3 + [True])
    assert again.sha256 == data.sha256


def test_arrays_that_cannot_be_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.zeros(3, int))
    with pytest.raises(DataError, match=r"has no inputs\.npy"):
        load_dataset(str(tmp_path))
    (tmp_path / "inputs.npy").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"inputs\.npy: not a plain \.npy array, or damaged"):
        load_dataset(str(tmp_path))
    np.save(tmp_path / "inputs.npy", np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"inputs\.npy: not a plain \.npy array"):
        load_dataset(str(tmp_path))
    np.save(tmp_path / "inputs.npy", np.zeros((3, 2)))
    np.save(tmp_path / "labels.npy", np.zeros(3))
    with pytest.raises(DataError, match="labels must be"):
        load_dataset(str(tmp_path))
    with pytest.raises(DataError, match="there are no options here"):
        load_dataset(f"{tmp_path}?size=3")
