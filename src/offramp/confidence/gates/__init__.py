"""Gates: stop at an exit, or go on."""

from __future__ import annotations

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.entropy import EntropyGate
from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.gain import GainGate
from offramp.confidence.gates.labels import eefp_label, rescue_and_harm
from offramp.confidence.gates.logistic import LogisticGate
from offramp.confidence.gates.margin import MarginGate
from offramp.confidence.gates.reading import gate_from_json
from offramp.confidence.gates.threshold import ThresholdGate

__all__ = [
    "EntropyGate",
    "ExitEvidence",
    "GainGate",
    "Gate",
    "LogisticGate",
    "MarginGate",
    "ThresholdGate",
    "eefp_label",
    "gate_from_json",
    "rescue_and_harm",
]
