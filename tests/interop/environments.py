"""Environments of the peers, each with its own versions: ``python -m tests.interop.environments [NAME ...]``.

What cannot be had is said, and its tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ENVIRONMENTS", "FOLDER", "FOR_BENCHMARKS", "python_of", "why_not"]

_ROOT = Path(__file__).parents[2]
#: where they lie; nothing of it is committed
FOLDER = _ROOT / "out" / "interop"
#: name -> what is installed; tritonclient caps protobuf, Triton's Python backend wants numpy below 2
ENVIRONMENTS = {
    "triton-client": ("tritonclient[grpc,http]==2.73.0",),
    "triton-server": ("nvidia-pytriton==0.7.0", "numpy<2", "onnxruntime"),
    "openvino": ("openvino",),
    "mlserver": ("mlserver==1.7.1", "onnxruntime"),
    "ray": ("ray[serve]==2.60.0", "--editable", str(_ROOT)),
    "kserve": ("kserve==0.21.0",),
    "litserve": ("litserve==0.2.19", "onnxruntime"),
    "bentoml": ("bentoml>=1.4,<1.5", "onnxruntime"),
}
#: what no test needs, only the benchmark of peers
FOR_BENCHMARKS = ("litserve", "bentoml")
#: seconds that installing one may take
INSTALL_S = 400


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return FOLDER / name / "bin" / "python"


def why_not(name: str) -> str | None:
    """Why an environment cannot be used; ``None`` if it can."""
    if (FOLDER / name / "ready").is_file():
        return None
    reason = FOLDER / f"{name}.failed"
    if reason.is_file():
        return f"the environment {name!r} could not be made: {reason.read_text().strip()}"
    return f"the environment {name!r} is missing; 'make test-interop' makes it"


def make(name: str) -> bool:
    """Make an environment, unless it is there already; whether it can be used."""
    ready, failed = FOLDER / name / "ready", FOLDER / f"{name}.failed"
    wanted = "\n".join(ENVIRONMENTS[name])
    if ready.is_file() and ready.read_text() == wanted:
        return True
    failed.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    install = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER / name)], check=True, timeout=120)
        subprocess.run(
            [*install, *ENVIRONMENTS[name]], check=True, timeout=INSTALL_S, stderr=subprocess.PIPE, env=os.environ
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        failed.write_text(lines[-1] if lines else str(error))
        return False
    except subprocess.TimeoutExpired:
        failed.write_text(f"installing took more than {INSTALL_S} s")
        return False
    ready.write_text(wanted)
    return True


def main(names: Sequence[str]) -> None:
    """Make those named; without names those the tests need."""
    for name in names or [name for name in ENVIRONMENTS if name not in FOR_BENCHMARKS]:
        sys.stdout.write(f"{name}: {'ready' if make(name) else why_not(name)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
