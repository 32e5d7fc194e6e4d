"""What sending the tensors at a cut costs, with every codec that can hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest
from offramp.codecs.base import Codec
from offramp.codecs.pictures import Pictures
from offramp.errors import ConfigError, SampleError
from offramp.profiles.profile import PayloadCost
from offramp.profiles.rows import Rows
from offramp.profiles.timing import Timer

__all__ = ["encoded_bytes", "payload_cost", "served_cuts"]

Array = NDArray[Any]


def served_cuts(manifest: Manifest, codecs: Sequence[Codec], cuts: Sequence[Rows]) -> list[tuple[int, Codec]]:
    """Every cut with every codec that holds its tensors."""
    served = [(cut, codec) for cut, rows in enumerate(cuts) for codec in codecs if _holds(codec, rows)]
    found = {codec.name for _, codec in served}
    for codec in codecs:
        if codec.name not in found:
            raise ConfigError(
                f"codec {codec.name!r} holds the tensors of no cut of {manifest.name!r}; choose another with --codec"
            )
    return served


def _holds(codec: Codec, rows: Rows) -> bool:
    tensors = [tensor for row in rows for tensor in row]
    if isinstance(codec, Pictures):
        return all(codec.holds(tensor.dtype.name, tensor.shape) for tensor in tensors)
    try:
        for tensor in tensors:
            codec.encode(tensor)
    except SampleError:
        return False
    return True


def encoded_bytes(codec: Codec, rows: Rows) -> float:
    """Mean bytes of the tensors of one row."""
    return float(np.mean([sum(len(codec.encode(tensor)) for tensor in row) for row in rows]))


def payload_cost(cut: int, codec: Codec, rows: Rows, timer: Timer) -> PayloadCost:
    """Bytes, and seconds to encode and decode, of the tensors of one row."""
    encoded = [[codec.encode(tensor) for tensor in row] for row in rows]
    shapes = [[(tensor.dtype.name, tensor.shape) for tensor in row] for row in rows]

    def encode(i: int) -> list[bytes]:
        return [codec.encode(tensor) for tensor in rows[i % len(rows)]]

    def decode(i: int) -> list[Array]:
        row = i % len(rows)
        return [codec.decode(data, *kind) for data, kind in zip(encoded[row], shapes[row], strict=True)]

    return PayloadCost(
        cut=cut,
        codec=codec.name,
        payload_bytes=encoded_bytes(codec, rows),
        encode_s=float(np.median(timer.seconds(encode))),
        decode_s=float(np.median(timer.seconds(decode))),
    )
