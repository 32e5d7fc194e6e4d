"""The logistic decider against scikit-learn, and on the label 'right here, or nothing later helps'."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from offramp.confidence.gates import LogisticGate, eefp_label, gate_from_json
from offramp.errors import ConfigError
from tests.confidence.gates.support import make_case


def test_the_score_is_that_of_scikit_learn() -> None:
    case = make_case(rows=5000, earlier=0)
    top = np.sort(case.evidence.probabilities, -1)[:, [-1, -2]]
    theirs = LogisticRegression(C=1e6, max_iter=10_000).fit(top, case.right_here)
    ours = LogisticGate.fit(case.evidence, case.right_here)
    np.testing.assert_allclose(ours.score(case.evidence), theirs.predict_proba(top)[:, 1], atol=0.01)


def test_rows_nothing_helps_may_leave() -> None:
    case = make_case(earlier=0)
    never = np.zeros((2, 600), bool)
    label = eefp_label(case.right_here, never)
    assert label.all()
    assert LogisticGate.fit(case.evidence, label, 0.9).stop(case.evidence).all()


@pytest.mark.parametrize("text", ["[1, 2]", '[1, 2, "x"]', "[1, 2, NaN]", "3"])
def test_damaged_weights_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not a gate|NaN"):
        gate_from_json('{"kind": "logistic", "threshold": 0.5, "weights": ' + text + "}")
