"""Finding a policy by its name."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from offramp.errors import ConfigError
from offramp.policies.base import Policy

__all__ = ["policy_named", "policy_names"]

_GROUP = "offramp.policies"


@cache
def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=_GROUP), key=lambda entry: entry.name)}


def policy_names() -> tuple[str, ...]:
    """Names of every installed policy: ours and those of other packages."""
    return tuple(_found())


def policy_named(name: str) -> type[Policy]:
    """A kind of policy by its name; `Policy.start` makes one.

    Raises
    ------
    ConfigError : no installed package offers it, or what it offers is no policy of that name

    Examples
    --------
    >>> policy_named("fixed").name
    'fixed'
    """
    entry = _found().get(name)
    if entry is None:
        near = get_close_matches(name, policy_names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown policy {name!r}; {hint}installed are {', '.join(policy_names())}")
    kind = entry.load()
    if not (isinstance(kind, type) and issubclass(kind, Policy) and kind.name == name):
        raise ConfigError(f"policy {name!r}: the entry point {entry.value} is no Policy of that name; fix its package")
    return kind
