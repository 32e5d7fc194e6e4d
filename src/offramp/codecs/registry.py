"""Finding a codec by its name."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from offramp.codecs.base import Codec
from offramp.errors import ConfigError

__all__ = ["codec_names", "get_codec"]

_GROUP = "offramp.codecs"


@cache
def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=_GROUP), key=lambda e: e.name)}


def codec_names() -> tuple[str, ...]:
    """Names of every installed codec: ours and those of other packages."""
    return tuple(_found())


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
    entry = _found().get(name)
    if entry is None:
        near = get_close_matches(name, codec_names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown codec {name!r}; {hint}installed are {', '.join(codec_names())}")
    kind = entry.load()
    if not (isinstance(kind, type) and issubclass(kind, Codec) and kind.name == name):
        raise ConfigError(f"codec {name!r}: the entry point {entry.value} is no Codec of that name; fix its package")
    return kind()
