"""Predicted profiles of cascades that were never measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.operator_bench import operator_models
from offramp.errors import ConfigError, RecordMismatch
from offramp.links.network import Link, Network, Tier
from offramp.planning.costs import cost_table
from offramp.profiles.carry import check_profile
from offramp.profiles.measure_operators import measure_cascade_operators, measure_models
from offramp.profiles.measurements import CascadeMeasurement
from offramp.profiles.operator_costs import OperatorCosts, fit_operator_costs
from offramp.profiles.predict import predict_profile
from offramp.profiles.profile import TransportCost
from tests.support.images import make_image_cascade

TRANSPORT = TransportCost(hop_s=1.0, request_overhead_bytes=100, answer_bytes=50)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[CascadeMeasurement, CascadeMeasurement]:
    """Single operators, and a cascade, both measured in little time."""
    cascade = make_image_cascade(tmp_path_factory.mktemp("measured"), "small", channels=8)
    return (
        measure_models(operator_models(count=2), repeats=15, budget_s=0.1, traces=3),
        measure_cascade_operators(cascade.path, hop_s=2e-3, samples=IMAGES, repeats=15, budget_s=0.1, traces=3),
    )


@pytest.fixture(scope="module")
def costs(measured: tuple[CascadeMeasurement, CascadeMeasurement]) -> OperatorCosts:
    return fit_operator_costs(measured)


def test_what_is_measured(measured: tuple[CascadeMeasurement, CascadeMeasurement]) -> None:
    bench, cascade = measured
    assert (bench.is_cascade, cascade.is_cascade) == (False, True)
    assert {"conv", "conv int8", "depthwise", "matmul"} <= {op.group for s in bench.segments for op in s.operators}
    assert [segment.cost.segment for segment in cascade.segments] == [0, 1]
    assert {codec.codec for codec in cascade.codecs} == {"raw", "zstd"}
    assert all(segment.cpu_s > 0 for each in measured for segment in each.segments)


def test_a_predicted_profile_is_complete_and_says_it_is_modelled(costs: OperatorCosts, tmp_path: Path) -> None:
    cascade = make_image_cascade(tmp_path)
    profile = predict_profile(cascade.path, costs, "phone", transport=TRANSPORT, samples=IMAGES)
    check_profile(profile, cascade.manifest)
    assert (profile.how, profile.tier, profile.machine) == ("modelled", "phone", costs.machine)
    assert profile.transport == TRANSPORT.model_copy(update={"hop_s": 2e-3})
    assert profile.codecs == ("raw", "zstd")
    assert profile.payload(0, "raw").payload_bytes == 192
    for cost in profile.segments:
        assert cost.repeats == 0
        assert 0 < cost.median_s <= cost.p95_s
        assert cost.macs
        assert cost.model_bytes
    network = Network((Tier("phone"), Tier("cloud")), (Link("phone", "cloud", 1e6),))
    cloud = profile.model_copy(update={"tier": "cloud"})
    assert np.isfinite(cost_table([profile, cloud], network, "zstd", 1).cost_s).all()


def test_a_slower_tier_is_that_much_slower(costs: OperatorCosts, tmp_path: Path) -> None:
    cascade = make_image_cascade(tmp_path)
    here, slow = (
        predict_profile(cascade.path, costs, "phone", transport=TRANSPORT, slow_down=factor) for factor in (1.0, 8.0)
    )
    for one, other in zip(here.segments, slow.segments, strict=True):
        assert other.median_s == pytest.approx(8 * one.median_s)
    assert slow.payload(1, "zstd").encode_s == pytest.approx(8 * here.payload(1, "zstd").encode_s)
    assert slow.payload(1, "zstd").payload_bytes == here.payload(1, "zstd").payload_bytes


def test_what_cannot_be_predicted(costs: OperatorCosts, tmp_path: Path) -> None:
    cascade = make_image_cascade(tmp_path)
    with pytest.raises(ConfigError, match=r"slow_down must be at least 1, not 0\.5"):
        predict_profile(cascade.path, costs, "phone", transport=TRANSPORT, slow_down=0.5)
    with pytest.raises(RecordMismatch, match=r"codec 'uint8' was not measured; run .* --codec uint8'"):
        predict_profile(cascade.path, costs, "phone", transport=TRANSPORT, codecs=("uint8",))
    no_convolutions = costs.model_copy(
        update={"operator_s": {group: s for group, s in costs.operator_s.items() if group not in ("conv", "Conv")}}
    )
    with pytest.raises(RecordMismatch, match="no operator of the kind 'conv'"):
        predict_profile(cascade.path, no_convolutions, "phone", transport=TRANSPORT)
