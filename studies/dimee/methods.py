"""The methods that are compared: each is a family over one trade-off, fitted on some rows and used on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from offramp.policies.bandits.beem import BeemA, BeemC, fit_votes
from offramp.policies.bandits.splitee import SplitEE
from offramp.policies.difficulty.centroids import Centroids
from offramp.policies.difficulty.dimee import Dimec, Dimee
from offramp.policies.difficulty.tier_model import leaving
from offramp.policies.replay import replay
from offramp.policies.setting import LabelledRows, Setting
from studies.dimee.evidence import Part
from studies.dimee.features import COMPONENTS
from studies.dimee.ours import fit_ours
from studies.dimee.tiers import TIERS, HandOver, Prices

__all__ = ["FAMILIES", "Family", "Paths", "cascade"]

Floats = NDArray[np.float64]
Exits = NDArray[np.intp]


@dataclass(frozen=True)
class Paths:
    """Where n rows began (tier) and left (exit), and how what they passed was handed over."""

    begin: Exits
    exit: Exits
    hand_over: HandOver = "features"

    def cost(self, prices: Prices) -> Floats:
        """(n,) in layers."""
        return np.asarray(prices.paths(self.hand_over)[self.begin, self.exit])


@dataclass(frozen=True)
class Family:
    """Fits on a part, prices and a trade-off, and says what happens to another part.

    Parameters
    ----------
    use : (fitted on, used on, prices, trade-off) to paths
    trade_offs : from the most careful to the cheapest
    needs_history : of the training
    """

    use: Callable[[Part, Part, Prices, float], Paths]
    trade_offs: tuple[float, ...]
    needs_history: bool = False


#: of one layer, in mistakes
_MU = (0.0, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03)
_ALPHAS = (1.0, 0.995, 0.99, 0.98, 0.97, 0.95, 0.92, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.65, 0.6)


def single(tier: int) -> Family:
    """Everything at once to one tier."""

    def use(fitted: Part, used: Part, prices: Prices, mu: float) -> Paths:
        return Paths(np.full(len(used), tier), np.full(len(used), TIERS[tier]))

    return Family(use, (0.0,))


def _hops(tier: Exits) -> Paths:
    return Paths(tier, np.array(TIERS)[tier])


def _routed(kind: type[Dimee | Dimec], name: str, rows: LabelledRows, fitted: Part, costs: Floats) -> Centroids:
    if name not in fitted.routers:
        fitted.routers[name] = kind.routers(rows)
    return kind.choose(fitted.routers[name], rows, costs).centroids


def _dimee(fitted: Part, used: Part, prices: Prices, mu: float) -> Paths:
    centroids = _routed(Dimee, "dimee", fitted.at(TIERS), fitted, mu * prices.hops)
    return _hops(centroids.nearest(used.features))


def _dimec(fitted: Part, used: Part, prices: Prices, mu: float) -> Paths:
    centroids = _routed(Dimec, "dimec", _with_exits_for_epochs(fitted), fitted, mu * prices.hops)
    return _hops(centroids.nearest(used.features))


def _dimec_trained(fitted: Part, used: Part, prices: Prices, mu: float) -> Paths:
    """Pools of the training rows, by their training history; boundaries chosen on the rows fitted on."""
    rows, history = fitted.at(TIERS), fitted.history
    if history is None:
        raise RecordMismatch("nobody kept the training history of this task")
    if "trained" not in fitted.routers:
        trained = replace(rows, features=history.features, dynamics=history.dynamics)
        found = [centroids for centroids, _ in Dimec.routers(trained)]
        fitted.routers["trained"] = [(centroids, centroids.nearest(rows.features)) for centroids in found]
    chosen = Dimec.choose(fitted.routers["trained"], rows, mu * prices.hops)
    return _hops(chosen.centroids.nearest(used.features))


def _with_exits_for_epochs(part: Part) -> LabelledRows:
    """P(truth) of the six exits in the place of that after each epoch: nobody kept the latter."""
    rows = part.stream
    sure = np.where(rows.right, rows.confidence, 1.0 - rows.confidence)  # two classes
    return replace(part.at(TIERS), dynamics=sure.astype(np.float32))


def _length(fitted: Part, used: Part, prices: Prices, mu: float) -> Paths:
    only = slice(COMPONENTS, COMPONENTS + 1)
    rows = replace(fitted.at(TIERS), features=fitted.features[:, only])
    return _hops(_routed(Dimee, "length", rows, fitted, mu * prices.hops).nearest(used.features[:, only]))


def _random(fitted: Part, used: Part, prices: Prices, mu: float) -> Paths:
    shares = np.bincount(_dimee(fitted, used, prices, mu).begin, minlength=len(TIERS)) / len(used)
    return _hops(np.random.default_rng(0).choice(len(TIERS), len(used), p=shares))


def cascade(hand_over: HandOver) -> Family:
    """Mobile, then edge, then cloud, by one threshold on the calibrated confidence."""

    def use(fitted: Part, used: Part, prices: Prices, alpha: float) -> Paths:
        left = leaving(used.stream.confidence[list(TIERS)], (alpha,) * 2, 0)
        return Paths(np.zeros(len(used), np.intp), np.array(TIERS)[left], hand_over)

    return Family(use, _ALPHAS)


def _splitee(fitted: Part, used: Part, prices: Prices, alpha: float) -> Paths:
    """Learns on the rows it is used on, in one shuffle; lambda 0.1 a layer, as released."""
    layers = tuple(0.1 * (exit_index + 1) for exit_index in TIERS)
    setting = Setting((alpha,) * 2, price=min(0.99, 0.1 * prices.cloud), layer_costs=layers)
    stream = replace(used.stream, features=None).take(np.random.default_rng(0).permutation(len(used)))
    tiers = replace(
        stream, confidence=stream.confidence[list(TIERS)], predicted=stream.predicted[list(TIERS)], runner_up=None
    )
    left = np.empty(len(used), np.intp)
    left[np.random.default_rng(0).permutation(len(used))] = replay(SplitEE(setting, offload_once=True), tiers).exit
    return Paths(np.zeros(len(used), np.intp), np.array(TIERS)[left])


def _beem(kind: type[BeemA | BeemC]) -> Callable[[Part, Part, Prices, float], Paths]:
    def use(fitted: Part, used: Part, prices: Prices, ease: float) -> Paths:
        """``ease`` times the score that is needed."""
        rows = fitted.stream.labelled
        weights = kind.weigh(Setting((None,) * 5), rows)
        policy = kind(weights.tolist(), (ease * fit_votes(rows, weights)).tolist())
        return Paths(np.zeros(len(used), np.intp), replay(policy, replace(used.stream, features=None)).exit)

    return use


def _ours(hand_over: HandOver, routes: bool) -> Callable[[Part, Part, Prices, float], Paths]:
    def use(fitted: Part, used: Part, prices: Prices, mu: float) -> Paths:
        return Paths(*fit_ours(fitted, prices, mu, hand_over, routes).paths(used), hand_over)

    return use


_EASE = (1.5, 1.35, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7)

FAMILIES: Mapping[str, Family] = {
    "all mobile": single(0),
    "all edge": single(1),
    "all cloud": single(2),
    "DIMEE": Family(_dimee, _MU),
    "DIMEC-DC": Family(_dimec_trained, _MU, needs_history=True),
    "DIMEC-DC (exits for epochs)": Family(_dimec, _MU),
    "length router": Family(_length, _MU),
    "random router, DIMEE's shares": Family(_random, _MU),
    "confidence cascade, features": cascade("features"),
    "confidence cascade, input": cascade("input"),
    "SplitEE": Family(_splitee, _ALPHAS),
    "BEEM-C": Family(_beem(BeemC), _EASE),
    "BEEM-A": Family(_beem(BeemA), _EASE),
    "gates, features": Family(_ours("features", routes=False), _MU),
    "gates, input": Family(_ours("input", routes=False), _MU),
    "ours, input": Family(_ours("input", routes=True), _MU),
    "ours": Family(_ours("features", routes=True), _MU),
}
