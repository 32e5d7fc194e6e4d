"""Filtering what is relevant."""

from __future__ import annotations

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.costs import Costs
from offramp.policies.relevance import IRRELEVANT, relevance_stream
from tests.support.instances import make_records

RECORDS = make_records(np.random.default_rng(0), 300, 2, classes=6)


def test_dropping_a_relevant_sample_is_the_only_mistake_of_dropping() -> None:
    stream = relevance_stream(RECORDS, [1, 4])
    relevant = np.isin(RECORDS.labels, [1, 4])
    np.testing.assert_array_equal(~stream.right[0], relevant)
    stops, goes_on = Costs(0.1).of_paths(stream)[0]
    np.testing.assert_array_equal(stops, relevant)
    far = RECORDS.predictions[1]
    mistaken = np.where(relevant, far != RECORDS.labels, np.isin(far, [1, 4]))
    np.testing.assert_allclose(goes_on, 0.1 + mistaken)


def test_the_confidence_is_that_nothing_relevant_is_there() -> None:
    stream = relevance_stream(RECORDS, [1, 4])
    powers = np.exp(RECORDS.logits[0].astype(np.float64))
    inside = powers[:, [1, 4]].sum(1) / powers.sum(1)
    np.testing.assert_allclose(stream.confidence[0], 1.0 - inside, atol=1e-5)
    assert set(stream.predicted[0]) == {IRRELEVANT}
    assert set(stream.truth) == {IRRELEVANT, 1, 4}
    assert stream.confidence[0][stream.truth == IRRELEVANT].mean() > stream.confidence[0][stream.truth > 0].mean()


@pytest.mark.parametrize("relevant", [[], [0, 1, 2, 3, 4, 5], [6], [-1, 0]])
def test_something_must_be_relevant_and_something_not(relevant: list[int]) -> None:
    with pytest.raises(ConfigError, match="some must be relevant"):
        relevance_stream(RECORDS, relevant)
