"""A tier's process whose wall clock jumps: by as many seconds as the file named first on the command line says.

The kernel's clock is everybody's and is left alone: what jumps is what Python code sees of it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from offramp.runtime.server import main

__all__ = ["let_the_clock_jump"]


def let_the_clock_jump(offset: Path) -> None:
    """Have ``time.time`` differ from the kernel's clock by what a file says, from now on."""
    real = time.time

    def jumped() -> float:
        return real() + float(offset.read_text())

    time.time = jumped


if __name__ == "__main__":
    let_the_clock_jump(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
