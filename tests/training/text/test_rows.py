"""Tokenised rows: trimmed batches of like length."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.training.text.rows import TokenRows


def make_rows(lengths: list[int]) -> TokenRows:
    mask = (torch.arange(12) < torch.tensor(lengths)[:, None]).long()
    return TokenRows(mask * torch.arange(1, 13), torch.arange(len(lengths)), (mask,))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=300), st.integers(1, 7), st.integers(0, 9))
def test_batches_hold_every_row_once(lengths: list[int], size: int, seed: int) -> None:
    rows = make_rows(lengths)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    batches = rows.batches(order, size)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(rows)))
    assert all(1 <= len(batch) <= size for batch in batches)
    for batch in batches:
        ids, mask = rows.batch(batch)
        assert ids.shape == mask.shape
        assert mask.shape[1] == max(1, int(mask.sum(1).max()))
        assert torch.equal(mask.sum(1), torch.tensor(lengths)[batch])


def test_rows_of_like_length_come_together_in_an_order_free_of_length() -> None:
    lengths = [1 + index % 12 for index in range(1200)]
    rows = make_rows(lengths)
    batches = rows.batches(torch.randperm(1200, generator=torch.Generator().manual_seed(0)), 20)
    longest = [rows.batch(batch)[0].shape[1] for batch in batches]
    assert sum(longest) * 20 < 1.2 * sum(lengths)
    assert longest != sorted(longest)
