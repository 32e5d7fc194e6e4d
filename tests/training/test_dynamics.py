"""What a network was sure of while it was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.errors import RecordMismatch, TrainingError
from offramp.training.checkpoint import Checkpoint
from offramp.training.dynamics import TrainingDynamics, load_dynamics
from tests.training.test_joint import RECIPE, fit, make_network, make_rows

INDEX = np.arange(40) + 100


def test_it_keeps_the_probability_of_the_truth_after_every_epoch(tmp_path: Path) -> None:
    file, network = tmp_path / "dynamics.parquet", make_network()
    fit(network, after_epoch=TrainingDynamics(file, make_rows(), INDEX))
    row, dynamics = load_dynamics(file)
    np.testing.assert_array_equal(row, INDEX)
    assert dynamics.shape == (RECIPE.epochs, 40)
    rows = make_rows()
    with torch.no_grad():
        last = network(rows.inputs)[-1].softmax(1)[torch.arange(40), rows.labels]
    np.testing.assert_allclose(dynamics[-1], last.numpy(), atol=2e-3)


def test_looking_on_changes_no_weight(tmp_path: Path) -> None:
    one, other = make_network(), make_network()
    fit(one)
    fit(other, after_epoch=TrainingDynamics(tmp_path / "d.parquet", make_rows(), INDEX))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


class Stopped(Exception):
    """In the middle of an epoch."""


def test_a_resumed_run_goes_on_from_the_file(tmp_path: Path) -> None:
    whole, file = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    fit(make_network(), after_epoch=TrainingDynamics(whole, make_rows(), INDEX))

    def stop(epoch: int, epochs: int, step: int, steps: int, metrics: dict[str, float]) -> None:
        if epoch == 2:
            raise Stopped

    checkpoint = Checkpoint(tmp_path / "checkpoint", "key")
    with pytest.raises(Stopped):
        fit(
            make_network(),
            checkpoint=checkpoint,
            progress=stop,
            after_epoch=TrainingDynamics(file, make_rows(), INDEX),
        )
    again = TrainingDynamics(file, make_rows(), INDEX)
    fit(make_network(), checkpoint=checkpoint, resume=True, after_epoch=again)
    np.testing.assert_array_equal(load_dynamics(whole)[1], load_dynamics(file)[1])


def test_lost_or_foreign_dynamics_are_refused(tmp_path: Path) -> None:
    network, file = make_network(), tmp_path / "dynamics.parquet"
    with pytest.raises(TrainingError, match="first 2 epochs are gone"):
        TrainingDynamics(file, make_rows(), INDEX)(2, network)
    TrainingDynamics(file, make_rows(), INDEX)(0, network)
    with pytest.raises(TrainingError, match="of other rows"):
        TrainingDynamics(file, make_rows(), INDEX + 1)(1, network)
    with pytest.raises(RecordMismatch, match=r"no training dynamics|no such records file"):
        load_dynamics(tmp_path / "nowhere.parquet")
