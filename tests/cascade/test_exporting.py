"""Model repositories: what is written, checked, replaced and left alone."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import onnxruntime as ort
import pytest
from typer.testing import CliRunner

from offramp.cascade.exporting import export_tails
from offramp.cascade.repository import Repository
from offramp.cascade.repository_kserve import KServeRepository
from offramp.cascade.repository_mlserver import MLServerRepository
from offramp.cascade.repository_openvino import OpenVinoRepository
from offramp.cascade.repository_triton import TritonRepository
from offramp.cascade.store import Cascade
from offramp.cli.main import app
from offramp.errors import ConfigError
from tests.support.tiny import make_tiny_cascade

REPOSITORIES = [
    TritonRepository(),
    TritonRepository("python"),
    KServeRepository("tiny", "pvc://models/tiny"),
    OpenVinoRepository(),
    MLServerRepository(),
]


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@pytest.mark.parametrize("repository", REPOSITORIES, ids=repr)
def test_every_tail_is_written_and_loads(cascade: Cascade, tmp_path: Path, repository: Repository) -> None:
    exported = export_tails(cascade, repository, tmp_path / "models")
    assert [(tail.cut, tail.name) for tail in exported] == [(cut, f"tiny-from-{cut}") for cut in range(3)]
    for tail in exported:
        assert tail.difference <= 1e-5
        (model,) = tail.folder.rglob("model.onnx")
        ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        for script in tail.folder.rglob("*.py"):
            ast.parse(script.read_text())
    assert not list((tmp_path / "models").glob(".*"))


def test_triton_is_told_what_the_tail_takes(cascade: Cascade, tmp_path: Path) -> None:
    (tail,) = export_tails(cascade, TritonRepository(max_batch_rows=16), tmp_path / "models", [1])
    lines = (tail.folder / "config.pbtxt").read_text().splitlines()
    assert lines[:6] == [
        'name: "tiny-from-1"',
        'backend: "onnxruntime"',
        "max_batch_size: 16",
        'input [ { name: "h0" data_type: TYPE_FP32 dims: [ 8 ] } ]',
        'output [ { name: "logits" data_type: TYPE_FP32 dims: [ 3 ] } ]',
        'output [ { name: "probabilities" data_type: TYPE_FP32 dims: [ 3 ] } ]',
    ]
    assert (tail.folder / "1" / "model.onnx").is_file()
    assert not (tail.folder / "1" / "model.py").exists()


def test_models_of_other_names_stay_and_are_listed(cascade: Cascade, tmp_path: Path) -> None:
    other = make_tiny_cascade(tmp_path, name="other", segments=2)
    export_tails(cascade, OpenVinoRepository(), tmp_path / "models", [1, 2])
    export_tails(other, OpenVinoRepository(), tmp_path / "models", [1])
    config = json.loads((tmp_path / "models" / "config.json").read_text())
    listed = [entry["config"] for entry in config["model_config_list"]]
    assert [entry["name"] for entry in listed] == ["other-from-1", "tiny-from-1", "tiny-from-2"]
    for entry in listed:
        assert (tmp_path / "models" / entry["base_path"] / "1" / "model.onnx").is_file()


def test_a_model_that_is_there_is_replaced_only_if_asked(cascade: Cascade, tmp_path: Path) -> None:
    (tail,) = export_tails(cascade, TritonRepository("python"), tmp_path / "models", [1])
    (tail.folder / "mine").write_text("")
    with pytest.raises(ConfigError, match="already exists"):
        export_tails(cascade, TritonRepository(), tmp_path / "models", [0, 1])
    assert not (tmp_path / "models" / "tiny-from-0").exists()
    export_tails(cascade, TritonRepository(), tmp_path / "models", [1], overwrite=True)
    assert sorted(path.name for path in tail.folder.rglob("*")) == ["1", "config.pbtxt", "model.onnx"]


def test_mlserver_is_told_how_to_run_it(cascade: Cascade, tmp_path: Path) -> None:
    (tail,) = export_tails(cascade, MLServerRepository(), tmp_path / "models", [2])
    settings = json.loads((tail.folder / "model-settings.json").read_text())
    assert (settings["name"], settings["implementation"]) == ("tiny-from-2", "tail_runtime.Tail")
    assert settings["inputs"] == [{"name": "h1", "datatype": "FP32", "shape": [-1, 8]}]
    assert json.loads((tmp_path / "models" / "settings.json").read_text()) == {"parallel_workers": 0}


def test_kserve_is_told_where_the_models_are(cascade: Cascade, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    export_tails(cascade, KServeRepository("Tiny_1", "s3://bucket/tiny"), tmp_path / "models", [1])
    manifest = yaml.safe_load((tmp_path / "models" / "inference-service.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert manifest["metadata"]["name"] == "tiny-1"
    model = manifest["spec"]["predictor"]["model"]
    assert (model["runtime"], model["protocolVersion"]) == ("kserve-tritonserver", "grpc-v2")
    assert model["storageUri"] == "s3://bucket/tiny"
    assert model["ports"] == [{"name": "h2c", "protocol": "TCP", "containerPort": 9000}]


@pytest.mark.parametrize("name", ["triton", "kserve", "openvino", "mlserver"])
def test_the_command(cascade: Cascade, tmp_path: Path, name: str) -> None:
    arguments = ["export", str(cascade.path), "--format", name, "--output", str(tmp_path / "m"), "--from-cut", "1"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert (row["cut"], row["name"]) == (1, "tiny-from-1")
    assert Path(row["folder"]).is_dir()
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, ConfigError)
    if name == "kserve":
        assert "storageUri: pvc://models/tiny" in (tmp_path / "m" / "inference-service.yaml").read_text()
