"""Every module of the floor says what it offers."""

from __future__ import annotations

import importlib
import pkgutil

import offramp.reporting


def test_exported_names_exist_and_are_sorted() -> None:
    for found in pkgutil.walk_packages(offramp.reporting.__path__, "offramp.reporting."):
        module = importlib.import_module(found.name)
        if found.ispkg:
            continue
        assert list(module.__all__) == sorted(module.__all__), found.name
        assert all(hasattr(module, name) for name in module.__all__), found.name
