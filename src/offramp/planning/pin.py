"""A segment that must, or must not, run on a tier."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from offramp.errors import ConfigError, PlanInfeasible

__all__ = ["Pin", "pinned"]

_PIN = re.compile(r"\s*(\d+)\s*(!?=)\s*(\S+)\s*")


class Pin(BaseModel):
    """``3=device`` keeps segment 3 on the device; ``3!=cloud`` keeps it off the cloud.

    Examples
    --------
    >>> Pin.model_validate("3!=cloud")
    Pin(segment=3, tier='cloud', there=False)
    >>> Pin.model_validate("3!=cloud").model_dump()
    '3!=cloud'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment: int = Field(ge=0)
    tier: str
    there: bool = True

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if (match := _PIN.fullmatch(value)) is None:
            raise ValueError(f"a pin is written SEGMENT=TIER or SEGMENT!=TIER, such as 3=device, not {value!r}")
        return {"segment": int(match[1]), "tier": match[3], "there": match[2] == "="}

    @model_serializer
    def _write(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self.segment}{'=' if self.there else '!='}{self.tier}"


def pinned(placements: NDArray[np.int64], tiers: Sequence[str], pins: Sequence[Pin]) -> NDArray[np.bool_]:
    """(P,) which placements keep every pin.

    Parameters
    ----------
    placements : (P, S) tier index of every segment
    tiers : their names

    Raises
    ------
    ConfigError : a pin names a segment or tier there is not
    PlanInfeasible : the pins contradict each other: data only goes up the chain of tiers

    Examples
    --------
    >>> two = np.array([[0, 0], [0, 1], [1, 1]])
    >>> pinned(two, ["device", "cloud"], [Pin(segment=0, tier="device")])
    array([ True,  True, False])
    """
    segments = placements.shape[1]
    kept = np.ones(len(placements), bool)
    for index, pin in enumerate(pins):
        if pin.segment >= segments:
            raise ConfigError(f"pin {pin}: the segments are numbered 0 to {segments - 1}")
        if pin.tier not in tiers:
            raise ConfigError(f"pin {pin}: unknown tier {pin.tier!r}; the tiers are {', '.join(tiers)}")
        here = (placements[:, pin.segment] == list(tiers).index(pin.tier)) == pin.there
        if not (kept & here).any():
            before = " and ".join(str(other) for other in pins[:index])
            against = f"contradicts {before}" if before else "cannot be kept"
            raise PlanInfeasible(
                f"pin {pin} {against}: data goes only up the tiers {', '.join(tiers)}; drop one of the pins"
            )
        kept &= here
    return kept
