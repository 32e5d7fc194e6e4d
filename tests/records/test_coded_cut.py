"""Records made through a codec: what the exits beyond a cut answer when its tensors travel so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.codecs.registry import get_codec
from offramp.data.dataset import Dataset
from offramp.errors import ConfigError
from offramp.records.collect import collect
from offramp.records.records import load_records
from tests.support.blobs import blobs, cascade_on


@pytest.fixture
def dataset() -> Dataset:
    return blobs()


@pytest.fixture
def cascade(dataset: Dataset, tmp_path: Path) -> Cascade:
    return cascade_on(dataset, tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.parametrize("name", ["uint8", "affine4", "sign"])
def test_exits_beyond_the_cut_see_what_arrives(cascade: Cascade, dataset: Dataset, name: str, cut: int) -> None:
    records = collect(cascade, dataset, batch=7, codec=f"{name}@{cut}")
    codec, tensors = get_codec(name), dataset.rows(records.row)
    for index, segment in enumerate(cascade.load_segments()):
        if index == cut:
            rows = [[tensor[i : i + 1] for i in range(len(tensor))] for tensor in tensors]
            tensors = tuple(
                np.concatenate([codec.decode(codec.encode(row), row.dtype.name, row.shape) for row in each])
                for each in rows
            )
        tensors, logits = segment.run_with_logits(tensors)
        assert logits is not None
        np.testing.assert_allclose(records.logits[index], logits, rtol=1e-5, atol=1e-6)
    plain = collect(cascade, dataset)
    np.testing.assert_array_equal(records.row, plain.row)
    changed = [not np.allclose(ours, theirs) for ours, theirs in zip(records.logits, plain.logits, strict=True)]
    assert changed == [index >= cut for index in range(3)]


def test_batches_and_processes_do_not_matter(cascade: Cascade, dataset: Dataset) -> None:
    one = collect(cascade, dataset, batch=1, codec="uint8@1")
    many = collect(cascade, dataset, batch=64, codec="uint8@1", processes=2)
    np.testing.assert_allclose(one.logits, many.logits, rtol=1e-5, atol=1e-6)


def test_the_provenance_says_so(cascade: Cascade, dataset: Dataset, tmp_path: Path) -> None:
    collect(cascade, dataset, tmp_path / "uint8.parquet", codec="uint8@1")
    assert load_records(tmp_path / "uint8.parquet").provenance.variant == "fp32+uint8@1"
    assert collect(cascade, dataset).provenance.variant == "fp32"


@pytest.mark.parametrize(
    ("codec", "says"),
    [
        ("uint8", "write CODEC@CUT"),
        ("@1", "write CODEC@CUT"),
        ("uint8@-1", "write CODEC@CUT"),
        ("uint9@1", "unknown codec 'uint9'"),
        ("zstd@1", "changes no tensor"),
        ("uint8@3", "0 to 2, not 3"),
    ],
)
def test_a_wrong_codec_is_refused(cascade: Cascade, dataset: Dataset, codec: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        collect(cascade, dataset, codec=codec)
