"""What kind of machine this is."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from offramp.profiles.profile import MachineInfo

__all__ = ["this_machine"]


def this_machine() -> MachineInfo:
    """Processor, usable cores, system and versions; no host name."""
    return MachineInfo(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("offramp", "onnxruntime", "numpy", "zstandard")},
        },
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((model for model in models if model), platform.processor() or platform.machine() or "unknown")
