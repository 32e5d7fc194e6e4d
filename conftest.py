"""Fixtures shared by tests and doctests."""

from __future__ import annotations

import functools
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# a busy machine is no failure: no test of ours is timed
settings.register_profile("offramp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("offramp")


@pytest.fixture
def tiny_cascade(tmp_path: Path) -> Path:
    """Folder of a two-segment cascade with the exits 'early' and 'final'."""
    from tests.support.tiny import make_tiny_cascade

    return make_tiny_cascade(tmp_path).path


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same draws in every run: no test may hang on the initial weights a network happened to get."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # libraries under test draw from the global generator
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _operators_listed_once() -> None:
    """The exporter lists its 1,000 operators anew for every segment, a third of an export: the tests share one list."""
    registration = sys.modules.get("torch.onnx._internal.exporter._registration")
    if registration is not None and not hasattr(registration.ONNXRegistry.from_torchlib, "cache_info"):
        registry = registration.ONNXRegistry
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["np"] = np
