"""A plan: who runs what, when to stop, and what that is expected to cost."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from offramp.cascade.store import write_text_atomic
from offramp.codecs.registry import get_codec
from offramp.confidence.certificate import Certificate
from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.scoring import check_gates, scoring_gates
from offramp.errors import CertificateError, ConfigError, RecordMismatch
from offramp.files import first_fault
from offramp.planning.gate_spec import GateSpec
from offramp.planning.objective import Objective
from offramp.records.variant import VariantName

__all__ = ["Evidence", "GateSpec", "Plan", "Prediction", "Term", "load_plan"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _read_certificate(value: object) -> object:
    if not isinstance(value, dict):
        return value
    try:
        return Certificate.from_dict(value)
    except CertificateError as error:
        raise ValueError(str(error)) from error


_Certificate = Annotated[
    InstanceOf[Certificate],
    BeforeValidator(_read_certificate),
    PlainSerializer(Certificate.to_dict),
]


class Term(_Value):
    """One part of the mean latency, e.g. ``compute:device`` or ``rtt:device-edge``."""

    name: str
    mean_s: float


class Prediction(_Value):
    """What the plan is expected to do. Accuracy and shares come from rows that chose nothing.

    ``energy_j`` of the first tier is modelled, where it declares an energy model; ``price`` is per sample.
    """

    how: Literal["replayed"] = "replayed"
    rows: int
    accuracy: float
    accuracy_last_exit: float
    accuracy_loss: float
    exit_share: tuple[float, ...]
    exit_latency_s: tuple[float, ...]
    mean_latency_s: float
    p50_latency_s: float
    p95_latency_s: float
    bytes_per_sample: float
    terms: tuple[Term, ...] = ()
    energy_j: float | None = None
    price: float | None = None


class Evidence(_Value):
    """The records and profiles a plan was made from."""

    data: str
    data_sha256: str
    tune_rows: int
    calibrate_rows: int
    settings: int
    placements: int


class Plan(_Value):
    """Placement, gates, codec and precision for one cascade on one network.

    ``placement`` names the tier of every segment; ``gates`` has one entry per exit but the last;
    ``temperatures`` one per exit. ``coded`` names the codec at cuts that have their own, ``codec`` that of all
    others. ``certificate`` covers the gates, and all others it lists: any of them may
    take their place while the network changes.
    """

    schema_version: Literal[1] = 1
    cascade: str
    cascade_fingerprint: str
    tiers: tuple[str, ...]
    placement: tuple[str, ...]
    gates: tuple[GateSpec, ...]
    temperatures: tuple[Annotated[float, Field(gt=0)], ...]
    codec: str = "raw"
    coded: dict[Annotated[int, Field(ge=0)], str] = {}
    precision: str = "fp32"
    planner: str = "offramp"
    objective: Objective = Objective()
    predicted: Prediction | None = None
    evidence: Evidence | None = None
    certificate: _Certificate | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        if len(self.gates) != len(self.temperatures) - 1:
            raise ValueError(
                f"{len(self.temperatures)} exits need {len(self.temperatures) - 1} gates, not {len(self.gates)}"
            )
        unknown = [tier for tier in self.placement if tier not in self.tiers]
        if unknown:
            raise ValueError(f"placement names tier {unknown[0]!r}, but the tiers are {', '.join(self.tiers)}")
        order = [self.tiers.index(tier) for tier in self.placement]
        if order != sorted(order):
            raise ValueError(f"placement {' '.join(self.placement)} goes back down the chain of tiers")
        check_gates([gate.decides for gate in self.gates], len(self.gates))
        if self.certificate and not self.certificate.covers(self.thresholds, self.scores):
            raise ValueError(f"certificate {self.certificate.certificate_id} does not cover these gates")
        return self

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """One per early exit; ``None`` is off."""
        return tuple(gate.threshold for gate in self.gates)

    @property
    def scores(self) -> tuple[Gate, ...]:
        """The gates whose scores decide, without thresholds; none where all decide on the confidence."""
        return scoring_gates([gate.decides for gate in self.gates])

    @property
    def plan_id(self) -> str:
        """Twelve hexadecimal digits that name what the plan does (not what it predicts)."""
        keys: tuple[str, ...] = (
            "cascade_fingerprint",
            "tiers",
            "placement",
            "gates",
            "temperatures",
            "codec",
            "precision",
        )
        body = self.model_dump(mode="json")
        if self.coded:
            keys = (*keys, "coded")
        text = json.dumps({key: body[key] for key in keys}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def variant(self) -> str:
        """Name of the records that hold for this plan: its precision, and where codecs change the tensors."""
        lossy = {cut: name for cut, name in self.coded.items() if not get_codec(name).lossless}
        return str(VariantName(self.precision, lossy))

    def codec_at(self, cut: int) -> str:
        """The codec of what crosses at a cut."""
        return self.coded.get(cut, self.codec)

    def tier_range(self, tier: str) -> range:
        """The segments ``tier`` runs (may be empty)."""
        mine = [i for i, name in enumerate(self.placement) if name == tier]
        if mine:
            return range(mine[0], mine[-1] + 1)
        position = self.tiers.index(tier)
        before = sum(1 for name in self.placement if self.tiers.index(name) < position)
        return range(before, before)

    def next_tier(self, tier: str) -> str | None:
        """The tier after ``tier`` in the chain if any segment runs beyond it, else ``None``."""
        position = self.tiers.index(tier)
        beyond = any(self.tiers.index(name) > position for name in self.placement)
        return self.tiers[position + 1] if beyond else None

    def require(self, fingerprint: str) -> None:
        """Refuse a plan of another cascade.

        Raises
        ------
        RecordMismatch : the fingerprints differ
        """
        if self.cascade_fingerprint != fingerprint:
            raise RecordMismatch(
                f"the plan was made for another build of {self.cascade!r} (fingerprint "
                f"{self.cascade_fingerprint[:12]}, the cascade has {fingerprint[:12]}); run 'offramp plan' again"
            )

    def to_json(self) -> str:
        """The text of a plan file."""
        return json.dumps({"plan_id": self.plan_id, **self.model_dump(mode="json")}, indent=2) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the plan file, atomically."""
        write_text_atomic(Path(path), self.to_json())

    @classmethod
    def from_json(cls, text: str, where: str = "plan") -> Plan:
        """Read a plan.

        Raises
        ------
        ConfigError : no JSON, unknown or wrong fields, or a plan_id that does not fit the content
        """
        try:
            body: dict[str, Any] = json.loads(text)
            stored = body.pop("plan_id", None)
            plan = cls.model_validate(body)
        except ValidationError as error:
            raise ConfigError(f"{where}: {first_fault(error, 'plan')}; run 'offramp plan' again") from error
        except (ValueError, AttributeError, TypeError) as error:
            raise ConfigError(f"{where}: not a plan file ({error}); run 'offramp plan' again") from error
        if stored is not None and stored != plan.plan_id:
            raise ConfigError(f"{where}: plan_id {stored} does not fit the content; run 'offramp plan' again")
        return plan


def load_plan(path: str | Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    ConfigError : missing, or not a valid plan
    """
    file = Path(path)
    try:
        text = file.read_text()
    except OSError as error:
        raise ConfigError(f"{file}: no such plan; 'offramp plan CASCADE --network N.toml' makes one") from error
    return Plan.from_json(text, where=str(file))
