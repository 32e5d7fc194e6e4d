"""The rules that are compared: which exit every test row leaves by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.gain import GainGate
from offramp.policies.bandits.adaee import AdaEE, Ucbee
from offramp.policies.bandits.beem import BeemA, BeemC
from offramp.policies.bandits.ceebert import CeeBert
from offramp.policies.bandits.splitee import SplitEE, SplitEEAudited, SplitEES
from offramp.policies.bandits.uat import Uat
from offramp.policies.bandits.uee_ucb import UeeUcb
from offramp.policies.base import Policy
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from offramp.records.confidences import exit_evidence
from offramp.records.records import Records
from studies.exits_vs_oracle.cases import Case

__all__ = [
    "AUDIT_SHARE",
    "LEARNERS",
    "best_exit",
    "gain_exits",
    "learned_exits",
    "oracle_exits",
    "shared_threshold",
    "threshold_exits",
    "value",
]

Exits = NDArray[np.intp]
Floats = NDArray[np.float64]

#: of the samples that stop early, told to the one learner that wants it
AUDIT_SHARE = 0.05
_POINTS = 101

#: how each published rule is started
LEARNERS: Mapping[str, Callable[[Setting], Policy]] = {
    "UEE-UCB": UeeUcb.start,
    "AdaEE": AdaEE.start,
    "UCBEE": Ucbee.start,
    "SplitEE": SplitEE.start,
    "SplitEE-S": SplitEES.start,
    "SplitEE, audited": SplitEEAudited.start,
    "CeeBERT": CeeBert.start,
    "BEEM-C": BeemC.start,
    "BEEM-A": BeemA.start,
    "UAT": Uat.start,
}


def value(right: NDArray[np.bool_], costs: Floats) -> Floats:
    """(E, n) what leaving by each exit is worth: 1 if right, less its cost."""
    return np.asarray(right - costs[:, None])


def best_exit(stream: Stream, costs: Floats) -> int:
    """The single exit of the highest mean value."""
    return int(value(stream.right, costs).mean(1).argmax())


def threshold_exits(stream: Stream, threshold: float) -> Exits:
    """(n,) the first exit whose confidence reaches one threshold for all."""
    reached = np.vstack([stream.confidence[:-1] >= np.float32(threshold), np.ones((1, len(stream)), bool)])
    return np.asarray(reached.argmax(0))


def shared_threshold(stream: Stream, costs: Floats) -> float:
    """One threshold for all exits, of the highest mean value."""
    worth, rows = value(stream.right, costs), np.arange(len(stream))
    grid = np.quantile(stream.confidence[:-1], np.linspace(0, 1, _POINTS))
    return float(max(grid, key=lambda t: worth[threshold_exits(stream, t), rows].mean()))


def gain_exits(case: Case, price: float) -> Exits:
    """(n,) of the test rows: gain gates, each fitted against what the gates behind it make of the row.

    From the last early exit to the first. The price of going on is the mean cost of what follows.
    """
    costs, tune = price * case.depth, case.tune
    rows = np.arange(len(tune))
    later = np.full(len(tune), tune.exits - 1)
    left = np.full(len(case.test), tune.exits - 1)
    for index in range(tune.exits - 2, -1, -1):
        ahead = float(costs[later].mean() - costs[index])
        gate = GainGate.fit(_evidence(tune, case, index), tune.correct[index], tune.correct[later, rows])
        later = np.where(gate.gain(_evidence(tune, case, index)) <= ahead, index, later)
        left = np.where(gate.gain(_evidence(case.test, case, index)) <= ahead, index, left)
    return left


def _evidence(records: Records, case: Case, index: int) -> ExitEvidence:
    return exit_evidence(records, case.temperatures, index)


def oracle_exits(stream: Stream, costs: Floats) -> Exits:
    """(n,) the exit of the highest value; of equals the first."""
    return np.asarray(value(stream.right, costs).argmax(0))


def learned_exits(start: Callable[[Setting], Policy], setting: Setting, stream: Stream, order: Exits) -> Exits:
    """(n,) in the order asked."""
    return replay(start(setting), stream, order, audit_share=AUDIT_SHARE).exit
