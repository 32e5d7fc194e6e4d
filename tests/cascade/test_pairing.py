"""Two models, one cascade that hands over the input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.pairing import import_pair
from offramp.cascade.preprocess import Preprocess
from offramp.cascade.walk import walk
from offramp.data.digits import load
from offramp.errors import ConfigError
from tests.support.onnx_models import Net, chain, digits_net, residual


def test_the_large_model_begins_again_from_the_sample(tmp_path: Path) -> None:
    small, large = digits_net(tmp_path / "s.onnx", 4), digits_net(tmp_path / "l.onnx", 32)
    raw = Preprocess(scale=1 / 16)
    cascade = import_pair(small, large, tmp_path / "pair.cascade", preprocess_small=raw, preprocess_large=raw)
    manifest = cascade.manifest
    assert manifest.exit_names == ("small", "large")
    assert [s.hand_over for s in manifest.segments] == ["input", "features"]
    assert manifest.tensors_at(1) == manifest.inputs
    assert manifest.inputs[0].dtype == "uint8"
    digits = load()
    rows = (digits.inputs[0][1::2],)
    walked = walk(
        cascade.load_segments(),
        [0, 1],
        [1.0, 1.0],
        rows,
        lambda exit_index, output: np.asarray(output.confidence) > (0.7 if exit_index == 0 else 0.0),
        10,
        sample=rows,
    )
    alone = cascade.segment(0).run(rows).label
    right, right_alone = (float(np.mean(label == digits.labels[1::2])) for label in (walked.label, alone))
    assert right > right_alone + 0.02
    assert 0 < walked.rows_executed[1] < len(rows[0])


def test_each_has_its_own_preprocessing(tmp_path: Path) -> None:
    small, large = residual(tmp_path / "s.onnx"), residual(tmp_path / "l.onnx")
    one, other = Preprocess(mean=(0.5,), std=(0.25,)), Preprocess(scale=1.0)
    cascade = import_pair(small, large, tmp_path / "p.cascade", preprocess_small=one, preprocess_large=other)
    assert cascade.manifest.preprocessing == f"small: {one}; large: {other}"
    rows = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    first, second = (segment.run_with_logits([rows])[1] for segment in cascade.load_segments())
    assert first is not None
    assert second is not None
    assert not np.allclose(first, second)


def test_pairs_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"takes float32 rows of shape \(8,\), but .* same raw sample"):
        import_pair(chain(tmp_path / "a.onnx"), residual(tmp_path / "b.onnx"), tmp_path / "p.cascade")
    net = Net()
    net.dense("x", "y", 8, 3)
    other = net.save(tmp_path / "c.onnx", {"x": ["n", 8]}, ["y"])
    with pytest.raises(ConfigError, match=r"has 5 classes, but .* has 3; a pair needs the same"):
        import_pair(chain(tmp_path / "a.onnx"), other, tmp_path / "p.cascade")
    assert not (tmp_path / "p.cascade").exists()


def test_segments_of_cascades_pair_without_naming_their_logits(tmp_path: Path) -> None:
    raw = Preprocess(scale=1 / 16)
    made = import_pair(
        digits_net(tmp_path / "s.onnx", 4),
        digits_net(tmp_path / "l.onnx", 8),
        tmp_path / "first.cascade",
        preprocess_small=raw,
        preprocess_large=raw,
    )
    own = [made.path / segment.file for segment in made.manifest.segments]
    again = import_pair(own[0], own[1], tmp_path / "again.cascade")
    rows = (load().inputs[0][:32],)
    for before, after in zip(made.load_segments(), again.load_segments(), strict=True):
        expected, found = before.run_with_logits(rows)[1], after.run_with_logits(rows)[1]
        assert expected is not None
        assert found is not None
        assert np.allclose(found, expected, atol=1e-5)
