"""Noticing that the process which started this one is gone."""

from __future__ import annotations

import asyncio
import os

__all__ = ["parent_gone"]

#: seconds between two looks
LOOK_S = 0.2


async def parent_gone(parent_pid: int) -> None:
    """Return when the process ``parent_pid`` is gone.

    If that process is our parent, having another one is the sign: it may still linger as a zombie.
    """
    ours = os.getppid() == parent_pid
    while _alive(parent_pid) and (not ours or os.getppid() == parent_pid):
        await asyncio.sleep(LOOK_S)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
