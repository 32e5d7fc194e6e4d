"""The scores a list of gates decides on, whatever their thresholds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.reading import gate_from_json
from offramp.confidence.gates.threshold import ThresholdGate
from offramp.errors import ConfigError

__all__ = ["check_gates", "gate_body", "gate_of_body", "scoring_gates"]


def scoring_gates(gates: Sequence[Gate] | None) -> tuple[Gate, ...]:
    """The gates without their thresholds; none where all of them decide on the highest probability.

    Examples
    --------
    >>> from offramp.confidence.gates import MarginGate
    >>> scoring_gates([ThresholdGate(0.9), MarginGate(0.5)])
    (ThresholdGate(threshold=None), MarginGate(threshold=None))
    >>> scoring_gates([ThresholdGate(0.9), ThresholdGate(0.8)]), scoring_gates(None)
    ((), ())
    """
    if all(isinstance(gate, ThresholdGate) for gate in gates or ()):
        return ()
    return tuple(gate.with_threshold(None) for gate in gates or ())


def check_gates(gates: Sequence[Gate], early: int) -> None:
    """Refuse gates that do not fit a cascade.

    Parameters
    ----------
    gates : one per early exit
    early : number of early exits

    Raises
    ------
    ConfigError : another number of gates, or one that asks for the answers of exits that are not before its own
    """
    if len(gates) != early:
        raise ConfigError(f"{early} early exits need {early} gates, not {len(gates)}; fit them again")
    for index, gate in enumerate(gates):
        if gate.earlier_exits not in (0, index):
            raise ConfigError(
                f"the {gate.kind} gate of exit {index} compares the answers of {gate.earlier_exits} earlier exits, "
                f"but {index} come before it; fit it again"
            )


def gate_body(gate: Gate) -> dict[str, Any]:
    """What the gate is in plain types, without its threshold; ``kind`` is one of the keys.

    Examples
    --------
    >>> gate_body(ThresholdGate(0.9))
    {'kind': 'threshold'}
    """
    body: dict[str, Any] = json.loads(gate.to_json())
    del body["threshold"]
    return body


def gate_of_body(body: Any, threshold: float | None = None) -> Gate:
    """The gate of a body.

    Raises
    ------
    ConfigError : not a gate

    Examples
    --------
    >>> gate_of_body({"kind": "threshold"}, 0.9)
    ThresholdGate(threshold=0.9)
    """
    if not isinstance(body, dict):
        raise ConfigError(f"not a gate: {str(body)[:60]!r}")
    return gate_from_json(json.dumps({**body, "threshold": threshold}))
