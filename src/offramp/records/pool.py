"""Parts computed by several processes of this machine."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import OfframpError
from offramp.records.part import Part, PartOptions, PartRunner

__all__ = ["Pool"]

_runner: PartRunner | None = None


class Pool:
    """Fresh processes (started with *spawn*), each with its own ONNX Runtime sessions.

    Up to two parts per process are on their way. A script that uses this guards its start with
    ``if __name__ == "__main__":``, as `multiprocessing` asks.
    """

    def __init__(self, cascade: Cascade, options: PartOptions, processes: int) -> None:
        self._cascade, self._options, self._processes = cascade, options, processes

    def run(self, parts: Iterable[Part], done: Callable[[int], None]) -> Iterator[tuple[Part, bytes]]:
        waiting: deque[tuple[Part, Future[bytes]]] = deque()
        executor = ProcessPoolExecutor(
            self._processes,
            multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._cascade.path.resolve(), self._options),
        )
        try:
            for part in parts:
                waiting.append((part, executor.submit(_run, part)))
                if len(waiting) >= 2 * self._processes:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        except BrokenProcessPool as error:
            raise OfframpError(
                "a recording process ended without an answer (killed, or it could not start); finished parts are kept, "
                "run the same again, with fewer processes if memory is short"
            ) from error
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _start(folder: Path, options: PartOptions) -> None:
    global _runner
    _runner = PartRunner(open_cascade(folder), options)


def _run(part: Part) -> bytes:
    if _runner is None:
        raise OfframpError("a recording process was used before it was started")
    return _runner(part)
