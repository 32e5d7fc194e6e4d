"""The rules: which exit every row leaves by, from which split, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.gain import GainGate
from offramp.policies.bandits.base import BanditPolicy
from offramp.policies.bandits.ceebert import CeeBert
from offramp.policies.bandits.splitee import SplitEE, SplitEEAudited, SplitEES
from offramp.policies.bandits.uat import Uat
from offramp.policies.bandits.uee_ucb import UeeUcb
from offramp.policies.difficulty.tier_model import TierModel, leaving
from offramp.policies.difficulty.tier_router import TierRouter
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from offramp.records.confidences import exit_evidence
from offramp.records.records import Records
from studies.domain_shift.evidence import Streams

__all__ = [
    "ALPHAS",
    "AUDIT_SHARE",
    "LAYER",
    "LEARNERS",
    "OFFLOAD",
    "Gated",
    "Run",
    "arm_rewards",
    "choose_alpha",
    "fit_gated",
    "learn",
]

Floats = NDArray[np.float64]
Exits = NDArray[np.intp]

#: as released, where 12 layers cost 1.2: our 6 cost as much; an offload as much as a quarter of the network
LAYER, OFFLOAD = 0.2, 0.3
#: published values of "sure", one for each data set
ALPHAS = (0.7, 0.75, 0.85)
AUDIT_SHARE = 0.05
#: points the tune rows may lose: half of what is allowed
TUNE_LOSS = 1.0

#: offloading is paid for once, as the authors count
LEARNERS: Mapping[str, Callable[[Setting], BanditPolicy]] = {
    "UEE-UCB": partial(UeeUcb, offload_once=True),
    "SplitEE": partial(SplitEE, offload_once=True),
    "SplitEE-S": partial(SplitEES, offload_once=True),
    "SplitEE, audited": partial(SplitEEAudited, offload_once=True),
    "CeeBERT": partial(CeeBert, offload_once=True),
    "UAT": partial(Uat.start, offload_once=True),
}


@dataclass(frozen=True)
class Run:
    """One pass over a stream: (n,) answers right, costs, and the arm played (-1 where there are none)."""

    right: NDArray[np.bool_]
    cost: Floats
    arm: Exits


def costs(exits: int) -> tuple[float, ...]:
    """(E,) of the layers up to each exit."""
    return tuple(LAYER * (index + 1) for index in range(exits))


def learn(name: str, streams: Streams, stream: Stream, order: Exits, alpha: float) -> Run:
    """A bandit over the rows ``order`` of a stream, knowing nothing at first.

    The cost is that of the authors: SplitEE computes one head, at the split, and 0.2 of a layer are heads; the others
    compute them all. What left beyond its split was offloaded.
    """
    setting = Setting(
        (alpha,) * (stream.exits - 1),
        price=OFFLOAD,
        layer_costs=costs(stream.exits),
        rows=streams.labelled.labelled,
    )
    policy = LEARNERS[name](setting)
    arms: list[int] = []
    play = policy.learner().choose

    def noted() -> int:
        arms.append(play())
        return arms[-1]

    policy.learner().choose = noted  # type: ignore[method-assign]  # to look on
    found = replay(policy, stream, order, audit_share=AUDIT_SHARE)
    played, upto = np.array(arms), np.array(costs(stream.exits))
    if not isinstance(policy, SplitEE):
        return Run(found.correct, upto[found.exit] + OFFLOAD * (found.exit == stream.exits - 1), played)
    spent = 0.8 * LAYER * played + LAYER if name == "SplitEE" else upto[played]
    return Run(found.correct, spent + OFFLOAD * (found.exit > played) + OFFLOAD * found.audited, played)


def choose_alpha(streams: Streams) -> float:
    """The smallest published alpha with which SplitEE loses at most 1 point on the tune rows; else the largest."""
    stream = streams.labelled
    order = np.random.default_rng(0).permutation(len(stream))
    last = float(stream.right[-1].mean())
    for alpha in ALPHAS:
        if 100 * (last - float(learn("SplitEE", streams, stream, order, alpha).right.mean())) <= TUNE_LOSS:
            return alpha
    return ALPHAS[-1]


def arm_rewards(stream: Stream, alpha: float) -> Floats:
    """(E,) true mean reward of every split of SplitEE on the stream."""
    upto, confidence = np.array(costs(stream.exits)), stream.confidence.astype(float)
    stays = confidence >= np.float32(alpha)
    stays[-1] = True
    return np.asarray((np.where(stays, confidence, confidence[-1] - OFFLOAD) - upto[:, None]).mean(1))


@dataclass(frozen=True)
class Gated:
    """Ours: gain gates up to a split, thresholds that follow audits; what no gate stops is offloaded from the split."""

    gates: tuple[GainGate, ...]
    split: int
    temperatures: tuple[float, ...]
    router: TierRouter

    def run(self, records: Records, order: Exits, seed: int = 0) -> Run:
        """Over the rows ``order`` of a stream."""
        stream = scored(self.gates, records, self.temperatures)
        found = replay(
            TierRouter.from_json(self.router.to_json()), stream, order, audit_share=AUDIT_SHARE, audit_seed=seed
        )
        offloaded = found.exit > self.split
        layers = LAYER * (np.minimum(found.exit, self.split) + 1)
        return Run(found.correct, layers + OFFLOAD * (offloaded | found.audited), np.full(len(order), -1))


def scored(gates: tuple[GainGate, ...], records: Records, temperatures: tuple[float, ...]) -> Stream:
    """A stream whose confidences are the scores of the gates; the last exit's is not looked at."""
    early = [gate.score(exit_evidence(records, temperatures, index)) for index, gate in enumerate(gates)]
    score = np.stack([*early, np.ones(len(records), np.float32)])
    return Stream(score, records.predictions.astype(np.intp), records.labels.astype(np.intp))


