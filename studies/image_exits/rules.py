"""What the rules cost and get wrong, level by level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from offramp.policies.bandits.adaee import AdaEE, Ucbee
from offramp.policies.bandits.base import BanditPolicy, Played
from offramp.policies.bandits.splitee import ISplitEE, SplitEE, SplitEEAudited
from offramp.policies.base import View
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from studies.image_exits.evidence import OFFLOAD_COST, ImageCase

__all__ = [
    "ALPHA",
    "AUDIT_SHARE",
    "LEARNERS",
    "Outcome",
    "joined",
    "run_experts",
    "run_learner",
    "run_single",
    "threshold_rewards",
]

Floats = NDArray[np.float64]
#: "sure", as released for I-SplitEE
ALPHA = 0.5
TARGET = 0.8
AUDIT_SHARE = 0.05

#: offloading is paid for once, as the authors count
LEARNERS: Mapping[str, Callable[[Setting], BanditPolicy]] = {
    "AdaEE": partial(AdaEE, offload_once=True),
    "UCBEE": partial(Ucbee, offload_once=True),
    "SplitEE": partial(SplitEE, offload_once=True),
    "I-SplitEE": partial(ISplitEE, offload_once=True),
    "SplitEE, audited (ours)": partial(SplitEEAudited, offload_once=True),
}


@dataclass(frozen=True)
class Outcome:
    """Of every row of every level, (levels, n): what it cost, and whether the answer was right.

    ``regret`` is that of the first and second half of the rounds against each level's best threshold, for AdaEE alone.
    """

    cost: Floats
    right: Floats
    regret: tuple[float, float] | None = None


def joined(case: ImageCase) -> Stream:
    """All levels, one after the other."""
    streams = list(case.streams.values())
    return Stream(
        np.concatenate([s.confidence for s in streams], 1),
        np.concatenate([s.predicted for s in streams], 1),
        np.concatenate([s.truth for s in streams]),
        context=np.repeat(np.arange(len(streams)), [len(s) for s in streams]),
    )


def run_learner(start: Callable[[Setting], BanditPolicy], case: ImageCase, shuffles: int) -> Outcome:
    """Learns the levels apart (each is a context) while rows of all of them come mixed.

    The cost is that of the split: the layers up to it, and the price where the row went on from there. Going all the
    way on the device costs all layers and no price.
    """
    stream = joined(case)
    setting = Setting((ALPHA,) * (stream.exits - 1), price=OFFLOAD_COST, layer_costs=case.layer_costs)
    cost, right = np.zeros((2, len(stream)))
    rewards, regrets = threshold_rewards(case), []
    for seed in range(shuffles):
        order = np.random.default_rng(seed).permutation(len(stream))
        policy = start(setting)
        arms = _record_arms(policy)
        found = replay(policy, stream, order, audit_share=AUDIT_SHARE)
        split = np.array([_split(policy, arms[sample]) for sample in range(len(order))])
        offloaded = found.exit > split
        audited = np.where(found.audited, OFFLOAD_COST, 0.0)
        cost[order] += np.array(case.layer_costs)[split] + OFFLOAD_COST * offloaded + audited
        right[order] += found.correct
        if isinstance(policy, AdaEE) and stream.context is not None:
            level, arm = stream.context[order], np.array([arms[sample] for sample in range(len(order))])
            lost = rewards.max(1)[level] - rewards[level, arm]
            regrets.append([float(half.sum()) for half in np.array_split(lost, 2)])
    shape = (len(case.streams), -1)
    first, second = np.mean(regrets, axis=0).tolist() if regrets else (0.0, 0.0)
    regret = (first, second) if regrets else None
    return Outcome(cost.reshape(shape) / shuffles, right.reshape(shape) / shuffles, regret)


def threshold_rewards(case: ImageCase) -> Floats:
    """(levels, 11) true mean reward of AdaEE's thresholds: 0 if it stops, else the confidence gained less the price."""
    between = OFFLOAD_COST + case.layer_costs[-1] - case.layer_costs[0]
    found = []
    for stream in case.streams.values():
        first, last = stream.confidence[0].astype(float), stream.confidence[-1].astype(float)
        goes_on = first < np.array(AdaEE.grid, np.float32)[:, None]
        found.append((goes_on * (np.maximum(last - first, 0.0) - between)).mean(1))
    return np.stack(found)


def _record_arms(policy: BanditPolicy) -> dict[int, int]:
    """The arm of every sample, filled as it is played."""
    arms: dict[int, int] = {}
    play = policy._play

    def recorded(view: View) -> Played:
        played = play(view)
        arms[view.sample] = played.arm
        return played

    policy._play = recorded  # type: ignore[method-assign]  # to look on
    return arms


def _split(policy: BanditPolicy, arm: int) -> int:
    """The exit at which an arm decides."""
    return policy.splits[arm] if isinstance(policy, SplitEE) else 0


def run_single(case: ImageCase, index: int, offload: bool = False) -> Outcome:
    """Every row leaves by one exit; ``offload`` sends all of them on from the first exit instead."""
    streams = case.streams.values()
    cost = case.layer_costs[0] + OFFLOAD_COST if offload else case.layer_costs[index]
    right = np.stack([stream.right[index] for stream in streams]).astype(float)
    return Outcome(np.full_like(right, cost), right)


def run_experts(case: ImageCase, plain: bool = False) -> Outcome:
    """The first device exit whose confidence reaches 0.8, that of the experts or the plain one; else offload."""
    costs, rights = [], []
    for level, stream in case.streams.items():
        confidence = stream.confidence[:-1] if plain else case.experts[level]
        reached = np.vstack([confidence >= TARGET, np.ones((1, len(stream)), bool)])
        left = reached.argmax(0)
        last = stream.exits - 1
        layers = np.array([*case.layer_costs[:-1], case.layer_costs[-2]])[left]
        costs.append(layers + OFFLOAD_COST * (left == last))
        rights.append(stream.right[left, np.arange(len(stream))])
    return Outcome(np.stack(costs), np.stack(rights).astype(float))
