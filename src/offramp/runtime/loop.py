"""The one event loop of this process that synchronous code talks to gRPC through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

__all__ = ["background_loop", "new_loop", "run_in_background"]

T = TypeVar("T")


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for a process that serves: uvloop's where it is installed (extra ``fast``), else asyncio's.

    Examples
    --------
    >>> loop = new_loop()
    >>> loop.run_until_complete(asyncio.sleep(0, result=3))
    3
    >>> loop.close()
    """
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@cache
def background_loop() -> asyncio.AbstractEventLoop:
    """The loop, running in a daemon thread from the first call to the end of the process.

    There is one, never closed: grpc.aio keeps a queue of events per process, hands them to any loop
    that ever used it, and stumbles over loops that are closed.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="offramp-background", daemon=True).start()
    return loop


def run_in_background(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on that loop and wait for it here.

    Examples
    --------
    >>> run_in_background(asyncio.sleep(0, result=3))
    3
    """
    return asyncio.run_coroutine_threadsafe(work, background_loop()).result()
