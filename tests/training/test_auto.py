"""Places for exits at equal shares of the work."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from offramp.errors import ConfigError, TrainingError
from offramp.training.attach import MultiExit
from offramp.training.auto import _nearest, exit_places, propose_exits
from offramp.training.zoo.alexnet import BAlexNet
from offramp.training.zoo.compact import CompactNet
from offramp.training.zoo.mobilenet import CifarMobileNetV2
from offramp.training.zoo.resnet import CifarResNet

IMAGES = torch.zeros(2, 3, 32, 32)


@pytest.mark.parametrize("module", [CifarResNet(20), BAlexNet(), CifarMobileNetV2(width=0.25), CompactNet()])
@pytest.mark.parametrize("exits", [2, 4])
def test_proposed_exits_can_be_attached_and_split_the_work(module: nn.Module, exits: int) -> None:
    places = propose_exits(module, IMAGES, exits)
    assert len(places) == exits - 1
    network = MultiExit(module, places, IMAGES)
    assert len(network(IMAGES)) == exits
    shares = {place.path: place.share for place in exit_places(module, IMAGES)}
    assert all(abs(shares[place.after] - (i + 1) / exits) < 0.25 for i, place in enumerate(places))


def test_shares_rise_and_residual_insides_are_no_places() -> None:
    places = exit_places(CifarResNet(8), IMAGES)
    assert [place.path for place in places] == ["stem", "stack1", "stack2", "stack3"]
    assert sorted(place.share for place in places) == [place.share for place in places]


class Chain(nn.Module):
    """Two linear layers, then one used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.twice = nn.Linear(8, 8)
        self.last = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 4) to (n, 2)."""
        return self.last(self.twice(self.twice(self.first(x))))  # type: ignore[no-any-return]


def test_modules_called_twice_are_no_places_but_their_work_counts() -> None:
    (place,) = exit_places(Chain(), torch.zeros(1, 4))
    assert place.path == "first"
    assert place.share == pytest.approx(32 / (32 + 64 + 64 + 16))


def test_too_many_exits_are_refused_with_the_places_there_are() -> None:
    with pytest.raises(ConfigError, match=r"behind 1 modules only \(first\); ask for fewer"):
        propose_exits(Chain(), torch.zeros(1, 4), 3)


def test_one_exit_is_no_cascade() -> None:
    with pytest.raises(ConfigError, match="2 or more"):
        propose_exits(Chain(), torch.zeros(1, 4), 1)


def test_rows_the_model_cannot_read_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"does not run on rows of shape \(7,\)"):
        propose_exits(Chain(), torch.zeros(1, 7), 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=7, unique=True), st.integers(1, 4))
def test_the_choice_is_the_best_of_all(shares: list[float], count: int) -> None:
    shares = sorted(shares)
    count = min(count, len(shares))
    targets = [(index + 1) / (count + 1) for index in range(count)]

    def distance(chosen: tuple[int, ...]) -> float:
        return sum(abs(shares[index] - target) for index, target in zip(chosen, targets, strict=True))

    chosen = tuple(_nearest(shares, targets))
    assert list(chosen) == sorted(set(chosen))
    assert distance(chosen) == pytest.approx(min(distance(each) for each in combinations(range(len(shares)), count)))
