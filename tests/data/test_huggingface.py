"""Hugging Face data sets: read where the library is installed, refused with a hint where it is not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from offramp.data.registry import load_dataset
from offramp.errors import DataError

INSTALLED = importlib.util.find_spec("datasets") is not None


@pytest.mark.skipif(INSTALLED, reason="the datasets library is installed")
def test_without_the_library() -> None:
    with pytest.raises(DataError, match=r"hf:glue/sst2: needs the datasets library; pip install 'offramp\[hf\]'"):
        load_dataset("hf:glue/sst2")


@pytest.mark.skipif(not INSTALLED, reason="needs the datasets library")
@pytest.mark.filterwarnings("default")
def test_a_saved_data_set(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "idx": datasets.Value("int32"),
            "sentence": datasets.Value("string"),
            "label": datasets.ClassLabel(2, ["no", "yes"]),
        }
    )
    train = {"idx": [0, 1], "sentence": ["a", "b"], "label": [1, 0]}
    test = {"idx": [0], "sentence": ["c"], "label": [1]}
    parts = {"train": train, "validation": test}
    saved = {name: datasets.Dataset.from_dict(part, features=features) for name, part in parts.items()}
    datasets.DatasetDict(saved).save_to_disk(str(tmp_path / "own"))
    data = load_dataset(f"hf:{tmp_path}/own")
    assert [column.tolist() for column in data.inputs] == [["a", "b", "c"]]
    assert (data.labels.tolist(), data.label_names) == ([1, 0, 1], ("no", "yes"))
    assert data.fixed_test.tolist() == [False, False, True]
    numbers = datasets.Dataset.from_dict({"x": [[1.0, 2.0], [3.0, 4.0]], "kind": ["u", "v"]})
    numbers.save_to_disk(str(tmp_path / "numbers"))
    flat = load_dataset(f"hf:{tmp_path}/numbers?label=kind&columns=x")
    np.testing.assert_array_equal(flat.inputs[0], [[1, 2], [3, 4]])
    assert flat.label_names == ("u", "v")
    with pytest.raises(DataError, match="has no column 'label'; it has x, kind"):
        load_dataset(f"hf:{tmp_path}/numbers")
