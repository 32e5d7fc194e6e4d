"""One gate of a plan, as the plan file has it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, model_serializer, model_validator

from offramp.confidence.gates import Gate, ThresholdGate
from offramp.confidence.gates.scoring import gate_body, gate_of_body

__all__ = ["MAX_PROBABILITY", "GateSpec"]

#: the score of a gate that is a threshold on the calibrated confidence
MAX_PROBABILITY = "max_probability"


class GateSpec(BaseModel):
    """Leave at this exit when the score reaches ``threshold``; ``None`` never leaves (exit off).

    ``score`` is the highest calibrated probability, or the kind of ``gate``, which gives another score.

    Examples
    --------
    >>> from offramp.confidence.gates import MarginGate
    >>> spec = GateSpec.of(MarginGate(0.5))
    >>> spec.model_dump_json()
    '{"score":"margin","threshold":0.5,"gate":{}}'
    >>> GateSpec.model_validate_json(spec.model_dump_json()).decides
    MarginGate(threshold=0.5)
    >>> GateSpec(threshold=0.9).model_dump_json()
    '{"score":"max_probability","threshold":0.9}'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: str = MAX_PROBABILITY
    threshold: Annotated[float, Field(ge=0, le=1)] | None
    gate: InstanceOf[Gate] | None = None

    @classmethod
    def of(cls, gate: Gate) -> GateSpec:
        """The entry of a plan for a gate."""
        if isinstance(gate, ThresholdGate):
            return cls(threshold=gate.threshold)
        return cls(score=gate.kind, threshold=gate.threshold, gate=gate.with_threshold(None))

    @property
    def decides(self) -> Gate:
        """The gate, with its threshold."""
        return ThresholdGate(self.threshold) if self.gate is None else self.gate.with_threshold(self.threshold)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        """A gate's JSON body as a gate."""
        if isinstance(value, dict) and isinstance(value.get("gate"), dict):
            return {**value, "gate": gate_of_body({"kind": value.get("score"), **value["gate"]})}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> GateSpec:
        kind = MAX_PROBABILITY if self.gate is None else self.gate.kind
        if self.score != kind:
            raise ValueError(f"score is {self.score!r}, but the gate's is {kind!r}")
        return self

    @model_serializer
    def _write(self) -> dict[str, Any]:
        body: dict[str, Any] = {"score": self.score, "threshold": self.threshold}
        if self.gate is not None:
            body["gate"] = {key: value for key, value in gate_body(self.gate).items() if key != "kind"}
        return body
