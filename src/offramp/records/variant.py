"""The name of a variant: which precision and which coded cuts records were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offramp.cascade.precision import parse
from offramp.errors import ConfigError

__all__ = ["VariantName"]


@dataclass(frozen=True)
class VariantName:
    """Precision of the segments, and the codecs that change tensors at some cuts.

    Examples
    --------
    >>> name = VariantName.parse("int8:1+affine4@2")
    >>> name.precision, dict(name.coded)
    ('int8:1', {2: 'affine4'})
    >>> str(name), str(VariantName("fp32", {}))
    ('int8:1+affine4@2', 'fp32')
    """

    precision: str
    coded: Mapping[int, str]

    @classmethod
    def parse(cls, text: str) -> VariantName:
        """Read ``PRECISION`` or ``PRECISION+CODEC@CUT``, with more cuts after further plus signs.

        Raises
        ------
        ConfigError : another form, an unknown precision, or a cut named twice
        """
        precision, *cuts = text.split("+")
        parse(precision)
        coded: dict[int, str] = {}
        for cut in cuts:
            codec, _, number = cut.rpartition("@")
            if not (codec and number.isascii() and number.isdecimal()) or int(number) in coded:
                raise ConfigError(f"variant {text!r}: write PRECISION+CODEC@CUT, each cut once, such as int8:1+uint8@2")
            coded[int(number)] = codec
        return cls(precision, coded)

    def __str__(self) -> str:
        return "+".join([self.precision, *(f"{codec}@{cut}" for cut, codec in sorted(self.coded.items()))])
