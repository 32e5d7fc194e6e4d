"""What a plan is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from offramp.planning.pin import Pin

__all__ = ["Goal", "Objective", "Weights"]

Goal = Literal["latency", "latency_quantile", "energy", "bytes", "price", "weighted"]
_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Weights(BaseModel):
    """What a second, a joule, a byte and a unit of price weigh in a sum, per sample.

    Examples
    --------
    >>> Weights(latency_s=1.0, energy_j=0.2).bytes
    0.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_s: _Weight = 0.0
    energy_j: _Weight = 0.0
    bytes: _Weight = 0.0
    price: _Weight = 0.0


class Objective(BaseModel):
    """What to minimise, and the constraints.

    Parameters
    ----------
    minimise : of a sample, on average: ``latency`` (seconds), ``energy`` of the first tier (joules, modelled),
        ``bytes`` that leave the first tier, ``price``, or ``weighted``, their sum by ``weights``; or
        ``latency_quantile``: the latency that the share ``quantile`` of the samples does not exceed
    accuracy_loss : the most accuracy (0..1) that may be lost against always using the last exit: on the records'
        rows, or, with ``confidence`` (0..1), on the rows to come with that probability over the calibrate rows (a
        certificate)
    deadline_s : must be met by at least the share ``deadline_quantile`` of the samples (1.0: by every path taken)
    arrival_hz : samples per second that every tier and link must be able to sustain
    pins : segments that must, or must not, run on a tier
    input_stays : the raw input never leaves the first tier

    Memory is a constraint of a tier, `offramp.links.network.Tier.memory_bytes`.

    Examples
    --------
    >>> Objective(minimise="energy", deadline_s=0.2, pins=["0=device"]).pins[0]
    Pin(segment=0, tier='device', there=True)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimise: Goal = "latency"
    quantile: Annotated[float, Field(gt=0, le=1)] = 0.95
    weights: Weights | None = None
    accuracy_loss: Annotated[float, Field(ge=0, le=1)] = 0.01
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    deadline_quantile: Annotated[float, Field(gt=0, le=1)] = 1.0
    arrival_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    pins: tuple[Pin, ...] = ()
    input_stays: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Objective:
        if (self.minimise == "weighted") != (self.weights is not None):
            raise ValueError("minimise = 'weighted' goes with weights, and weights only with it")
        if self.weights is not None and not any(self.weights.model_dump().values()):
            raise ValueError("at least one weight must be above zero")
        return self

    @property
    def counts_energy(self) -> bool:
        """Whether joules enter what is minimised."""
        return self.minimise == "energy" or (self.weights is not None and self.weights.energy_j > 0)
