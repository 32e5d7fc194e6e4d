"""What the package shows the world, and what importing it costs."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from importlib import import_module

import pytest

import offramp

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(offramp.__path__, "offramp.")
    if ".proto" not in module.name and not module.name.endswith("__main__")
)


def test_all_is_sorted_and_complete() -> None:
    assert offramp.__all__ == sorted(offramp.__all__)
    for name in offramp.__all__:
        assert getattr(offramp, name) is not None
    assert set(offramp.__all__) - {"__version__"} == set(offramp._HOME)


def _kind_and_name(name: str) -> tuple[int, list[str | int]]:
    """The linter's order: constants, classes, the rest; numbers in names by value."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_its_public_names(name: str) -> None:
    module = import_module(name)
    if not hasattr(module, "__all__"):
        public = [
            n
            for n, value in vars(module).items()
            if not n.startswith("_") and getattr(value, "__module__", None) == name
        ]
        assert not public, f"{name} defines {public} but has no __all__"
        return
    assert list(module.__all__) == sorted(module.__all__, key=_kind_and_name)
    assert all(hasattr(module, n) for n in module.__all__)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = offramp.nothing


def _loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    loaded = _loaded_after("import offramp")
    assert not loaded & {"torch", "plotly", "pyarrow", "sklearn", "onnxruntime", "grpc"}


@pytest.mark.parametrize(
    "statement",
    [
        "from offramp.runtime.device import Device",
        "from offramp.runtime.server import serve",
        "import offramp.cli.main",
    ],
)
def test_a_device_needs_neither_torch_nor_data_frames(statement: str) -> None:
    blocked = ["torch", "plotly", "pyarrow", "sklearn", "scipy", "onnx", "onnxscript", "PIL", "pandas"]
    prepare = f"[sys.modules.__setitem__(name, None) for name in {blocked!r}]"
    assert "offramp" in _loaded_after(f"{prepare}; {statement}")
