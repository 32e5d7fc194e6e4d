"""Compiling and loading the kernels."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from offramp.errors import ConfigError

__all__ = ["LEVELS", "Kernels", "compile_kernels", "kernels", "why_not"]

_SOURCE = Path(__file__).with_name("xnor.c")
_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
#: what the processor offers, by what the compiled code says of itself
LEVELS = {3: "vectors of population counts (AVX-512 VPOPCNTDQ)", 2: "population count of a word", 1: "none"}


@dataclass(frozen=True)
class Kernels:
    """The compiled functions, loaded.

    ``level`` says how it counts bits, see ``LEVELS``.
    """

    compiled: ctypes.CDLL
    level: int


@cache
def kernels() -> Kernels:
    """The kernels, compiled into the user's cache folder the first time.

    Raises
    ------
    ConfigError : no C compiler, it fails, or a processor without a population count; ONNX Runtime computes the same
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offramp"
    return compile_kernels(folder, os.environ)


def why_not() -> str:
    """Why the kernels cannot be used, in one line; empty where they can."""
    try:
        kernels()
    except ConfigError as error:
        return str(error)
    return ""


def compile_kernels(folder: Path, environment: Mapping[str, str]) -> Kernels:
    """Compile into ``folder``, unless the same source was compiled there for the same machine, and load.

    Parameters
    ----------
    environment : ``CC`` names the compiler, ``PATH`` finds it; default ``cc``, ``gcc`` or ``clang``

    Raises
    ------
    ConfigError : as `kernels`
    """
    wanted = [environment["CC"]] if environment.get("CC") else ["cc", "gcc", "clang"]
    found = (shutil.which(name, path=environment.get("PATH")) for name in wanted)
    compiler = next((path for path in found if path is not None), None)
    if compiler is None:
        raise ConfigError(
            f"no C compiler ({', '.join(wanted)}) for the binary kernels: ONNX Runtime computes them instead; "
            "install gcc or set CC"
        )
    kept = (_SOURCE.read_bytes(), *(flag.encode() for flag in _FLAGS), compiler.encode(), _machine().encode())
    file = folder / f"xnor-{hashlib.sha256(b'|'.join(kept)).hexdigest()[:16]}.so"
    if not file.is_file():
        _compile(compiler, file)
    return _load(file)


def _compile(compiler: str, file: Path) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [compiler, *_FLAGS, "-o", str(fresh), str(_SOURCE), "-lm"], check=True, capture_output=True, timeout=120
        )
        os.replace(fresh, file)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        line = (said.decode(errors="replace").strip().splitlines() or ["no message"])[0]
        raise ConfigError(
            f"{compiler} cannot make the binary kernels ({line}): ONNX Runtime computes them instead; set CC to "
            "another compiler"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def _load(file: Path) -> Kernels:
    try:
        compiled = ctypes.CDLL(str(file))
        level = int(compiled.offramp_level())
    except (OSError, AttributeError) as error:
        raise ConfigError(
            f"{file}: the binary kernels cannot be loaded ({error}): ONNX Runtime computes them instead; "
            "remove the file"
        ) from error
    if level < 2:
        raise ConfigError(
            f"this processor ({platform.machine()}) has no population count: ONNX Runtime computes binary convolutions "
            "instead"
        )
    return Kernels(compiled, level)


def _machine() -> str:
    """What the compiled code is good for: the same file must not be loaded by a processor that lacks something."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
