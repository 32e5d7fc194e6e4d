"""A policy over many shuffles of the same samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.base import FeedbackKind, Policy
from offramp.policies.costs import Costs
from offramp.policies.fast.replay import answer_many, supports
from offramp.policies.orders import Orders
from offramp.policies.regret import Band, best_fixed
from offramp.policies.replay import PolicyReplay, replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream

__all__ = ["Outcome", "Reference", "Telling", "over_shuffles", "references"]


@dataclass(frozen=True)
class Telling:
    """What a policy hears in a replay; see `replay`.

    Parameters
    ----------
    feedback : what there is to tell
    audit_share : of the samples that stop early
    delay : samples that pass before feedback arrives
    label_share : of the samples that the last exit answered, audited or gone on, that a policy of audits is told the
        truth of

    Raises
    ------
    ConfigError : a share outside [0, 1], or a delay below 0
    """

    feedback: FeedbackKind = FeedbackKind.TRUTH
    audit_share: float = 0.0
    delay: int = 0
    label_share: float = 0.0

    def __post_init__(self) -> None:
        for name, share in (("audits", self.audit_share), ("labels", self.label_share)):
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"the share of {name} must lie in [0, 1], not {share}")
        if self.delay < 0:
            raise ConfigError(f"feedback cannot arrive before its sample: the delay must not be below 0: {self.delay}")


@dataclass(frozen=True)
class Outcome:
    """One number per shuffle, (s,) each; means per sample.

    Parameters
    ----------
    cost : in units of one mistake
    accuracy : share of right answers
    went_on : share of samples that did not stop at the exit they came to
    audited : share of samples sent on to learn from
    labelled : share of samples whose truth was told with an audit
    """

    cost: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    went_on: NDArray[np.float64]
    audited: NDArray[np.float64]
    labelled: NDArray[np.float64]

    def regret(self, against: float) -> Band:
        """How much more than so much per sample was paid."""
        return Band.of(self.cost - against)


@dataclass(frozen=True)
class Reference:
    """What one rule does with all samples: cost, accuracy and share of samples that go on, per sample."""

    name: str
    cost: float
    accuracy: float
    went_on: float


def over_shuffles(
    kind: type[Policy],
    setting: Setting,
    stream: Stream,
    costs: Costs,
    shuffles: int,
    seed: int = 0,
    *,
    telling: Telling | None = None,
    published: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Replay a fresh policy over every shuffle; all of them together where `answer_many` knows how.

    Parameters
    ----------
    kind, setting : each shuffle starts one with a seed of its own
    stream : the samples
    costs : of their paths
    shuffles : how many
    seed : of the orders, the policies and the audits
    telling : what the policies hear; default: the truth, at once
    published : have the policies told, and charged, as if the last exit were always right; the accuracy stays the
        true one
    progress : called with (done, total) where shuffles are replayed one after the other

    Raises
    ------
    ConfigError : no shuffles, or the policy needs what there is not
    """
    told = telling or Telling()
    shown = stream.published() if published else stream
    orders = Orders.draw(len(stream), shuffles, seed)
    if supports(kind) and kind.feedback <= told.feedback and not told.delay:
        return _together(kind, setting, stream, shown, costs, orders)
    rows = []
    for number in range(shuffles):
        found = replay(
            kind.start(setting, seed=int(orders.policy_seed[number])),
            shown,
            orders.order[number],
            feedback=told.feedback,
            delay=told.delay,
            audit_share=told.audit_share,
            audit_seed=int(orders.audit_seed[number]),
            label_share=told.label_share,
        )
        rows.append(_row(found, stream, shown, costs))
        if progress is not None:
            progress(number + 1, shuffles)
    return Outcome(*np.array(rows, np.float64).T)


def references(stream: Stream, costs: Costs, *, published: bool = False) -> tuple[Reference, ...]:
    """What knows nothing, or more than a policy can: ``never`` and ``always`` going on, the best ``fixed`` threshold
    for these very samples (where there is one early exit), and the per-sample ``oracle``.

    Examples
    --------
    >>> stream = Stream(np.array([[0.9, 0.4], [0.8, 0.7]]), np.array([[1, 0], [1, 1]]), np.array([1, 1]))
    >>> [(one.name, one.cost, one.went_on) for one in references(stream, Costs(price=0.25))]
    [('never', 0.5, 0.0), ('always', 0.25, 1.0), ('fixed', 0.125, 0.5), ('oracle', 0.125, 0.5)]
    """
    shown = stream.published() if published else stream
    paths = costs.of_paths(shown)[0]
    left = {"never": np.zeros(len(stream), np.intp), "always": np.full(len(stream), stream.exits - 1)}
    if stream.exits == 2:
        left["fixed"] = (stream.confidence[0] < best_fixed(shown, costs)[0]).astype(np.intp)
    left["oracle"] = paths.argmin(0)
    rows = np.arange(len(stream))
    return tuple(
        Reference(name, *(float(x.mean()) for x in (paths[exits, rows], stream.right[exits, rows], exits > 0)))
        for name, exits in left.items()
    )


def _together(
    kind: type[Policy], setting: Setting, stream: Stream, shown: Stream, costs: Costs, orders: Orders
) -> Outcome:
    """All shuffles at once."""
    policies = [kind.start(setting, seed=seed) for seed in orders.policy_seed.tolist()]
    exits, said = answer_many(policies, shown, orders.order, orders.policy_seed)
    if said is not None:
        whole = (_whole(*one, stream) for one in zip(orders.order, exits, said, strict=True))
        return Outcome(*np.array([_row(found, stream, shown, costs) for found in whole], np.float64).T)
    each = costs.of_paths(shown)[0][exits, orders.order].mean(1)
    accuracy = stream.right[exits, orders.order].mean(1)
    nobody = np.zeros(len(orders))
    return Outcome(each, accuracy, (exits > 0).mean(1), nobody, nobody)


def _whole(row: NDArray[np.intp], exits: NDArray[np.int8], said: NDArray[np.intp], stream: Stream) -> PolicyReplay:
    """The replay of one shuffle in which nobody was audited."""
    nobody = np.zeros(len(row), bool)
    left = exits.astype(np.intp)
    return PolicyReplay(row, np.zeros_like(left), left, said, said == stream.truth[row], nobody, nobody)


def _row(found: PolicyReplay, stream: Stream, shown: Stream, costs: Costs) -> tuple[float, ...]:
    right = found.label == stream.truth[found.row]
    goes_on = (found.exit > found.begin) | (found.begin > 0)
    shares = (float(one.mean()) for one in (right, goes_on, found.audited, found.labelled))
    return costs.account(found, shown).mean, *shares
