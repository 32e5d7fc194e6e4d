"""Attaching exits and cutting graphs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from offramp.errors import ConfigError, TrainingError
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.cut import cut_after
from offramp.training.inputs import ImageInput
from offramp.training.zoo.digits import DigitsNet
from offramp.training.zoo.resnet import CifarResNet


class Skip(nn.Module):
    """A shortcut over ``middle``, and ``twice`` called two times."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.middle = nn.Linear(4, 4)
        self.twice = nn.Linear(4, 4)
        self.unused = nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 4) to (n, 3)."""
        first = self.first(x) * self.scale
        value = self.middle(first) + first
        return self.last(self.twice(self.twice(value)) * self.scale)  # type: ignore[no-any-return]


class Pair(nn.Module):
    """Returns two tensors."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x, twice."""
        return x, x


class Undecided(nn.Module):
    """Its graph depends on the data."""

    def forward(self, x: Tensor) -> Tensor:
        """Doubled or not."""
        return x * 2 if x.sum() > 0 else x


def rows(count: int = 4, channels: int = 3, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, size, size, channels), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("module", "places", "shape"),
    [
        (nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), ["0", "1"], (4,)),
        (CifarResNet(8), ["stem", "stack1", "stack2.0", "stack3"], (3, 32, 32)),
        (CifarResNet(20), ["stack1.0", "stack1.2", "stack2"], (3, 32, 32)),
        (DigitsNet(widths=(4, 8), blocks=(2, 1), strides=(2, 1)), ["stages.0"], (1, 8, 8)),
    ],
)
def test_segments_one_after_another_compute_the_network(
    module: nn.Module, places: list[str], shape: tuple[int, ...]
) -> None:
    module.eval()
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    value = x
    segments = cut_after(module, places)
    for segment in segments:
        value = segment(value)
    assert torch.equal(value, module(x))
    assert {id(p) for s in segments for p in s.parameters()} == {id(p) for p in module.parameters()}


def test_an_exit_sits_behind_the_named_module() -> None:
    net = CifarResNet(8).eval()
    found: list[Tensor] = []
    net.stack1.register_forward_hook(lambda _module, _args, output: found.append(output))
    inputs = ImageInput((0.5,) * 3, (0.25,) * 3)
    network = MultiExit(net, [ExitPlacement("stack1", name="early")], rows(), inputs).eval()
    net(inputs(rows()))
    early, final = network(rows())
    assert network.exit_names == ("early", "final")
    assert torch.equal(early, network.heads[0](found[-1]))
    assert torch.equal(final, net(inputs(rows())))


def test_training_the_network_trains_the_module() -> None:
    first = nn.Linear(4, 5)
    net = nn.Sequential(first, nn.Tanh(), nn.Linear(5, 3))  # a ReLU can be dead on the only row there is
    before = first.weight.detach().clone()
    network = MultiExit(net, [ExitPlacement("1")], torch.zeros(2, 4))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    torch.autograd.backward([logits.square().mean() for logits in network(torch.ones(2, 4))])
    optimizer.step()
    assert not torch.equal(first.weight, before)


def test_unknown_path_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'stak1'.*nearest is 'stack1'"):
        cut_after(CifarResNet(8), ["stak1"])


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("twice", "called 2 times"),
        ("unused", "called never"),
        ("middle", "besides its output, 'mul' is still needed"),
        ("last", "the end of the model"),
    ],
)
def test_places_that_are_no_cut_are_refused(path: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        cut_after(Skip(), [path])


def test_exits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="order of the network"):
        cut_after(CifarResNet(8), ["stack2", "stack1"])


def test_one_module_takes_one_exit() -> None:
    with pytest.raises(ConfigError, match="two exits after 'stack1'"):
        cut_after(CifarResNet(8), ["stack1", "stack1"])


def test_a_module_that_returns_a_tuple_is_refused() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair()
            self.last = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.pair(x)[0])  # type: ignore[no-any-return]

    with pytest.raises(ConfigError, match="returns a tuple"):
        cut_after(Net(), ["pair"])


def test_data_dependent_control_flow_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"Undecided|cannot be traced"):
        cut_after(nn.Sequential(nn.Linear(4, 4), Undecided(), nn.Linear(4, 3)), ["0"])


def test_functional_dropout_is_refused() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.last = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            value = nn.functional.dropout(self.first(x), training=self.training)
            return self.last(value)  # type: ignore[no-any-return]

    with pytest.raises(TrainingError, match=r"use nn\.Dropout"):
        cut_after(Net(), ["first"])


def test_a_name_given_twice_is_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    with pytest.raises(ConfigError, match="share a name"):
        MultiExit(net, [ExitPlacement("0", name="final")], torch.zeros(2, 4))


def test_rows_the_model_cannot_read_are_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    with pytest.raises(TrainingError, match=r"does not run on rows of float32 \(7,\)"):
        MultiExit(net, [], torch.zeros(2, 7))


def test_a_model_that_returns_no_logits_is_refused() -> None:
    with pytest.raises(ConfigError, match="must return logits"):
        MultiExit(nn.Sequential(nn.Conv2d(1, 1, 3)), [], torch.zeros(2, 1, 8, 8))


def test_depth_must_be_of_the_family() -> None:
    with pytest.raises(ConfigError, match="6n"):
        CifarResNet(10)
