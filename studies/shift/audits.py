"""Audited answers as streams, and what the alarm makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.alarm import first_alarms
from offramp.confidence.bounds.betting import betting_upper
from studies.shift.evidence import Judged

__all__ = ["AUDITS", "DELTA", "Audit", "Detection", "detection", "false_alarms", "safe_limit"]

DELTA = 0.05
_STREAMS_AT_ONCE = 1000

Losses = NDArray[np.int8]


@dataclass(frozen=True)
class Audit:
    """What an audit of an answer decided on the device finds.

    ``loss`` takes (right, agrees, final right), each (n,) bool, and gives a loss in [low, 1].
    """

    name: str
    low: int
    loss: Callable[[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_] | Losses]

    def of(self, confidence: NDArray[np.floating], rows: Judged, target: float) -> Losses:
        """Losses of the rows that the device decides."""
        reached = confidence >= target
        at, index = reached.argmax(0), np.flatnonzero(reached.any(0))
        answers = rows.logits.argmax(-1)[at, np.arange(len(rows.labels))][index]
        labels, final = rows.labels[index], rows.final[index]
        return np.asarray(self.loss(answers == labels, answers == final, final == labels), np.int8)


AUDITS = (
    Audit("wrong", 0, lambda right, agrees, final: ~right),
    Audit("differs from the last exit", 0, lambda right, agrees, final: ~agrees),
    Audit("accuracy loss, signed", -1, lambda right, agrees, final: final.astype(np.int8) - right.astype(np.int8)),
)


@dataclass(frozen=True)
class Detection:
    """Of streams that change: the median delay in audits (infinite where half are never found), and how many are."""

    median_delay: float
    found: float


def safe_limit(losses: Losses, low: int) -> float:
    """What the mean loss of calibrate rows shows to be kept, at level `DELTA`."""
    return betting_upper(losses, DELTA, low, 1)


def false_alarms(losses: Losses, limit: float, low: int, streams: int, audits: int, rng: np.random.Generator) -> float:
    """Share of streams of clean audits, drawn with replacement, that raise the alarm."""
    return float((_raised(losses, losses, 0, limit, low, streams, audits, rng) > 0).mean())


def detection(
    clean: Losses,
    shifted: Losses,
    before: int,
    limit: float,
    low: int,
    streams: int,
    audits: int,
    rng: np.random.Generator,
) -> Detection:
    """Delay after ``before`` clean audits, over at most ``audits`` shifted ones; earlier alarms are left out."""
    raised = _raised(clean, shifted, before, limit, low, streams, audits, rng)
    raised = raised[(raised == 0) | (raised > before)]
    delay = np.where(raised > 0, raised - before, np.inf)
    return Detection(float(np.quantile(delay, 0.5, method="higher")), float((raised > 0).mean()))


def _raised(
    clean: Losses,
    shifted: Losses,
    before: int,
    limit: float,
    low: int,
    streams: int,
    audits: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    parts = []
    for begin in range(0, streams, _STREAMS_AT_ONCE):
        count = min(_STREAMS_AT_ONCE, streams - begin)
        drawn = np.concatenate([rng.choice(clean, (count, before)), rng.choice(shifted, (count, audits))], 1)
        parts.append(first_alarms(drawn, limit, DELTA, low))
    return np.concatenate(parts)
