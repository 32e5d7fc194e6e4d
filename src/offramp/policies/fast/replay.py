"""Many policies of one kind over many shuffles, together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.base import Policy
from offramp.policies.fast.h2t2 import h2t2_answers
from offramp.policies.fast.hedge import hedge_hi_exits, hedge_hi_restart_exits
from offramp.policies.fast.learners import hi_lcb_exits, hil_f_exits, hil_n_exits
from offramp.policies.fast.lyapunov import lyapunov_exp4_exits
from offramp.policies.fast.rows import Exits, Rows
from offramp.policies.fast.thresholds import threshold_exits
from offramp.policies.fixed import FixedGates
from offramp.policies.gain import GainDecider
from offramp.policies.h2t2 import H2T2
from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.hedge_hi_restart import HedgeHIRestart
from offramp.policies.hi_lcb import HILCB, HILCBLite
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.lyapunov_exp4 import LyapunovExp4
from offramp.policies.stream import Stream

__all__ = ["answer_many", "replay_many", "supports"]


def supports(kind: type[Policy]) -> bool:
    """Whether `replay_many` knows this kind of policy.

    Examples
    --------
    >>> supports(HilF), supports(Policy)
    (True, False)
    """
    return kind in _KINDS or kind is H2T2


def replay_many(policies: Sequence[Policy], stream: Stream, order: Rows, seeds: NDArray[np.int64]) -> Exits:
    """(s, n) exits by which the samples leave, as s calls of `replay` would find with feedback that comes at once.

    Learners are fastest over many shuffles: some two hundred keep numpy busy. Different prices and shuffles go
    together.

    Parameters
    ----------
    policies : s fresh ones of one kind; they are not changed
    stream : the samples
    order : (s, n) rows in the order asked
    seeds : (s,) with which the policies were started

    Raises
    ------
    ConfigError : a kind of policy it does not know, or learners whose parameters differ in more than price and horizon

    Examples
    --------
    >>> stream = Stream(np.array([[0.9, 0.4], [0.8, 0.7]]), np.array([[1, 0], [1, 1]]), np.array([1, 1]))
    >>> replay_many([FixedGates([0.5])] * 2, stream, np.array([[0, 1], [1, 0]]), np.zeros(2, int)).tolist()
    [[0, 1], [1, 0]]
    """
    return answer_many(policies, stream, order, seeds)[0]


def answer_many(
    policies: Sequence[Policy], stream: Stream, order: Rows, seeds: NDArray[np.int64]
) -> tuple[Exits, NDArray[np.intp] | None]:
    """`replay_many`, and (s, n) what was said where that is not always what the exit says.

    Raises
    ------
    ConfigError : as `replay_many`

    Examples
    --------
    >>> stream = Stream(np.array([[0.9], [0.8]]), np.array([[1], [0]]), np.array([1]))
    >>> answer_many([FixedGates([0.5])], stream, np.array([[0]]), np.zeros(1, int))
    (array([[0]], dtype=int8), None)
    """
    kind = type(policies[0])
    if not supports(kind) or any(type(policy) is not kind for policy in policies):
        raise ConfigError(f"only policies of one kind that is known can be replayed together, not {kind.name}")
    if len(policies) != len(order) or len(seeds) != len(order):
        raise ConfigError(
            f"{len(order)} shuffles need as many policies and seeds, not {len(policies)} and {len(seeds)}"
        )
    if kind is H2T2:
        return h2t2_answers(cast("Sequence[H2T2]", policies), stream, order, seeds)
    return _KINDS[kind](policies, stream, order, seeds), None


def _fixed(policies: Sequence[FixedGates], stream: Stream, order: Rows, seeds: NDArray[np.int64]) -> Exits:
    known = {policy.thresholds: threshold_exits(stream, policy.thresholds) for policy in policies}
    return np.stack([known[policy.thresholds][rows] for policy, rows in zip(policies, order, strict=True)])


def _gain(policies: Sequence[GainDecider], stream: Stream, order: Rows, seeds: NDArray[np.int64]) -> Exits:
    found = np.empty(order.shape, np.int8)
    for number, (policy, rows) in enumerate(zip(policies, order, strict=True)):
        price = policy.price if stream.price is None else stream.price
        stops = np.asarray(stream.confidence[:-1], np.float32) >= np.asarray((1.0 - price) / 2.0, np.float32)
        found[number] = np.concatenate([stops, np.ones((1, len(stream)), bool)]).argmax(0)[rows]
    return found


_KINDS: dict[type[Policy], Callable[[Any, Stream, Rows, NDArray[np.int64]], Exits]] = {
    FixedGates: _fixed,
    HindsightThreshold: _fixed,
    GainDecider: _gain,
    HedgeHI: hedge_hi_exits,
    HedgeHIRestart: hedge_hi_restart_exits,
    HilF: hil_f_exits,
    HilN: hil_n_exits,
    HILCB: hi_lcb_exits,
    HILCBLite: hi_lcb_exits,
    LyapunovExp4: lyapunov_exp4_exits,
}
