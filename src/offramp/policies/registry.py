"""Finding a policy by its name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint

from offramp.entry_points import entries_of, kind_named
from offramp.policies.base import Policy

__all__ = ["policy_named", "policy_names"]


def _found() -> Mapping[str, EntryPoint]:
    return entries_of("offramp.policies")


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
    return kind_named(name, Policy, _found())
