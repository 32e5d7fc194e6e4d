"""From a config to a cascade."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.importing import import_model
from offramp.cascade.preprocess import Preprocess
from offramp.cascade.store import open_cascade
from offramp.data.dataset import split_rows
from offramp.data.registry import load_dataset
from offramp.errors import CascadeError, ConfigError, TrainingError
from offramp.training.build import build
from offramp.training.config import BuildConfig, TeacherConfig, load_config, with_exits
from offramp.training.joint import JointTraining
from offramp.training.recipe import Rows
from tests.support.onnx_models import digits_net
from tests.training.test_config import CONFIG, write


@pytest.fixture
def config(tmp_path: Path) -> BuildConfig:
    return load_config(write(tmp_path, CONFIG.replace("tune = 0.2", "tune = 0.2\ncalibrate = 0.2\ntest = 0.2")))


def test_build_makes_a_verified_cascade(tmp_path: Path, config: BuildConfig) -> None:
    report = build(config, tmp_path / "small.cascade", command="offramp build config.toml", commit="abc")
    manifest = open_cascade(tmp_path / "small.cascade").manifest
    assert manifest == report.cascade.manifest
    assert report.max_difference <= 1e-4
    assert len(report.history) == 1
    assert len(report.history[0].accuracy) == 2
    assert manifest.labels == tuple("0123456789")
    assert manifest.inputs[0].dtype == "uint8"
    assert manifest.data is not None
    assert manifest.data.sha256 == load_dataset("digits").sha256
    assert (manifest.provenance.command, manifest.provenance.commit) == ("offramp build config.toml", "abc")

    with pytest.raises(CascadeError, match="already exists"):
        build(config, tmp_path / "small.cascade")
    again = build(config, tmp_path / "small.cascade", overwrite=True, resume=True)
    assert again.history == report.history
    assert again.cascade.manifest.fingerprint == manifest.fingerprint

    assert config.training is not None
    other = config.model_copy(update={"training": config.training.model_copy(update={"seed": 1})})
    with pytest.raises(TrainingError, match="other data, model or settings"):
        build(other, tmp_path / "other.cascade", resume=True)
    assert not (tmp_path / "other.cascade").exists()


def test_only_train_rows_are_trained_on(tmp_path: Path, config: BuildConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Rows] = {}

    class Stop(Exception):
        pass

    def look(_self: JointTraining, _network: object, train: Rows, tune: Rows, **_options: object) -> None:
        seen.update(train=train, tune=tune)
        raise Stop

    monkeypatch.setattr(JointTraining, "fit", look)
    with pytest.raises(Stop):
        build(config, tmp_path / "small.cascade")
    dataset = load_dataset("digits")
    split = split_rows(dataset, 0, 0.2, 0.2, 0.2)
    for name, rows in seen.items():
        np.testing.assert_array_equal(rows.inputs.numpy(), dataset.inputs[0][split == name])
        np.testing.assert_array_equal(rows.labels.numpy(), dataset.labels[split == name])


def test_the_model_must_fit_the_classes(tmp_path: Path, config: BuildConfig) -> None:
    arguments = {**config.model.arguments, "classes": 7}
    model = config.model.model_copy(update={"arguments": arguments})
    with pytest.raises(ConfigError, match="7 logits, but data 'digits' has 10 classes"):
        build(config.model_copy(update={"model": model}), tmp_path / "small.cascade")


def test_rows_that_are_no_images_go_in_as_they_are(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    inputs = (generator.normal(0, 0.1, (60, 4)) + labels[:, None]).astype(np.float32)
    np.savez(tmp_path / "rows.npz", inputs=inputs, labels=labels)
    text = """
name = "vectors"
data = { name = "rows.npz", tune = 0.2 }
exits = [{ after = "1", name = "early" }]
training = { epochs = 2, batch_size = 16, learning_rate = 0.01 }
[model]
factory = "my_vector_net:make"
"""
    (tmp_path / "my_vector_net.py").write_text(
        "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        report = build(load_config(write(tmp_path, text)), tmp_path / "vectors.cascade")
    assert report.cascade.manifest.inputs[0].shape == (None, 4)
    assert report.cascade.manifest.inputs[0].dtype == "float32"
    assert report.cascade.manifest.preprocessing == ""


def test_exits_are_placed_where_the_work_is_shared(tmp_path: Path, config: BuildConfig) -> None:
    report = build(with_exits(config, "auto:2"), tmp_path / "small.cascade")
    early, _ = report.cascade.manifest.segments
    assert early.exit is not None
    assert early.exit.module in {"stem", "stages.0"}


def test_without_training_the_model_is_exported_as_it_is(tmp_path: Path, config: BuildConfig) -> None:
    report = build(config.model_copy(update={"exits": (), "training": None}), tmp_path / "small.cascade")
    assert report.history == ()
    assert report.cascade.manifest.exit_names == ("final",)
    assert report.cascade.manifest.provenance.seed is None


def test_a_student_learns_from_a_cascade_and_does_not_resume_under_another(tmp_path: Path, config: BuildConfig) -> None:
    assert config.training is not None
    for seed in (0, 1):
        net = digits_net(tmp_path / "teacher.onnx", channels=2, seed=seed)
        import_model(net, tmp_path / f"{seed}.cascade", preprocess=Preprocess(scale=1 / 16))
    changes = {"recipe": "distillation", "teacher": TeacherConfig(cascade=tmp_path / "0.cascade")}
    student = config.model_copy(update={"training": config.training.model_copy(update=changes)})
    assert len(build(student, tmp_path / "student.cascade").history) == 1

    changes["teacher"] = TeacherConfig(cascade=tmp_path / "1.cascade")
    other = config.model_copy(update={"training": config.training.model_copy(update=changes)})
    with pytest.raises(TrainingError, match="other data, model or settings"):
        build(other, tmp_path / "other.cascade", resume=True)
