"""What a plan is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Objective"]


class Objective(BaseModel):
    """What to minimise, and the constraints.

    ``accuracy_loss`` is the most accuracy (0..1) that may be lost against always using the last
    exit: on the records' rows, or, with ``confidence`` (0..1), on the rows to come with that probability over
    the calibrate rows (a certificate). ``deadline_s`` must be met by at least the share
    ``deadline_quantile`` of the samples (1.0: by every path that is taken).

    Examples
    --------
    >>> Objective(accuracy_loss=0.01)
    Objective(minimise='latency', accuracy_loss=0.01, confidence=None, deadline_s=None, deadline_quantile=1.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimise: Literal["latency"] = "latency"
    accuracy_loss: Annotated[float, Field(ge=0, le=1)] = 0.01
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    deadline_quantile: Annotated[float, Field(gt=0, le=1)] = 1.0
