"""DIMEE and DIMEC-DC: one hop to the tier whose pool of training samples is nearest."""

from __future__ import annotations

import itertools
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.base import Action, Arrival, Feedback, Policy, View
from offramp.policies.checks import refuse_view
from offramp.policies.difficulty.centroids import Centroids
from offramp.policies.difficulty.pools import confidence_pools, dynamics_pools
from offramp.policies.setting import LabelledRows, Setting

__all__ = ["Dimec", "Dimee", "PoolRouter", "tier_costs"]

Floats = NDArray[np.float64]
Pools = NDArray[np.intp]
_QUANTILES = 20


def tier_costs(setting: Setting) -> Floats:
    """(E,) of answering at each exit's tier at once: its layers, and the price once for each tier on the way."""
    layers = np.array(setting.layer_costs or (0.0,) * setting.exits)
    return np.asarray(layers + setting.price * np.arange(setting.exits), np.float64)


class PoolRouter(Policy):
    """Goes to the tier of the nearest centroid, and answers there whatever it is.

    Parameters
    ----------
    centroids : of the pools; pool t belongs to the tier of exit t
    """

    def __init__(self, centroids: Centroids) -> None:
        self.centroids = centroids

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Self:
        return cls.fit(_rows(cls.name, setting), tier_costs(setting))

    @classmethod
    def fit(cls, rows: LabelledRows, costs: Sequence[float] | Floats) -> Self:
        """Of the boundaries tried, those with the highest mean of confidence less cost where rows would be routed.

        Parameters
        ----------
        rows : to build the pools of, with features
        costs : (E,) of answering at each tier, in units of one mistake
        """
        return cls.choose(cls.routers(rows), rows, costs)

    @classmethod
    def routers(cls, rows: LabelledRows) -> list[tuple[Centroids, Pools]]:
        """Centroids for every choice of the boundaries, and (n,) the tiers they send the rows to."""
        found = (Centroids.of(rows.features, pools) for pools in cls._candidates(rows))
        return [(centroids, centroids.nearest(rows.features)) for centroids in found]

    @classmethod
    def choose(
        cls, routers: Sequence[tuple[Centroids, Pools]], rows: LabelledRows, costs: Sequence[float] | Floats
    ) -> Self:
        """The one with the highest mean of confidence less cost on the rows it was made of."""
        known, price = np.arange(len(rows.truth)), np.asarray(costs, np.float64)

        def reward(router: tuple[Centroids, Pools]) -> float:
            tier = router[1]
            return float((rows.confidence[tier, known] - price[tier]).mean())

        return cls(max(routers, key=reward)[0])

    @classmethod
    @abstractmethod
    def _candidates(cls, rows: LabelledRows) -> Iterable[Pools]:
        """Pools for every choice of the boundaries."""

    def route(self, arrival: Arrival) -> int:
        if arrival.features is None:
            raise ConfigError(f"policy {self.name!r} routes by features; sample {arrival.sample} has none")
        return int(self.centroids.nearest(np.asarray(arrival.features)[None])[0])

    def decide(self, view: View) -> Action:
        refuse_view(view)
        return Action.STOP

    def learn(self, feedback: Feedback) -> None:
        """There is nothing to learn."""

    def to_json(self) -> str:
        return json.dumps({"name": self.name, "centroids": asdict(self.centroids)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            parts = body["centroids"]
            places = tuple(tuple(map(float, place)) for place in parts["places"])
            mean, scale = (tuple(map(float, parts[name])) for name in ("mean", "scale"))
            return cls(Centroids(mean, scale, tuple(map(int, parts["pools"])), places))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.centroids!r})"


class Dimee(PoolRouter):
    """Pools from confidence: easy where the first exit is sure, moderate where the next one is, hard elsewhere.

    The boundaries, which the paper leaves open, are quantiles of the confidences (20 at one early exit, 20 x 20 at
    two).

    Source: Bajpai and Hanawal 2025 (arXiv 2410.05338).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> hard = rng.random(300)
    >>> right = hard < np.array([[0.5], [0.7], [0.9]])
    >>> sure = np.where(right, 0.9, 0.6).astype(np.float32)
    >>> rows = LabelledRows(sure, right.astype(int), np.ones(300, int), features=hard[:, None].astype(np.float32))
    >>> policy = Dimee.fit(rows, [0.1, 0.2, 0.3])
    >>> [policy.route(Arrival(0, np.array([x], np.float32))) for x in (0.1, 0.6, 0.9)]
    [0, 1, 2]
    """

    name = "dimee"
    most_boundaries: ClassVar[int] = 400

    @classmethod
    def _candidates(cls, rows: LabelledRows) -> Iterable[Pools]:
        early = len(rows.confidence) - 1
        points = max(2, min(_QUANTILES, int(cls.most_boundaries ** (1 / max(1, early)) + 1e-9)))
        levels = (np.arange(points) + 0.5) / points
        grids = [np.unique(np.quantile(each, levels)) for each in rows.confidence[:-1]]
        return (confidence_pools(rows.confidence, np.array(alphas)) for alphas in itertools.product(*grids))


class Dimec(PoolRouter):
    """DIMEC-DC: pools from how sure of the truth the training was, epoch by epoch (``LabelledRows.dynamics``).

    Source: Bajpai and Hanawal 2024 (arXiv 2412.16616).
    """

    name = "dimec-dc"
    levels: ClassVar[tuple[float, ...]] = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Self:
        rows = _rows(cls.name, setting)
        if setting.exits != 3:
            raise ConfigError(
                f"policy {cls.name!r} has three pools for three tiers; the setting has {setting.exits} exits"
            )
        if not rows.dynamics.size:
            raise ConfigError(f"policy {cls.name!r} needs the training dynamics of the labelled rows; they have none")
        return cls.fit(rows, tier_costs(setting))

    @classmethod
    def _candidates(cls, rows: LabelledRows) -> Iterable[Pools]:
        means = np.quantile(rows.dynamics.mean(0), cls.levels)
        spreads = np.quantile(rows.dynamics.std(0), cls.levels)
        for low, high in itertools.combinations(means.tolist(), 2):
            for steady in spreads.tolist():
                yield dynamics_pools(rows.dynamics, high, low, steady)


def _rows(name: str, setting: Setting) -> LabelledRows:
    rows = setting.rows
    if rows is None or not len(rows.truth) or not rows.features.size:
        raise ConfigError(f"policy {name!r} makes its pools from labelled rows with features; the setting has none")
    return rows
