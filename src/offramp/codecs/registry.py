"""Finding a codec by its name."""

from __future__ import annotations

from offramp.codecs.base import Codec
from offramp.entry_points import entries_of, kind_named

__all__ = ["codec_names", "get_codec"]

_GROUP = "offramp.codecs"


def codec_names() -> tuple[str, ...]:
    """Names of every installed codec: ours and those of other packages."""
    return tuple(entries_of(_GROUP))


def get_codec(name: str) -> Codec:
    """A codec by its name.

    Raises
    ------
    ConfigError : no installed package offers it, or what it offers is no codec of that name

    Examples
    --------
    >>> get_codec("zstd")
    Zstd(level=1)
    """
    kind: type[Codec] = kind_named(name, Codec, entries_of(_GROUP))
    return kind()
