"""A cut whose tensors travel in a codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.registry import get_codec
from offramp.errors import ConfigError

__all__ = ["CodedCut"]

Array = NDArray[Any]


@dataclass(frozen=True)
class CodedCut:
    """Codec ``codec`` at cut ``cut``: 0 is the raw input, i what segment i-1 hands over.

    Examples
    --------
    >>> coded = CodedCut.parse("affine4@2", segments=3)
    >>> coded, str(coded)
    (CodedCut(codec='affine4', cut=2), 'affine4@2')
    """

    codec: str
    cut: int

    @classmethod
    def parse(cls, text: str, segments: int) -> CodedCut:
        """Read ``CODEC@CUT``.

        Raises
        ------
        ConfigError : another form, an unknown or a lossless codec, or no cut before one of so many ``segments``
        """
        name, _, cut = text.rpartition("@")
        if not (name and cut.isascii() and cut.isdecimal()):
            raise ConfigError(f"codec {text!r} does not say where; write CODEC@CUT, such as uint8@1")
        if get_codec(name).lossless:
            raise ConfigError(f"codec {name!r} changes no tensor, so records made without it hold; leave it away")
        if int(cut) >= segments:
            raise ConfigError(f"codec {text!r}: the cuts before a segment are 0 to {segments - 1}, not {cut}")
        return cls(name, int(cut))

    def __call__(self, tensors: Sequence[Array]) -> tuple[Array, ...]:
        """The tensors (n, ...) as they arrive when every row travels alone.

        Raises
        ------
        SampleError : values the codec cannot hold
        """
        codec = get_codec(self.codec)

        def arrived(row: Array) -> Array:
            return codec.decode(codec.encode(row), row.dtype.name, row.shape)

        return tuple(np.concatenate([arrived(tensor[i : i + 1]) for i in range(len(tensor))]) for tensor in tensors)

    def __str__(self) -> str:
        return f"{self.codec}@{self.cut}"
