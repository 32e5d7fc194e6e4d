"""Reading a gate back from JSON."""

from __future__ import annotations

import json
from importlib.metadata import entry_points

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.entropy import EntropyGate
from offramp.confidence.gates.gain import GainGate
from offramp.confidence.gates.logistic import LogisticGate
from offramp.confidence.gates.margin import MarginGate
from offramp.confidence.gates.threshold import ThresholdGate
from offramp.errors import ConfigError

__all__ = ["gate_from_json", "gate_kinds"]

_OURS: tuple[type[Gate], ...] = (ThresholdGate, MarginGate, EntropyGate, LogisticGate, GainGate)


def gate_kinds() -> dict[str, type[Gate]]:
    """Every gate by its kind: ours, and those other packages register as entry points ``offramp.gates``.

    Examples
    --------
    >>> gate_kinds()["threshold"].__name__
    'ThresholdGate'
    """
    known = {gate.kind: gate for gate in _OURS}
    for point in entry_points(group="offramp.gates"):
        if point.name not in known:
            known[point.name] = point.load()
    return known


def gate_from_json(text: str) -> Gate:
    """Read a gate back.

    Raises
    ------
    ConfigError : not JSON, a value a gate refuses, or an unknown kind

    Examples
    --------
    >>> gate_from_json(ThresholdGate(0.5).to_json())
    ThresholdGate(threshold=0.5)
    """
    try:
        body = json.loads(text)
        kind = body.pop("kind")
        ours = {gate.kind: gate for gate in _OURS}
        chosen = ours.get(kind) or gate_kinds().get(kind)
        if chosen is not None:
            return chosen(**body)
    except ConfigError:
        raise
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"not a gate: {text[:60]!r}") from error
    raise ConfigError(f"unknown gate kind {kind!r}; known are {', '.join(sorted(gate_kinds()))}")
