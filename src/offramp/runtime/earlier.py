"""What earlier exits answered, carried with the survivors to the next tier for gates that ask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest, TensorSpec
from offramp.errors import SampleError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.tensors import typed_contents

__all__ = ["EARLIER_LABELS", "add_labels", "carries_labels", "check_labels", "parse_labels"]

#: name of the input (n, e) INT32, column i what exit i answered; never packed by a codec
EARLIER_LABELS = "offramp.earlier_labels"


def add_labels(message: pb.ModelInferRequest, labels: NDArray[np.integer]) -> None:
    """Append the answers (e, n) to a request as one more input.

    Examples
    --------
    >>> message = pb.ModelInferRequest()
    >>> add_labels(message, np.array([[3, 4], [3, 5]]))
    >>> message.inputs[0].name, list(message.inputs[0].shape), len(message.raw_input_contents[0])
    ('offramp.earlier_labels', [2, 2], 16)
    """
    message.inputs.add(name=EARLIER_LABELS, datatype="INT32", shape=labels.T.shape)
    message.raw_input_contents.append(labels.T.astype("<i4").tobytes())


def carries_labels(message: pb.ModelInferRequest, specs: Sequence[TensorSpec]) -> bool:
    """Whether a request brings earlier answers besides the tensors ``specs`` of its cut."""
    return len(message.inputs) > len(specs) and _position(message) is not None


def check_labels(message: pb.ModelInferRequest, manifest: Manifest, cut: int, rows: int) -> None:
    """Check datatype, shape and byte count of the answers, without reading them.

    Raises
    ------
    SampleError : they are not those of ``rows`` rows at ``cut``
    """
    position = _position(message)
    assert position is not None
    tensor, shape = message.inputs[position], (rows, _before(manifest, cut))
    if tensor.datatype != "INT32" or tuple(tensor.shape) != shape:
        raise SampleError(
            f"tensor {EARLIER_LABELS!r} must be INT32 of shape {shape} at segment {cut}, "
            f"not {tensor.datatype[:40]!r} of shape {tuple(tensor.shape)[:8]}"
        )
    expected = 4 * math.prod(shape)
    if message.raw_input_contents and len(message.raw_input_contents[position]) != expected:
        given = len(message.raw_input_contents[position])
        raise SampleError(f"tensor {EARLIER_LABELS!r} of shape {shape} has {expected} bytes, but {given} were sent")


def parse_labels(message: pb.ModelInferRequest, manifest: Manifest, cut: int, rows: int) -> NDArray[Any]:
    """The answers (e, n) of a request that was checked.

    Raises
    ------
    SampleError : values that are no class
    """
    position = _position(message)
    assert position is not None
    shape = (rows, _before(manifest, cut))
    if message.raw_input_contents:
        labels = np.frombuffer(message.raw_input_contents[position], "<i4").reshape(shape)
    else:
        spec = TensorSpec(name=EARLIER_LABELS, dtype="int32", shape=(None, shape[1]))
        labels = typed_contents(message.inputs[position], spec, shape)
    classes = len(manifest.labels)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise SampleError(f"tensor {EARLIER_LABELS!r} must hold classes in 0..{classes - 1}")
    return labels.T


def _position(message: pb.ModelInferRequest) -> int | None:
    return next((i for i, tensor in enumerate(message.inputs) if tensor.name == EARLIER_LABELS), None)


def _before(manifest: Manifest, cut: int) -> int:
    """Number of exits before a cut."""
    return sum(segment < cut for segment in manifest.exit_segments)
