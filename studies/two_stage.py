"""Two stages: an exit that may answer and what answers otherwise, under the rules that decide between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.features import GainFeatures
from offramp.confidence.gates.gain import GainGate
from offramp.confidence.gates.logistic import LogisticGate
from offramp.errors import RecordMismatch
from offramp.records.records import Records

__all__ = ["RULES", "TwoStage", "require_same_rows", "who_goes_on"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
#: (n,) scores, who is wrong here and who later -> (prices,) thresholds of least cost on these rows
Thresholds = Callable[[Floats, Bools, Bools], Floats]
RULES = ("never", "always", "threshold", "logistic", "gain", "hindsight", "oracle")


class TwoStage(Protocol):
    """What an exit knows of its n rows, and who is right."""

    @property
    def evidence(self) -> ExitEvidence:
        """Of the n rows."""

    @property
    def features(self) -> GainFeatures:
        """Of the n rows."""

    @property
    def confidence(self) -> Floats:
        """(n,) highest probability."""

    @property
    def right_here(self) -> Bools:
        """(n,)"""

    @property
    def right_later(self) -> Bools:
        """(n,)"""


def who_goes_on(stages: TwoStage, fit: Rows, rest: Rows, prices: Floats, thresholds: Thresholds) -> Mapping[str, Bools]:
    """(prices, rest) of every rule of `RULES`: who is offloaded when the rules are fitted on the rows ``fit``.

    ``hindsight`` and ``oracle`` alone look at the labels of ``rest``.

    Parameters
    ----------
    stages : the exit and what comes after it
    fit, rest : rows that fit, and rows that evaluate
    prices : of one offload, in units of one mistake
    thresholds : fits one threshold for each price
    """
    wrong_here, wrong_later = ~stages.right_here, ~stages.right_later
    here, later, score = wrong_here[rest], wrong_later[rest], stages.confidence
    fitted_on = wrong_here[fit], wrong_later[fit]
    logistic = LogisticGate.fit(_take(stages.evidence, fit), stages.right_here[fit])
    decider = [logistic.score(_take(stages.evidence, rows)).astype(np.float64) for rows in (fit, rest)]
    features = stages.features
    gate = GainGate.fit_features(features.take(fit), stages.right_here[fit], stages.right_later[fit])
    return {
        "never": np.zeros((len(prices), len(rest)), bool),
        "always": np.ones((len(prices), len(rest)), bool),
        "threshold": score[rest] < thresholds(score[fit], *fitted_on)[:, None],
        "logistic": decider[1] < thresholds(decider[0], *fitted_on)[:, None],
        "gain": gate.gain_of_features(features.take(rest)) > prices[:, None],
        "hindsight": score[rest] < thresholds(score[rest], here, later)[:, None],
        "oracle": here > prices[:, None] + later,
    }


def require_same_rows(near: Records, far: Records) -> None:
    """Refuse records of two cascades that do not speak of the same rows.

    Raises
    ------
    RecordMismatch : other data, or another split
    """
    if near.provenance.data_sha256 != far.provenance.data_sha256 or not np.array_equal(near.row, far.row):
        raise RecordMismatch(
            f"records of {near.provenance.cascade!r} and {far.provenance.cascade!r} are not of the same rows; "
            "record both on the same data with the same split seed"
        )


def _take(evidence: ExitEvidence, rows: Rows) -> ExitEvidence:
    return ExitEvidence(evidence.exit, evidence.confidence[rows], evidence.probabilities[rows])
