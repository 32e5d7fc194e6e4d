"""The study of image exits: its accounting, on a made-up cascade."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.policies.stream import Stream
from offramp.records.records import load_records
from studies.image_exits import study as study_module
from studies.image_exits.evidence import NETWORK_COST, OFFLOAD_COST, ImageCase, load_image_cases
from studies.image_exits.rules import LEARNERS, joined, run_experts, run_learner, run_single, threshold_rewards
from studies.image_exits.study import study
from studies.shift.evidence import EXAMPLES
from studies.shift.spectra import LEVELS
from tests.policies.bandits.streams import make_stream


def make_case(rows: int = 200) -> ImageCase:
    streams = {}
    for number, level in enumerate(("none", "blur1")):
        drawn = make_stream(3, rows, number)
        streams[level] = Stream(drawn.confidence, drawn.predicted, drawn.truth, context=np.full(rows, number, np.intp))
    experts = {level: np.zeros((2, rows)) for level in streams}
    return ImageCase("made-up", streams, experts, (0.6, 1.2, NETWORK_COST))


def test_single_exits_cost_their_layers() -> None:
    case = make_case()
    assert run_single(case, 1).cost.mean() == pytest.approx(1.2)
    assert run_single(case, 2, offload=True).cost.mean() == pytest.approx(0.6 + OFFLOAD_COST)


def test_experts_that_know_nothing_offload_from_the_last_device_exit() -> None:
    case = make_case()
    found = run_experts(case)
    np.testing.assert_allclose(found.cost, 1.2 + OFFLOAD_COST)
    np.testing.assert_array_equal(found.right, run_single(case, 2).right)
    assert run_experts(case, plain=True).cost.mean() < found.cost.mean()


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_pays_for_its_split_and_for_offloading(name: str) -> None:
    case = make_case()
    found = run_learner(LEARNERS[name], case, 1)
    possible = {0.6, 1.2, NETWORK_COST}
    possible |= {cost + OFFLOAD_COST for cost in possible}
    assert all(min(abs(cost - each) for each in possible) < 1e-9 for cost in found.cost.ravel())
    assert found.cost.shape == (2, 200)
    assert set(found.right.ravel().tolist()) <= {0.0, 1.0}


def test_regret_is_measured_in_true_rewards_of_the_thresholds() -> None:
    case = make_case()
    rewards = threshold_rewards(case)
    assert rewards.shape == (2, 11)
    assert (rewards[:, 0] == 0).all()  # always stops
    stream = case.streams["blur1"]
    gained = np.maximum(stream.confidence[2] - stream.confidence[0], 0) - OFFLOAD_COST - (NETWORK_COST - 0.6)
    assert rewards[1, 5] == pytest.approx(np.where(stream.confidence[0] < 0.5, gained, 0).mean(), abs=1e-6)
    found = run_learner(LEARNERS["AdaEE"], case, 1)
    assert found.regret is not None
    assert 0 < sum(found.regret) < 400 * (rewards.max() - rewards.min())
    assert run_learner(LEARNERS["SplitEE"], case, 1).regret is None


def test_levels_are_contexts() -> None:
    stream = joined(make_case(10))
    assert stream.context is not None
    assert stream.context.tolist() == [0] * 10 + [1] * 10


def test_rows_of_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "load_image_cases", lambda examples: iter([make_case(), "another (no records)"]))
    rows = {row.name: row for row in study(shuffles=1)}
    assert rows["made-up, all levels, first exit: cost cut"].ours == pytest.approx(100 * (1 - 0.6 / NETWORK_COST))
    assert rows["made-up, I-SplitEE as published"].published == 55.0
    assert rows["cascades left out"].how == "another (no records)"


def test_without_records_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(RecordMismatch, match="no cascade has shift records"):
        list(study(tmp_path))


def test_records_of_another_build_leave_a_case_out_and_say_so(tmp_path: Path) -> None:
    copied = tmp_path / "examples"
    for name in ("cifar10", "resnet8-cifar10", "compact-cifar10"):
        shutil.copytree(EXAMPLES / name / "records", copied / name / "records")
    file = copied / "compact-cifar10" / "records" / "fp32.parquet"
    records = load_records(file)
    replace(records, provenance=replace(records.provenance, cascade_fingerprint="0" * 64)).save(file, "float16")
    found = list(load_image_cases(copied))
    assert isinstance(found[0], ImageCase)
    assert isinstance(found[1], str)
    assert "another build" in found[1]


def test_the_committed_records_are_streams_of_the_same_rows() -> None:
    case = next(case for case in load_image_cases(EXAMPLES) if isinstance(case, ImageCase))
    assert list(case.streams) == list(LEVELS)
    clean = case.streams["none"]
    for stream in case.streams.values():
        np.testing.assert_array_equal(stream.truth, clean.truth)
    assert clean.right[-1].mean() > case.streams["noise40"].right[-1].mean()
    assert case.layer_costs[-1] == pytest.approx(NETWORK_COST)
