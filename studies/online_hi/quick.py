"""The replay of `offramp.policies.replay` for one early exit, without what this study does not look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offramp.policies.base import Action, Feedback, FeedbackKind, Policy, View
from offramp.policies.replay import label_draws
from offramp.policies.stream import Stream

__all__ = ["Quick", "quick_replay"]


class Quick(NamedTuple):
    """Which samples (n,) went on, which were audited, and what was answered of those that stopped."""

    on: NDArray[np.bool_]
    audited: NDArray[np.bool_]
    said: NDArray[np.intp]


def quick_replay(
    policy: Policy, stream: Stream, audit_share: float = 0.0, audit_seed: int = 0, label_share: float = 0.0
) -> Quick:
    """What `replay` finds with feedback that comes at once, in the order recorded.

    Parameters
    ----------
    policy : changed by what it learns
    stream : of two exits
    audit_share, audit_seed, label_share : as for `replay`
    """
    kind, decide, learn = policy.feedback, policy.decide, policy.learn
    rows = len(stream)
    drawn = np.random.default_rng(audit_seed).random(rows) < audit_share
    labelled = label_draws(rows, label_share, audit_seed).tolist()
    second = np.zeros(rows) if stream.runner_up is None else stream.runner_up[0]
    early, late = stream.confidence.astype(float).tolist()
    said, says = stream.predicted.tolist()
    each = zip(
        early, late, said, says, second.astype(float).tolist(), stream.truth.tolist(), drawn.tolist(), strict=True
    )
    went, answers = bytearray(rows), list(said)
    differently = type(policy).answer is not Policy.answer
    tells_truth, audits = kind is FeedbackKind.TRUTH, kind >= FeedbackKind.AUDITS
    for sample, (here, later, label, last, runner_up, truth, draw) in enumerate(each):
        view = View(sample, 0, here, 0.0, label, runner_up)
        action = decide(view)
        if differently and action is Action.STOP:
            answers[sample] = policy.answer(view) or 0
        if action is Action.GO_ON:
            went[sample] = 1
            told = Feedback(sample, 1, None, None, (label, last), (here, later))
        elif draw and audits and not tells_truth:
            told = Feedback(sample, 0, None, None, (label, last), (here, later), None, audit_share)
        elif tells_truth:
            told = Feedback(sample, 0, truth == answers[sample], None, (label, None), (here, None))
        else:
            continue  # there is nothing to tell
        if tells_truth:
            told = told._replace(truth=truth)
        elif label_share and kind is FeedbackKind.AUDITS:
            told = told._replace(truth=truth if labelled[sample] else None, label_propensity=label_share)
        if kind is not FeedbackKind.NOTHING:
            learn(told)
    on = np.frombuffer(went, np.uint8).astype(bool)
    return Quick(on, drawn & ~on if audits else np.zeros(rows, bool), np.array(answers, np.intp))
