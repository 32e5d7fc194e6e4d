"""The manifest of ``offramp export --format kserve``, checked with KServe's own classes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from offramp.cascade.exporting import export_tails
from offramp.cascade.repository_kserve import KServeRepository
from tests.interop.environments import python_of
from tests.interop.servers import need
from tests.support.tiny import make_tiny_cascade

CHECK = Path(__file__).with_name("check_kserve.py")


def checked(manifest: Path) -> subprocess.CompletedProcess[bytes]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run([str(python_of("kserve")), str(CHECK), str(manifest)], capture_output=True, env=clean)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    need("kserve")
    cascade = make_tiny_cascade(tmp_path, segments=3)
    export_tails(cascade, KServeRepository("Tiny_1", "pvc://models/tiny"), tmp_path / "models", [1])
    return tmp_path / "models" / "inference-service.yaml"


def test_kserve_knows_every_field(manifest: Path) -> None:
    done = checked(manifest)
    assert done.stdout == b"known\n", done.stderr.decode()[-2000:]


def test_a_field_it_does_not_know_is_found(manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace("minReplicas", "minReplica"))
    assert b"V1beta1PredictorSpec has no field 'minReplica'" in checked(manifest).stderr
