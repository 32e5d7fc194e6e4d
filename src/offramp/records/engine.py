"""Where parts are computed: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError
from offramp.records.part import Part, PartOptions, PartRunner

__all__ = ["Engine", "InProcess", "choose_engine"]

Done = Callable[[int], None]


class Engine(Protocol):
    """Computes parts, in order, holding no more than a few at a time."""

    def run(self, parts: Iterable[Part], done: Done) -> Iterator[tuple[Part, bytes]]:
        """Every part with the bytes of its table, in the order given.

        Parameters
        ----------
        parts : read one after the other, as they are needed
        done : may be called with the rows done of the part in hand
        """


class InProcess:
    """One part after the other, here."""

    def __init__(self, cascade: Cascade, options: PartOptions) -> None:
        self._runner = PartRunner(cascade, options)

    def run(self, parts: Iterable[Part], done: Done) -> Iterator[tuple[Part, bytes]]:
        for part in parts:
            yield part, self._runner(part, done)


def choose_engine(
    name: Literal["local", "ray"] | str, processes: int, cascade: Cascade, options: PartOptions
) -> Engine:
    """The engine of that name with so many processes.

    Raises
    ------
    ConfigError : an unknown engine, fewer than one process, or Ray is not installed
    """
    if processes < 1:
        raise ConfigError(f"processes must be at least 1, not {processes}")
    if name == "ray":
        from offramp.records.on_ray import OnRay

        return OnRay(cascade, options, processes)
    if name != "local":
        raise ConfigError(f"unknown engine {name!r}; write local or ray")
    if processes == 1:
        return InProcess(cascade, options)
    from offramp.records.pool import Pool

    return Pool(cascade, options, processes)
