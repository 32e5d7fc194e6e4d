"""BEEM: exits vote as experts; a sample leaves when the votes that agree weigh enough."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.bandits.base import PENDING
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.checks import refuse_view
from offramp.policies.setting import LabelledRows, Setting

__all__ = ["Beem", "BeemA", "BeemC", "fit_votes", "vote"]

Floats = NDArray[np.float64]


def vote(before: float, agrees: bool, weight: float, confidence: float) -> float:
    """Score of an exit: its own, on top of the score before where that says the same.

    Examples
    --------
    >>> round(vote(0.5, True, 0.5, 0.8), 2), round(vote(0.5, False, 0.5, 0.8), 2)
    (0.9, 0.4)
    """
    return (before if agrees else 0.0) + weight * confidence


class Beem(Policy):
    """S_i = S_{i-1} 1{same answer} + w_i c_i; leave by the first exit with S_i >= alpha_i. It learns nothing online.

    The alphas are the smallest at which the labelled rows that leave there err no more often than the last exit does.
    The released code computes this score and then leaves by a count of equal answers; this follows the paper.

    Source: Bajpai and Hanawal 2025 (ICLR, arXiv 2502.00745).

    Parameters
    ----------
    weights : (E - 1,) of the early exits
    alphas : (E - 1,) scores from which a sample leaves; infinity never
    """

    weighting: ClassVar[str]

    def __init__(self, weights: Sequence[float], alphas: Sequence[float]) -> None:
        if len(weights) != len(alphas) or not all(math.isfinite(w) and w >= 0 for w in weights):
            raise ConfigError("every early exit needs a weight of at least 0 and a score from which samples leave")
        self.weights, self.alphas = tuple(weights), tuple(alphas)
        self._standing: dict[int, tuple[int, int | None, float]] = {}

    @classmethod
    @abstractmethod
    def weigh(cls, setting: Setting, rows: LabelledRows) -> Floats:
        """(E - 1,) what the exits' votes weigh."""

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Self:
        if setting.rows is None or not len(setting.rows.truth):
            raise ConfigError(f"policy {cls.name!r} weighs its exits on labelled rows; the setting has none")
        weights = cls.weigh(setting, setting.rows)
        return cls(weights.tolist(), fit_votes(setting.rows, weights).tolist())

    def decide(self, view: View) -> Action:
        refuse_view(view)
        exit_before, label, score = self._standing.pop(view.sample, (-1, None, 0.0))
        agrees = exit_before == view.exit - 1 and label == view.label
        score = vote(score, agrees, self.weights[view.exit], view.confidence)
        if score >= self.alphas[view.exit]:
            return Action.STOP
        self._standing[view.sample] = (view.exit, view.label, score)
        if len(self._standing) > PENDING:
            del self._standing[next(iter(self._standing))]
        return Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        """There is nothing to learn; what the sample's exits said is forgotten."""
        self._standing.pop(feedback.sample, None)

    def to_json(self) -> str:
        alphas = [None if math.isinf(alpha) else alpha for alpha in self.alphas]
        standing = [[sample, *each] for sample, each in self._standing.items()]
        body = {"name": self.name, "exits": len(self.weights) + 1, "weights": self.weights, "alphas": alphas}
        return json.dumps(body | {"standing": standing})

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            alphas = [math.inf if alpha is None else float(alpha) for alpha in body["alphas"]]
            policy = cls([float(weight) for weight in body["weights"]], alphas)
            for sample, exit_index, label, score in body["standing"]:
                said = None if label is None else int(label)
                policy._standing[int(sample)] = (int(exit_index), said, float(score))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error
        return policy

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.weights)!r}, {list(self.alphas)!r})"


class BeemC(Beem):
    """BEEM with votes that weigh what the exit costs: its layers, or its depth where these are free.

    Examples
    --------
    >>> rows = LabelledRows(np.array([[0.9, 0.6], [0.8, 0.9]]), np.array([[1, 0], [1, 1]]), np.array([1, 1]))
    >>> BeemC.start(Setting((None,), layer_costs=(0.5, 1.0), rows=rows))
    BeemC([0.5], [0.45])
    """

    name = "beem-c"

    @classmethod
    def weigh(cls, setting: Setting, rows: LabelledRows) -> Floats:
        depth = np.arange(1, setting.exits + 1) / setting.exits
        costs = np.array(setting.layer_costs) if any(setting.layer_costs) else depth
        return np.asarray(costs[:-1] / costs[-1], np.float64)


class BeemA(Beem):
    """BEEM with votes that weigh as much as the exit is right on the labelled rows."""

    name = "beem-a"

    @classmethod
    def weigh(cls, setting: Setting, rows: LabelledRows) -> Floats:
        return np.asarray(rows.right[:-1].mean(1), np.float64)


def fit_votes(rows: LabelledRows, weights: Floats) -> Floats:
    """(E - 1,) smallest scores at which the rows that leave err no more often than the last exit on all rows.

    Exit by exit, on the rows still there; infinity where no score is high enough.
    """
    limit = float((~rows.right[-1]).mean())
    there = np.ones(len(rows.truth), bool)
    score = np.zeros(len(rows.truth))
    alphas = np.full(len(weights), np.inf)
    for index, weight in enumerate(weights.tolist()):
        agrees = rows.predicted[index] == rows.predicted[index - 1] if index else np.zeros(len(score), bool)
        score = np.where(agrees, score, 0.0) + weight * rows.confidence[index].astype(np.float64)
        alphas[index] = _smallest(score[there], ~rows.right[index][there], limit)
        there &= score < alphas[index]
    return alphas


def _smallest(score: Floats, wrong: NDArray[np.bool_], limit: float) -> float:
    """The smallest score from which the mean of ``wrong`` is at most ``limit``; rows of one score stay together."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    error = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    ends = np.append(ranked[1:] < ranked[:-1], True)[: len(order)]
    kept = np.flatnonzero(ends & (error <= limit))
    return float(ranked[kept[-1]]) if len(kept) else math.inf
