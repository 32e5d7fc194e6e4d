"""The retry budget never gives more than its share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.runtime.budget import RetryBudget


@given(
    steps=st.lists(st.booleans(), max_size=200),
    share=st.floats(0, 1, allow_nan=False),
    most=st.floats(0, 20, allow_nan=False),
)
def test_retries_are_a_share_of_requests(steps: list[bool], share: float, most: float) -> None:
    budget = RetryBudget(share, most)
    requests = retries = 0
    for is_request in steps:
        if is_request:
            requests += 1
            budget.pay()
        else:
            retries += budget.take()
        assert retries <= most + share * requests + 1e-9
        assert 0 <= budget.left <= most


@pytest.mark.parametrize(("share", "most"), [(-0.1, 1.0), (1.1, 1.0), (0.1, -1.0), (float("nan"), 1.0)])
def test_settings_are_checked(share: float, most: float) -> None:
    with pytest.raises(ConfigError, match="retry budget"):
        RetryBudget(share, most)
