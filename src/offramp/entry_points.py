"""Finding what installed packages offer under a name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

from offramp.errors import ConfigError

__all__ = ["entries_of", "kind_named"]


@cache
def entries_of(group: str) -> Mapping[str, EntryPoint]:
    """What is offered in an entry point group, by name and in its order: ours and that of other packages.

    Examples
    --------
    >>> "zstd" in entries_of("offramp.codecs")
    True
    """
    return {entry.name: entry for entry in sorted(metadata.entry_points(group=group), key=lambda entry: entry.name)}


def kind_named(name: str, base: type[Any], entries: Mapping[str, EntryPoint]) -> type[Any]:
    """The class offered under a name, which is a ``base`` whose attribute ``name`` says the same.

    Parameters
    ----------
    name : what is asked for
    base : the abstract class of the seam, such as ``Codec``; its name is used in the sentences
    entries : what there is, see `entries_of`

    Raises
    ------
    ConfigError : no installed package offers it, or what it offers is no ``base`` of that name

    Examples
    --------
    >>> from offramp.codecs.base import Codec
    >>> kind_named("raw", Codec, entries_of("offramp.codecs"))
    <class 'offramp.codecs.raw.Raw'>
    """
    seam = base.__name__
    entry = entries.get(name)
    if entry is None:
        near = get_close_matches(name, entries, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown {seam.lower()} {name!r}; {hint}installed are {', '.join(entries)}")
    kind = entry.load()
    if not (isinstance(kind, type) and issubclass(kind, base) and getattr(kind, "name", None) == name):
        raise ConfigError(
            f"{seam.lower()} {name!r}: the entry point {entry.value} is no {seam} of that name; fix its package"
        )
    return kind
