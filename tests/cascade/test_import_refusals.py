"""Models that cannot become a cascade are refused in one sentence, and nothing is written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from offramp.cascade.importing import cut_points, import_model
from offramp.cascade.preprocess import Preprocess
from offramp.errors import CascadeError, ConfigError
from tests.support.onnx_models import CLASSES, Net, chain, residual, with_exits


def test_rows_that_change_with_their_neighbours_are_refused(tmp_path: Path) -> None:
    net = Net()
    net.add("ReduceMean", ["x", net.weight("axis", np.array([0], np.int64))], "mean", keepdims=1)
    net.add("Sub", ["x", "mean"], "centred")
    net.dense("centred", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"])
    with pytest.raises(CascadeError, match=r"a classifier gives \(n, K\) numbers, K >= 2, one row each"):
        import_model(model, tmp_path / "m.cascade", segments=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mean": (0.0, 1.0)}, "mean has 2 numbers, but the images have 3 channels"),
        ({"std": (0.0,)}, "other than 0"),
        ({"layout": "hwc"}, "unknown layout 'hwc'"),
        ({"mean": (0.0,) * 3, "std": (1.0,) * 2}, "mean has 3 channels, but std has 2"),
    ],
)
def test_preprocessing_that_does_not_fit(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cut_points(residual(tmp_path / "m.onnx"), preprocess=Preprocess(**settings))  # type: ignore[arg-type]


def test_preprocessing_needs_images(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'x' of shape .* is no image"):
        cut_points(chain(tmp_path / "m.onnx"), preprocess=Preprocess())


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(CascadeError, match="no such model file"):
        cut_points(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model at all")
    with pytest.raises(CascadeError, match="not an ONNX model"):
        cut_points(tmp_path / "text.onnx")
    content = chain(tmp_path / "m.onnx").read_bytes()
    (tmp_path / "short.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(CascadeError, match="not an ONNX model, or truncated"):
        cut_points(tmp_path / "short.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(CascadeError, match="not an ONNX model, or one without nodes"):
        cut_points(tmp_path / "empty.onnx")


def test_operators_that_do_not_exist(tmp_path: Path) -> None:
    net = Net()
    net.nodes.append(helper.make_node("Magic", ["x"], ["a"], domain="my.own"))
    net.dense("a", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"], domain="my.own")
    with pytest.raises(CascadeError, match=r"custom operator my.own::Magic"):
        cut_points(model)
    net = Net()
    net.add("NoSuchOperator", ["x"], "y")
    with pytest.raises(CascadeError, match=r"ONNX Runtime cannot load it .*NoSuchOperator"):
        cut_points(net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"]))


def test_several_outputs(tmp_path: Path) -> None:
    model = with_exits(tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match="gives the outputs e0, e1, y; name the one that classifies"):
        import_model(model, tmp_path / "m.cascade")
    with pytest.raises(ConfigError, match="has no output 'e2'; the nearest is 'e"):
        import_model(model, tmp_path / "m.cascade", exits=["e2"])
    assert import_model(model, tmp_path / "m.cascade", logits="y").manifest.exit_names == ("final",)


def test_no_classifier(tmp_path: Path) -> None:
    net = Net()
    net.conv("image", "map", 3, 8)
    model = net.save(tmp_path / "m.onnx", {"image": ["n", 3, 8, 8]}, ["map"])
    with pytest.raises(CascadeError, match=r"'map' gives \(1, 8, 8, 8\) for one row"):
        import_model(model, tmp_path / "m.cascade")


def test_a_batch_that_cannot_be_freed(tmp_path: Path) -> None:
    net = Net()
    net.add("Reshape", ["x", net.weight("shape", np.array([8], np.int64))], "row")
    net.add("Unsqueeze", ["row", net.weight("axis", np.array([0], np.int64))], "again")
    net.dense("again", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": [1, 8]}, ["y"])
    with pytest.raises(CascadeError, match=r"fixed batch of 1 cannot be made dynamic .* with a dynamic batch"):
        cut_points(model)


def test_a_batch_that_the_model_cannot_take(tmp_path: Path) -> None:
    net = Net()
    net.add("Mul", ["x", net.weight("two_rows", np.ones((2, 8), np.float32))], "a")
    net.dense("a", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"])
    with pytest.raises(CascadeError, match=r"does not run on x \(3, 8\) .* takes any number of rows"):
        cut_points(model)


def test_a_batch_that_is_woven_into_the_weights(tmp_path: Path) -> None:
    net = Net()
    net.add("Transpose", ["x"], "turned", perm=[1, 0])
    net.add("Reshape", ["turned", net.weight("shape", np.array([1, -1], np.int64))], "a")
    net.add("MatMul", [net.weight("left", np.eye(1, dtype=np.float32)), "a"], "b")
    net.dense("b", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": [1, 8]}, ["y"])
    net.add("NoSuchOperator", ["y"], "z")
    broken = net.save(tmp_path / "broken.onnx", {"x": [1, 8]}, ["z"])
    with pytest.raises(CascadeError, match=r"its fixed batch of 1 cannot be made dynamic"):
        cut_points(model)
    with pytest.raises(CascadeError, match="ONNX Runtime cannot load it"):
        cut_points(broken)


def test_two_exits_at_one_place(tmp_path: Path) -> None:
    net = Net()
    net.add("Relu", [net.dense("x", "d", 8, 8)], "h")
    for name in ("one", "two", "y"):
        net.dense("h", name, 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["one", "two", "y"])
    with pytest.raises(CascadeError, match="the exits 'one' and 'two' both end the segment before 'h'"):
        import_model(model, tmp_path / "m.cascade", exits=["one", "two"])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"labels": ["cat", "dog"]}, "has 5 classes, but 2 labels were given"),
        ({"cuts": ["h9"]}, "no valid cut 'h9'; the nearest is 'h"),
        ({"segments": 99}, "99 segments need 98 cuts, but only 8 are valid"),
        ({"segments": 0}, "at least 1 segment"),
        ({"segments": 2, "cuts": ["h1"]}, "not both"),
        ({"max_crossing": 0}, "at least 1 tensor crosses"),
        ({"name": "a b"}, "name: String should match"),
    ],
)
def test_wishes_that_cannot_be_met(tmp_path: Path, wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_model(chain(tmp_path / "m.onnx"), tmp_path / "m.cascade", **wanted)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["m.onnx"]


def test_no_valid_cut(tmp_path: Path) -> None:
    model = chain(tmp_path / "m.onnx", layers=0)
    with pytest.raises(CascadeError, match=r"has no valid cut with at most 1 crossing tensor"):
        import_model(model, tmp_path / "m.cascade")
    assert len(import_model(model, tmp_path / "m.cascade", segments=1).manifest.segments) == 1
