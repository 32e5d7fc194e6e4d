"""A policy over recorded samples, one after the other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.base import Action, Arrival, Feedback, FeedbackKind, Policy, View
from offramp.policies.stream import Stream

__all__ = ["PolicyReplay", "label_draws", "replay"]


@dataclass(frozen=True)
class PolicyReplay:
    """In the order asked.

    Parameters
    ----------
    row : (n,) of the stream
    begin : (n,) the first exit it went to
    exit : (n,) the exit it left by
    label : (n,) what was answered
    correct : (n,) whether that was right
    audited : (n,) whether a sample that had stopped early was sent on to learn from
    labelled : (n,) whether its truth was told as that of a labelled audit; empty where nobody asked
    """

    row: NDArray[np.intp]
    begin: NDArray[np.intp]
    exit: NDArray[np.intp]
    label: NDArray[np.intp]
    correct: NDArray[np.bool_]
    audited: NDArray[np.bool_]
    labelled: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())


def replay(
    policy: Policy,
    stream: Stream,
    order: NDArray[np.intp] | None = None,
    *,
    feedback: FeedbackKind = FeedbackKind.TRUTH,
    known: NDArray[np.bool_] | None = None,
    delay: int = 0,
    audit_share: float = 0.0,
    audit_seed: int = 0,
    label_share: float = 0.0,
) -> PolicyReplay:
    """Ask ``policy`` about recorded samples; it is told what it says it needs, and no more.

    Parameters
    ----------
    policy : changed by what it learns
    stream : the samples
    order : (n,) indices of samples, in the order they arrive; default as recorded
    feedback : what there is to tell
    known : (rows,) whether anybody ever tells the truth of it; default always
    delay : samples that pass before feedback arrives; feedback still out at the end never comes
    audit_share : of the samples that stop early, sent on all the same; the policy hears what the last exit says
    audit_seed : of the draws of these, and of labels
    label_share : of the samples that the last exit answered, audited or gone on, that a policy of audits is told the
        truth of

    Raises
    ------
    ConfigError : the policy needs to be told more than there is, or a share does not lie in [0, 1]
    """
    if policy.feedback > feedback:
        raise ConfigError(
            f"policy {policy.name!r} learns from feedback of kind {policy.feedback.name}; here there is no more than "
            f"{feedback.name}"
        )
    for name, share in (("audits", audit_share), ("labels", label_share)):
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"the share of {name} must lie in [0, 1], not {share}")
    told = _Telling(policy.feedback, stream, known, audit_share, label_share)
    rows = np.arange(len(stream)) if order is None else np.asarray(order, np.intp)
    draws = np.random.default_rng(audit_seed).random(len(rows)) < audit_share
    labels = label_draws(len(rows), label_share, audit_seed)
    begin, left, said = np.empty((3, len(rows)), np.intp)
    out: deque[Feedback] = deque()
    for sample, row in enumerate(rows.tolist()):
        first, exit_index, answer = _walk(policy, stream, sample, row)
        begin[sample], left[sample], said[sample] = first, exit_index, answer
        out.append(told.of(sample, row, first, exit_index, answer, bool(draws[sample]), bool(labels[sample])))
        if len(out) > delay:
            policy.learn(out.popleft())
    early = left < stream.exits - 1
    audited = draws & early if policy.feedback >= FeedbackKind.AUDITS else np.zeros(len(rows), bool)
    labelled = labels & (audited | ~early) if policy.feedback is FeedbackKind.AUDITS else np.zeros(len(rows), bool)
    if known is not None:
        labelled &= known[rows]
    return PolicyReplay(rows, begin, left, said, said == stream.truth[rows], audited, labelled)


def label_draws(rows: int, share: float, seed: int) -> NDArray[np.bool_]:
    """(rows,) whose truth would be told were the last exit asked; of a generator of their own."""
    return np.asarray(np.random.default_rng([seed, 1]).random(rows) < share)


@dataclass(frozen=True)
class _Telling:
    """What a policy of this kind hears of a sample."""

    kind: FeedbackKind
    stream: Stream
    known: NDArray[np.bool_] | None
    audit_share: float
    label_share: float

    def of(self, sample: int, row: int, begin: int, left: int, answer: int, drawn: bool, label: bool) -> Feedback:
        if self.kind is FeedbackKind.NOTHING:
            return Feedback(sample, left)
        stream, last = self.stream, self.stream.exits - 1
        passed = set(range(begin, left + 1))
        propensity = 1.0
        if self.kind is FeedbackKind.AUDITS and drawn and left < last:
            passed.add(last)
            propensity = self.audit_share
        labelled = self.label_share if self.kind is FeedbackKind.AUDITS and last in passed else 0.0
        truth = None
        if self.kind is FeedbackKind.TRUTH or (labelled and label):
            truth = int(stream.truth[row]) if self.known is None or self.known[row] else None
        return Feedback(
            sample,
            left,
            None if truth is None else truth == answer,
            labels=tuple(int(stream.predicted[e, row]) if e in passed else None for e in range(stream.exits)),
            confidences=tuple(float(stream.confidence[e, row]) if e in passed else None for e in range(stream.exits)),
            truth=truth,
            propensity=propensity,
            label_propensity=labelled,
        )


def _walk(policy: Policy, stream: Stream, sample: int, row: int) -> tuple[int, int, int]:
    """Where it began, where it left, what was said."""
    price = None if stream.price is None else float(stream.price[row])
    context = 0 if stream.context is None else int(stream.context[row])
    features = None if stream.features is None else stream.features[row]
    last = stream.exits - 1
    first = policy.route(Arrival(sample, features, price, context))
    if not 0 <= first <= last:
        raise ConfigError(f"policy {policy.name!r} sent sample {sample} to exit {first} of {last + 1}")
    for index in range(first, last):
        label = int(stream.predicted[index, row])
        runner_up = 0.0 if stream.runner_up is None else float(stream.runner_up[index, row])
        view = View(sample, index, float(stream.confidence[index, row]), 0.0, label, runner_up, price, context)
        if policy.decide(view) is Action.STOP:
            answer = policy.answer(view)
            return first, index, label if answer is None else answer
    return first, last, int(stream.predicted[last, row])
