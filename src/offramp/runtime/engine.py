"""The seam between a tier and where its segments run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from importlib.metadata import entry_points
from typing import ClassVar

from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade
from offramp.errors import ConfigError

__all__ = ["Engine", "Local", "engine_named"]

#: ours, by name; other packages offer theirs by entry points of this group
_OURS = {"local": "offramp.runtime.engine:Local", "ray": "offramp.runtime.engine_ray:RayServe"}
_GROUP = "offramp.engines"


class Engine(ABC):
    """Where a tier's segments run. What leaves, waits and goes on is decided in the tier, whatever the engine.

    Class attributes are ``name``, under which it is found, and ``inline``: whether what takes no time may be computed
    by who asks, so that nobody else's turn is waited for.

    Parameters
    ----------
    cascade : the opened cascade
    replicas : ``N``, or ``LEAST-MOST`` where it scales by itself; ``None`` leaves that to the engine

    Raises
    ------
    ConfigError : it cannot be had here, or not with so many replicas
    """

    name: ClassVar[str]
    inline: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, cascade: Cascade, replicas: str | None = None) -> None: ...

    @abstractmethod
    def load(self, index: int, precision: str) -> Segment:
        """Segment ``index``, ready to run; called once for each."""

    def close(self) -> None:
        """Let go of what runs elsewhere; may be called twice."""
        return  # nothing runs elsewhere unless an engine says so


class Local(Engine):
    """In this process, by ONNX Runtime.

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> Local(open_cascade(getfixture("tiny_cascade"))).load(0, "fp32").run([np.zeros((1, 4), np.float32)]).label.shape
    (1,)
    """

    name = "local"
    inline = True

    def __init__(self, cascade: Cascade, replicas: str | None = None) -> None:
        if replicas is not None:
            raise ConfigError("the engine local runs in the tier's process; leave the replicas out, or take engine ray")
        self._cascade = cascade

    def load(self, index: int, precision: str) -> Segment:
        return self._cascade.segment(index, precision=precision)

    def __repr__(self) -> str:
        return "Local()"


def engine_named(name: str, cascade: Cascade, replicas: str | None = None) -> Engine:
    """The engine of that name, for a cascade.

    Raises
    ------
    ConfigError : no such engine, or it cannot be had here

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> engine_named("local", open_cascade(getfixture("tiny_cascade")))
    Local()
    """
    found = {**{entry.name: entry.value for entry in entry_points(group=_GROUP)}, **_OURS}
    if name not in found:
        raise ConfigError(f"unknown engine {name!r}; there are {', '.join(sorted(found))}")
    module, _, attribute = found[name].partition(":")
    kind = getattr(import_module(module), attribute)
    if not (isinstance(kind, type) and issubclass(kind, Engine) and kind.name == name):
        raise ConfigError(f"engine {name!r}: {found[name]} is no Engine of that name; fix its package")
    return kind(cascade, replicas)
