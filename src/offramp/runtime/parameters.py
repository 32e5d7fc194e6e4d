"""Request parameters, read with their kind checked."""

from __future__ import annotations

import math
from typing import Any

from offramp.errors import ConfigError, DeadlineExceeded
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

__all__ = ["deadline_parameter", "flag_parameter", "integer_parameter", "text_parameter"]


def integer_parameter(message: pb.ModelInferRequest, name: str, default: int) -> int:
    """An integer, or ``default`` where it is not given.

    Raises
    ------
    ConfigError : it is of another kind
    """
    kind, value = _parameter(message, name)
    if kind is None:
        return default
    if kind not in ("int64_param", "uint64_param"):
        raise ConfigError(f"parameter {name} must be an integer, not a {kind}")
    return int(value)


def text_parameter(message: pb.ModelInferRequest, name: str, default: str) -> str:
    """A string of at most 80 characters, or ``default`` where it is not given.

    Raises
    ------
    ConfigError : it is of another kind, or longer
    """
    kind, value = _parameter(message, name)
    if kind is None:
        return default
    if kind != "string_param":
        raise ConfigError(f"parameter {name} must be a string, not a {kind}")
    if len(value) > 80:
        raise ConfigError(f"parameter {name} may have 80 characters, not {len(value)}")
    return str(value)


def flag_parameter(message: pb.ModelInferRequest, name: str) -> bool:
    """Yes or no; no where it is not given.

    Raises
    ------
    ConfigError : it is of another kind
    """
    kind, value = _parameter(message, name)
    if kind not in (None, "bool_param"):
        raise ConfigError(f"parameter {name} must be a boolean, not a {kind}")
    return bool(value)


def deadline_parameter(message: pb.ModelInferRequest) -> float | None:
    """The remaining budget in seconds, from ``deadline_ms``; ``None`` where it is not given.

    Raises
    ------
    ConfigError : no finite number
    DeadlineExceeded : nothing is left of it
    """
    kind, value = _parameter(message, "deadline_ms")
    if kind is None:
        return None
    if kind not in ("double_param", "int64_param", "uint64_param") or not math.isfinite(value):
        raise ConfigError("parameter deadline_ms must be a finite number")
    if value <= 0:
        raise DeadlineExceeded("the request came with no time left; give it a longer deadline")
    return float(value) / 1e3


def _parameter(message: pb.ModelInferRequest, name: str) -> tuple[str | None, Any]:
    value = message.parameters.get(name)  # unlike [name], it does not make one
    kind = None if value is None else value.WhichOneof("parameter_choice")
    return kind, None if kind is None else getattr(value, kind)
