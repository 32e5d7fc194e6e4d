"""The file of audited answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from offramp.runtime.answer import Answer

__all__ = ["AuditLog", "Drawn", "Heard"]

#: told what the last exit says of one sample, and the share of samples that are drawn
Heard = Callable[[int, float], None]


class Drawn(NamedTuple):
    """An answer to audit; without ``inputs`` the last exit has given it. ``heard`` is told, of those that had not."""

    sample: int
    inputs: tuple[NDArray[Any], ...] | None
    answer: Answer
    plan_id: str
    heard: Heard | None = None


class AuditLog:
    """Adds a line of JSON for every audited sample, so that losses can be weighed by their propensity later.

    Parameters
    ----------
    path : of the file; without one nothing is written
    share : of the samples that are drawn
    wall : seconds since 1970
    """

    def __init__(self, path: Path | None, share: float, wall: Callable[[], float]) -> None:
        self._path = path
        self._share = share
        self._wall = wall

    def add(self, drawn: Drawn, reference: int, alarm: bool) -> None:
        """One audited answer.

        Parameters
        ----------
        drawn : which
        reference : what the last exit says
        alarm : whether it is raised by now
        """
        if self._path is None:
            return
        answer = drawn.answer
        line = {
            "time_s": self._wall(),
            "sample": drawn.sample,
            "plan_id": drawn.plan_id,
            "propensity": self._share,
            "exit": answer.exit,
            "tier": answer.tier,
            "confidence": answer.confidence,
            "label": answer.label,
            "reference": reference,
            "loss": float(reference != answer.label),
            "alarm": alarm,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as lines:
            lines.write(json.dumps(line) + "\n")