def fit_gated(streams: Streams, rate: float = 0.0005) -> Gated:
    """The split and the price of a layer that save most on the tune rows of those that lose at most 1 point there.

    ``rate`` is that of following audits.
    """
    tune = streams.tune
    best: tuple[float, Gated] | None = None
    for split in range(tune.exits - 1):
        for mu in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1):
            gates, left = _backwards(streams, split, mu)
            right = tune.correct[left, np.arange(len(tune))]
            layers = LAYER * (np.minimum(left, split) + 1)
            cost = float((layers + OFFLOAD * (left > split)).mean())
            lost = 100 * float(tune.correct[-1].mean() - right.mean())
            if lost <= TUNE_LOSS and (best is None or cost < best[0]):
                best = cost, _gated(streams, gates, split, rate)
    if best is None:  # one can always offload all
        gates, _ = _backwards(streams, 0, 0.0)
        return _gated(streams, gates, 0, rate)
    return best[1]


def _backwards(streams: Streams, split: int, mu: float) -> tuple[tuple[GainGate, ...], Exits]:
    """From the split to the first exit, each gate against what those behind it make of a row; beyond it all are off."""
    tune, last = streams.tune, streams.tune.exits - 1
    rows, later = np.arange(len(tune)), np.full(len(tune), last)
    gates: list[GainGate] = []
    for index in range(last - 1, -1, -1):
        evidence = exit_evidence(tune, streams.temperatures, index)
        spent = LAYER * (np.minimum(later, split) + 1) + OFFLOAD * (later > split)
        ahead = mu * float((spent - LAYER * (index + 1)).mean()) / LAYER
        price = min(1.0, ahead) if index <= split else None
        gate = GainGate.fit(evidence, tune.correct[index], tune.correct[later, rows], price)
        if gate.threshold is not None:
            later = np.where(gate.score(evidence) >= np.float32(gate.threshold), index, later)
        gates.insert(0, gate)
    return tuple(gates), later


def _gated(streams: Streams, gates: tuple[GainGate, ...], split: int, rate: float) -> Gated:
    stream = scored(gates, streams.tune, streams.temperatures)
    thresholds = [np.inf if gate.threshold is None else gate.threshold for gate in gates]
    left = leaving(stream.confidence, thresholds, 0)
    unlike = stream.predicted[left, np.arange(len(stream))] != stream.predicted[-1]
    differs = [float(unlike[left == index].mean()) if (left == index).any() else 0.0 for index in range(len(gates))]
    nowhere = TierModel((0.0,), (0.0,), 0.0, 0.0)
    return Gated(gates, split, streams.temperatures, TierRouter(thresholds, (0,), [nowhere], np.inf, differs, rate))
