"""The study of the router: its pieces, and what it says on committed records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.records.records import load_records
from studies.router.features import EXAMPLES, features_of
from studies.router.study import CASES, PRICES, RATIOS, Case, _ranking, study


def test_ranking_is_the_share_of_pairs_in_order() -> None:
    score, event = np.array([0.1, 0.4, 0.35, 0.8, 0.4]), np.array([False, True, False, True, False])
    pairs = [(x > y) + 0.5 * (x == y) for x in score[event] for y in score[~event]]
    assert _ranking(score, event) == pytest.approx(np.mean(pairs))
    assert _ranking(score, np.ones(5, bool)) == 0.5


def test_the_committed_records_give_rows() -> None:
    rows = {row.name: row for row in study(CASES[2:])}
    for price in PRICES:
        for ratio in RATIOS:
            where = f"SST-2, first exit, remote {price:g}, local {ratio:g} of it"
            assert rows[f"{where}: cost, router that knows"].ours <= rows[f"{where}: cost, cascade"].ours + 1e-9
            assert 0 <= rows[f"{where}: skipped"].ours <= 100
    assert rows["router at most the cascade"].unit == "of 6"


def test_features_are_those_of_the_records(tmp_path: Path) -> None:
    records = load_records(EXAMPLES / "pair-cifar100" / "records" / "fp32.parquet")
    assert features_of("cifar100", records).shape == (len(records), 20)
    with pytest.raises(RecordMismatch, match="of other rows"):
        features_of("cifar100", records.take(np.arange(5)))
    with pytest.raises(RecordMismatch, match="no routing features"):
        features_of("cifar10", records, tmp_path)


def test_pairs_of_different_rows_are_refused() -> None:
    with pytest.raises(RecordMismatch, match="not of the same rows"):
        list(study((Case("mixed", "pair-cifar100", "compact-cifar10", "cifar100"),)))
