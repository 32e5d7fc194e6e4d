"""The precision of a plan: ``fp32``, or ``int8:2`` for the first two segments in int8."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from offramp.errors import ConfigError

__all__ = ["Kind", "Precision", "parse", "precision_at", "segments_of"]

Kind = Literal["fp32", "int8"]
_INT8 = re.compile(r"int8:([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Precision:
    """The first ``int8`` segments run in int8, the rest in fp32; 0 is all fp32.

    Examples
    --------
    >>> str(Precision(2)), str(Precision(0)), Precision(2).file_stem
    ('int8:2', 'fp32', 'int8-2')
    """

    int8: int = 0

    def at(self, segment: int) -> Kind:
        """The precision of one segment."""
        return "int8" if segment < self.int8 else "fp32"

    @property
    def file_stem(self) -> str:
        """Name of the files made with this precision, for example of its records."""
        return str(self).replace(":", "-")

    def __str__(self) -> str:
        return f"int8:{self.int8}" if self.int8 else "fp32"


def parse(text: str) -> Precision:
    """Read a plan's precision.

    Raises
    ------
    ConfigError : neither ``fp32`` nor ``int8:N`` with N >= 1

    Examples
    --------
    >>> parse("int8:2")
    Precision(int8=2)
    """
    if text == "fp32":
        return Precision()
    if match := _INT8.fullmatch(text):
        return Precision(int(match.group(1)))
    raise ConfigError(f"unknown precision {text!r}; write fp32, or int8:N for the first N segments in int8")


def segments_of(text: str, segments: int) -> tuple[Kind, ...]:
    """The precision of each of ``segments`` segments.

    Raises
    ------
    ConfigError : unknown precision, or more int8 segments than there are

    Examples
    --------
    >>> segments_of("int8:1", 3)
    ('int8', 'fp32', 'fp32')
    """
    precision = parse(text)
    if precision.int8 > segments:
        raise ConfigError(f"precision {text!r} names {precision.int8} segments, but the cascade has {segments}")
    return tuple(precision.at(index) for index in range(segments))


def precision_at(text: str, segment: int) -> Kind:
    """The precision of one segment; a bare ``int8`` means this very segment.

    Raises
    ------
    ConfigError : unknown precision

    Examples
    --------
    >>> precision_at("int8:2", 2), precision_at("int8", 2)
    ('fp32', 'int8')
    """
    return "int8" if text == "int8" else parse(text).at(segment)
