"""Routing by what each tier is worth, with gates behind it: the device unless another tier is clearly better."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Self

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.base import Action, Arrival, Feedback, FeedbackKind, Policy, View
from offramp.policies.checks import refuse_view
from offramp.policies.difficulty.tier_model import TierModel, held_out_values, leaving, sigmoid_of
from offramp.policies.setting import LabelledRows, Setting

__all__ = ["TierRouter"]

Floats = NDArray[np.float64]
_MARGINS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, math.inf)
_LEAST_SHARE = 0.01
#: stopped samples kept until their feedback comes; of more, the oldest is forgotten
_PENDING = 4096


class TierRouter(Policy):
    """Begins at the tier of the highest estimated value, and climbs from there wherever a gate is unsure.

    Two calibrated logistic models per tier estimate from the features whether what is begun there ends right, and
    whether it ends there. The first tier is left out only where another is better by a margin, chosen by
    leave-one-out values on the labelled rows; an infinite margin is the plain cascade. Behind every exit stands its
    gate, so that a sample routed too low climbs.

    Without labels it follows a shift through audits: of the samples an exit stopped, as many should differ from the
    last exit as on the labelled rows. Every audited sample moves the exit's threshold by ``rate`` times the excess,
    over its propensity (at least 0.01), as in Robbins and Monro's stochastic approximation.

    Parameters
    ----------
    thresholds : (E - 1,) of the gates; infinity never stops
    begins : (B,) the exit each tier begins with, ascending from 0
    models : (B,)
    margin : in units of one mistake
    differs : (E - 1,) share of an exit's stopped rows that differ from the last exit
    rate : of following; 0 is never

    Source: ours; the break-even of skipping local computing is that of hierarchical inference.
    """

    name = "tier-router"
    feedback = FeedbackKind.AUDITS

    def __init__(
        self,
        thresholds: Sequence[float],
        begins: Sequence[int],
        models: Sequence[TierModel],
        margin: float,
        differs: Sequence[float],
        rate: float = 0.0,
    ) -> None:
        if not begins or begins[0] != 0 or list(begins) != sorted(set(begins)) or begins[-1] > len(thresholds):
            raise ConfigError(f"tiers must begin at ascending exits from 0 to {len(thresholds)}, not {list(begins)}")
        if len(models) != len(begins) or len(differs) != len(thresholds):
            raise ConfigError("a tier router needs a model for each tier, and a share that differs for each early exit")
        self.begins, self.models, self.margin = tuple(begins), tuple(models), float(margin)
        self.differs, self.rate = tuple(differs), float(rate)
        self.thresholds = [float(np.float32(threshold)) for threshold in thresholds]
        self._stopped: dict[int, None] = {}
        weights = np.array([weights for model in models for weights in (model.right, model.stays)])
        self._constants, self._slopes = weights[:, 0].copy(), np.ascontiguousarray(weights[:, 1:])
        self._costs = [(model.cost_stays, model.cost_goes) for model in models]

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Self:
        """Every exit is a tier; going on, and beginning further up, costs the setting's price once a tier."""
        rows = setting.rows
        if rows is None or not len(rows.truth) or not rows.features.size:
            raise ConfigError(f"policy {cls.name!r} is fitted on labelled rows with features; the setting has none")
        thresholds = [math.inf if threshold is None else threshold for threshold in setting.thresholds]
        layers = np.array(setting.layer_costs or (0.0,) * setting.exits)
        paths = layers + setting.price * np.arange(setting.exits)
        return cls.fit(rows, thresholds, range(setting.exits), np.broadcast_to(paths, (setting.exits, setting.exits)))

    @classmethod
    def fit(
        cls,
        rows: LabelledRows,
        thresholds: Sequence[float],
        begins: Sequence[int],
        path_costs: Floats,
        *,
        routes: bool = True,
        rate: float = 0.0,
    ) -> Self:
        """From labelled rows with features.

        Parameters
        ----------
        rows : the confidences the gates will see, and features
        thresholds : (E - 1,) of the gates
        begins : (B,) the exit each tier begins with
        path_costs : (B, E) of beginning with a tier and leaving by an exit, in units of one mistake
        routes : ``False`` never leaves the first tier out
        rate : of following a shift

        Raises
        ------
        NotEnoughSamples : fewer than 20 rows
        SampleError : NaN or infinite features
        """
        exits, columns = len(rows.confidence), np.arange(len(rows.truth))
        models, values, realised = [], [], []
        for tier, begin in enumerate(begins):
            left = leaving(rows.confidence, thresholds, begin)
            end = begins[tier + 1] if tier + 1 < len(begins) else exits
            right, cost = rows.right[left, columns], np.asarray(path_costs)[tier, left]
            model, value = TierModel.fit(rows.features, right, left < end, cost)
            models.append(model)
            values.append(value)
            realised.append(right - cost)
        stacked = np.stack(values), np.stack(realised)
        margin = max(_MARGINS[::-1], key=lambda m: held_out_values(*stacked, m)) if routes else math.inf
        return cls(thresholds, begins, models, margin, _differing(rows, thresholds), rate)

    def route(self, arrival: Arrival) -> int:
        if math.isinf(self.margin):
            return 0
        if arrival.features is None:
            raise ConfigError(f"policy {self.name!r} routes by features; sample {arrival.sample} has none")
        wanted = self._slopes.shape[1]
        odds: list[float] = []
        if len(arrival.features) == wanted:
            odds = (self._slopes.dot(arrival.features) + self._constants).tolist()
        if not odds or not math.isfinite(sum(odds)):
            raise ConfigError(
                f"policy {self.name!r} routes by {wanted} finite features; sample {arrival.sample} has others"
            )
        values = [
            sigmoid_of(odds[2 * tier]) - goes - sigmoid_of(odds[2 * tier + 1]) * (stays - goes)
            for tier, (stays, goes) in enumerate(self._costs)
        ]
        best = max(values)
        return self.begins[values.index(best)] if best > values[0] + self.margin else 0

    def decide(self, view: View) -> Action:
        refuse_view(view)
        if view.confidence < self.thresholds[view.exit]:
            return Action.GO_ON
        if self.rate:
            self._stopped[view.sample] = None
            if len(self._stopped) > _PENDING:
                del self._stopped[next(iter(self._stopped))]
        return Action.STOP

    def learn(self, feedback: Feedback) -> None:
        known, left = feedback.sample in self._stopped, feedback.exit
        self._stopped.pop(feedback.sample, None)
        if not known or left >= len(self.thresholds) or not feedback.labels or feedback.labels[-1] is None:
            return
        excess = float(feedback.labels[left] != feedback.labels[-1]) - self.differs[left]
        moved = self.thresholds[left] + self.rate * excess / max(feedback.propensity, _LEAST_SHARE)
        self.thresholds[left] = min(1.0, max(0.0, moved))

    def to_json(self) -> str:
        return json.dumps(
            {
                "name": self.name,
                "exits": len(self.thresholds) + 1,
                "thresholds": [None if math.isinf(threshold) else threshold for threshold in self.thresholds],
                "begins": self.begins,
                "models": [asdict(model) for model in self.models],
                "margin": None if math.isinf(self.margin) else self.margin,
                "differs": self.differs,
                "rate": self.rate,
                "stopped": list(self._stopped),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            models = [
                TierModel(tuple(m["right"]), tuple(m["stays"]), float(m["cost_stays"]), float(m["cost_goes"]))
                for m in body["models"]
            ]
            thresholds = [math.inf if threshold is None else float(threshold) for threshold in body["thresholds"]]
            margin = math.inf if body["margin"] is None else float(body["margin"])
            policy = cls(thresholds, body["begins"], models, margin, body["differs"], body["rate"])
            policy.thresholds = thresholds
            policy._stopped = {int(sample): None for sample in body["stopped"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error
        return policy

    def __repr__(self) -> str:
        return (
            f"TierRouter({self.thresholds!r}, {list(self.begins)!r}, {list(self.models)!r}, {self.margin!r}, "
            f"{list(self.differs)!r}, {self.rate!r})"
        )


def _differing(rows: LabelledRows, thresholds: Sequence[float]) -> list[float]:
    left, columns = leaving(rows.confidence, thresholds, 0), np.arange(len(rows.truth))
    differs = rows.predicted[left, columns] != rows.predicted[-1]
    return [float(differs[left == index].mean()) if (left == index).any() else 0.0 for index in range(len(thresholds))]
