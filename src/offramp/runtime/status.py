"""Errors as gRPC status codes, and back."""

from __future__ import annotations

import grpc

from offramp.errors import (
    ConfigError,
    DeadlineExceeded,
    LinkDown,
    LinkError,
    OfframpError,
    Overloaded,
    PayloadTooLarge,
    PeerRefused,
    RecordMismatch,
)

__all__ = ["UnknownModel", "error_from", "failure", "status_of", "stream_error"]


class UnknownModel(ConfigError):
    """A request names a model this server does not have."""


#: the first class that fits decides
_STATUS: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (UnknownModel, grpc.StatusCode.NOT_FOUND),
    (RecordMismatch, grpc.StatusCode.FAILED_PRECONDITION),
    (ConfigError, grpc.StatusCode.INVALID_ARGUMENT),
    (DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (LinkDown, grpc.StatusCode.UNAVAILABLE),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (PayloadTooLarge, grpc.StatusCode.OUT_OF_RANGE),
    (PeerRefused, grpc.StatusCode.FAILED_PRECONDITION),
)


def status_of(error: Exception) -> grpc.StatusCode:
    """The status code a peer sees.

    Examples
    --------
    >>> status_of(DeadlineExceeded("late")).name
    'DEADLINE_EXCEEDED'
    """
    for kind, code in _STATUS:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def failure(error: Exception) -> str:
    """What a peer is told of a defect: its kind, nothing of what it holds."""
    return f"the server failed ({type(error).__name__})"


def stream_error(error: Exception) -> str:
    """``CODE: sentence``, the ``error_message`` of a stream response."""
    sentence = str(error) if isinstance(error, OfframpError) else failure(error)
    return f"{status_of(error).name}: {sentence}"


def error_from(text: str, peer: str) -> LinkError:
    """The error a peer's ``error_message`` stands for.

    Examples
    --------
    >>> error_from("UNAVAILABLE: no connection to the cloud", "10.0.0.2:8001")
    LinkDown('10.0.0.2:8001: no connection to the cloud')
    """
    code, separator, sentence = text.partition(": ")
    if not separator or not code.isupper():
        sentence = text
    message = f"{peer}: {sentence}"
    if code == grpc.StatusCode.UNAVAILABLE.name:
        return LinkDown(message)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED.name:
        return DeadlineExceeded(message)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED.name:
        return Overloaded(message)
    return PeerRefused(message)
