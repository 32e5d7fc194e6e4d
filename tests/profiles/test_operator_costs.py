"""Regressions of operators: a known law is found again, and what cannot be answered is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from offramp.errors import ConfigError, NotEnoughSamples, RecordMismatch
from offramp.profiles.measurements import OPERATORS
from offramp.profiles.operator_costs import fit_operator_costs, load_operator_costs
from offramp.profiles.operators import Operator
from offramp.profiles.prediction_error import operator_errors, segment_errors
from offramp.profiles.profile import MachineInfo
from offramp.profiles.regression import relative_nnls
from tests.support.measured import CALL_S, MAC_S, TRACED_S, VALUE_S, activation, measurement, product, true_seconds

MEASURED = [measurement("a", 0), measurement("b", 1), measurement(OPERATORS, 2, segments=30)]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(3, 30), columns=st.integers(1, 4))
def test_the_regression_is_scipys(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    features, seconds = rng.uniform(0, 1, (rows, columns)), rng.uniform(1e-6, 1e-3, rows)
    found = relative_nnls(features, seconds)
    oracle = lsq_linear(features / seconds[:, None], np.ones(rows), (0, np.inf), tol=1e-12)
    assert (found >= 0).all()
    residual = np.sum((features @ found / seconds - 1) ** 2) / 2
    assert residual <= oracle.cost * (1 + 1e-6) + 1e-12


def test_a_small_piece_counts_as_much_as_a_large_one() -> None:
    found = relative_nnls(np.array([[1.0], [1.0]]), np.array([1e-4, 1e-2]))
    assert found[0] == pytest.approx((1e4 + 1e2) / (1e8 + 1e4))
    with pytest.raises(NotEnoughSamples, match="at least one measurement"):
        relative_nnls(np.empty((0, 1)), np.empty(0))


def test_a_known_law_is_found_again() -> None:
    costs = fit_operator_costs(MEASURED)
    assert costs.operator_s["matmul"]["macs"] == pytest.approx(MAC_S, rel=1e-3)
    assert costs.operator_s["Gelu"]["output_values"] == pytest.approx(VALUE_S, rel=1e-3)
    assert costs.traced_s == pytest.approx(TRACED_S, rel=1e-3)
    assert costs.call_s == pytest.approx(CALL_S, rel=1e-2)
    assert costs.node_s == pytest.approx(0, abs=1e-8)
    assert costs.in_place == pytest.approx(1, rel=1e-3)
    assert costs.mean_ratio == pytest.approx(1.1)
    assert costs.p95_ratio == pytest.approx(1.5)
    assert costs.hop_s == 1e-3
    new = product(777, 1001), activation(1001), activation(5)
    assert costs.segment_seconds(new) == pytest.approx(true_seconds(new), rel=1e-3)
    assert costs.codec_seconds("encode", "raw", (5000, 5000)) == pytest.approx(1.5e-6, rel=1e-3)
    assert costs.codec_seconds("decode", "raw", (5000, 5000)) == pytest.approx(2e-6, rel=1e-3)


def test_errors_of_a_known_law() -> None:
    by_name = {error.name: error for error in operator_errors(MEASURED)}
    products, functions = by_name["matmul"], by_name["function"]
    assert products.fitted is not None
    assert products.flops is not None
    assert products.published is not None
    assert products.fitted < 1e-3 < products.flops
    assert products.published > 0.05
    assert (functions.flops, functions.count) == (None, products.count)
    held_out = segment_errors(MEASURED)
    assert [error.name for error in held_out] == ["a, fp32", "b, fp32"]
    assert all(error.fitted is not None and error.fitted <= 1e-2 for error in held_out)
    assert all(error.worst is not None and error.worst >= (error.fitted or 0) for error in held_out)


def test_errors_need_something_to_leave_out() -> None:
    with pytest.raises(NotEnoughSamples, match="at least two"):
        segment_errors(MEASURED[:1])
    with pytest.raises(NotEnoughSamples, match="1 folds need"):
        operator_errors(MEASURED, folds=1)
    with pytest.raises(NotEnoughSamples, match="500 folds need as many different operators"):
        operator_errors(MEASURED, folds=500)


def test_a_kind_that_no_other_cascade_has_is_not_predicted() -> None:
    strange = (
        MEASURED[0]
        .segments[0]
        .model_copy(update={"operators": (Operator(type="TopK", integer=False, inputs=((9,),), outputs=((2,),)),)})
    )
    errors = segment_errors([measurement("a", 0).model_copy(update={"segments": (strange,)}), *MEASURED[1:]])
    assert (errors[0].fitted, errors[0].published, errors[0].worst) == (None, None, None)


def test_costs_survive_their_file(tmp_path: Path) -> None:
    costs = fit_operator_costs(MEASURED)
    costs.save(tmp_path / "costs.json")
    assert load_operator_costs(tmp_path / "costs.json") == costs
    body = json.loads(costs.to_json())
    body["operator_s"]["matmul"]["macs"] = -1.0
    (tmp_path / "bad.json").write_text(json.dumps(body))
    with pytest.raises(ConfigError, match=r"operator_s\.matmul\.macs: .*greater than or equal to 0"):
        load_operator_costs(tmp_path / "bad.json")
    with pytest.raises(ConfigError, match=r"no such costs; 'offramp profile CASCADE --fit none\.json' makes them"):
        load_operator_costs(tmp_path / "none.json")


def test_what_cannot_be_answered() -> None:
    costs = fit_operator_costs(MEASURED)
    conv = Operator(type="Conv", integer=False, inputs=((1, 3, 4, 4), (8, 3, 3, 3)), outputs=((1, 8, 4, 4),))
    with pytest.raises(RecordMismatch, match=r"no operator of the kind 'conv' \(Conv\) was measured"):
        costs.segment_seconds([conv])
    with pytest.raises(RecordMismatch, match="codec 'zstd' was not measured"):
        costs.codec_seconds("encode", "zstd", (1, 1))
    with pytest.raises(ConfigError, match="at least one cascade"):
        fit_operator_costs([])
    other = MachineInfo(cpu="d", cores=2, system="Linux", versions={})
    with pytest.raises(RecordMismatch, match=r"'b' was measured on d \(Linux\), 'a' on c \(Linux\)"):
        fit_operator_costs([MEASURED[0], measurement("b", 1, machine=other)])
