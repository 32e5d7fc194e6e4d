"""Fixtures shared by tests and doctests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def tiny_cascade(tmp_path: Path) -> Path:
    """Folder of a two-segment cascade with the exits 'early' and 'final'."""
    from tests.support.tiny import make_tiny_cascade

    return make_tiny_cascade(tmp_path).path


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace: dict[str, object]) -> None:
    import numpy as np

    doctest_namespace["np"] = np
