"""An answer one thread waits for and another one brings."""

from __future__ import annotations

import threading

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

__all__ = ["Promise"]


class Promise:
    """A `Waiter` for one blocking thread: a lock, where a ``concurrent.futures.Future`` has a condition with two.

    It is kept once, by whoever runs the event loop.

    Examples
    --------
    >>> promise = Promise()
    >>> promise.set_result(pb.ModelInferResponse(id="7"))
    >>> promise.result(1.0).id
    '7'
    """

    __slots__ = ("_error", "_kept", "_reply")

    def __init__(self) -> None:
        self._kept = threading.Lock()
        self._kept.acquire()
        self._reply: pb.ModelInferResponse | None = None
        self._error: Exception | None = None

    def done(self) -> bool:
        """Whether it was kept."""
        return self._reply is not None or self._error is not None

    def set_result(self, result: pb.ModelInferResponse, /) -> None:
        """The answer."""
        self._reply = result
        self._kept.release()

    def set_exception(self, exception: Exception, /) -> None:
        """Why there is none."""
        self._error = exception
        self._kept.release()

    def result(self, timeout_s: float) -> pb.ModelInferResponse:
        """Wait for the answer, once.

        Raises
        ------
        TimeoutError : none in time
        Exception : why there is none
        """
        if not self._kept.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX)):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        assert self._reply is not None
        return self._reply
