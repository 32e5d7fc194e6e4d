"""Exported repositories, read by the libraries of the servers they are for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.cascade.exporting import export_tails
from offramp.cascade.repository_openvino import OpenVinoRepository
from offramp.cascade.repository_triton import TritonRepository
from offramp.cascade.store import Cascade, open_cascade
from tests.interop.environments import python_of
from tests.interop.servers import need
from tests.runtime.support import local_chain
from tests.support.tiny import make_tiny_cascade, tiny_rows

CHECK = Path(__file__).with_name("check_export.py")
IMAGES = Path(__file__).parents[2] / "examples" / "cifar10" / "resnet8.cascade"


def check(environment: str, *arguments: str) -> Any:
    need(environment)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(python_of(environment)), str(CHECK), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=100, env=clean)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("repository", [TritonRepository(), TritonRepository("python", 8)], ids=repr)
@pytest.mark.parametrize("images", [True, False], ids=["resnet8", "tiny"])
def test_triton_reads_the_configuration(tmp_path: Path, repository: TritonRepository, images: bool) -> None:
    cascade = open_cascade(IMAGES) if images else make_tiny_cascade(tmp_path, segments=3)
    (tail,) = export_tails(cascade, repository, tmp_path / "models", [1])
    found = check("triton-client", "triton", str(tail.folder / "config.pbtxt"))
    assert (found["name"], found["backend"]) == (tail.name, repository.backend)
    assert found["maxBatchSize"] == repository.max_batch_rows
    (tensor,) = found["input"]
    assert (tensor["dataType"], tensor["dims"]) == ("TYPE_FP32", ["16", "32", "32"] if images else ["8"])
    assert [output["name"] for output in found["output"]] == ["logits", "probabilities"]


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def test_openvino_computes_the_same(cascade: Cascade, tmp_path: Path) -> None:
    rows = tiny_rows(6)
    export_tails(cascade, OpenVinoRepository(), tmp_path / "models", [0])
    np.save(tmp_path / "rows.npy", rows)
    found = check("openvino", "openvino", str(tmp_path / "models" / "config.json"), str(tmp_path / "rows.npy"))
    expected = [row[2] for row in local_chain(cascade, rows, (None, None))]
    np.testing.assert_allclose(found["tiny-from-0"]["probabilities"], expected, atol=1e-5)
