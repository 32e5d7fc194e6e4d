"""Proposing places for exits: equal shares of a network's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.errors import ConfigError, TrainingError
from offramp.training.attach import ExitPlacement, as_tuple
from offramp.training.cut import first_line, places_to_cut

__all__ = ["ExitPlace", "exit_places", "propose_exits"]


@dataclass(frozen=True)
class ExitPlace:
    """A module behind which a network can be cut, and the share of its FLOPs spent up to there."""

    path: str
    share: float


def exit_places(
    module: nn.Module, example: Tensor | Sequence[Tensor], inputs: nn.Module | None = None
) -> tuple[ExitPlace, ...]:
    """Every module that an exit can stand behind, front to back.

    Where several modules end at the same tensor the outermost is named; where work is the same (a
    convolution, its norm, its activation) the last.

    Parameters
    ----------
    module : takes one or several tensors, returns logits
    example : a few raw rows of every input
    inputs : preprocessing in front of ``module``

    Raises
    ------
    ConfigError : ``module`` returns several values
    TrainingError : it cannot be traced or run on ``example``

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> [(place.path, round(place.share, 2)) for place in exit_places(net, torch.zeros(1, 4))]
    [('1', 0.33), ('3', 0.83)]
    """
    graph, places = places_to_cut(module)
    flops = _flops_by_node(module, graph, as_tuple(example), inputs)
    total = max(1, sum(flops.values()))
    found: dict[float, str] = {}
    for path, needed in places:
        share = sum(flops[node] for node in needed) / total
        if share < 1.0:
            found[share] = path
    return tuple(ExitPlace(path, share) for share, path in found.items() if share > 0.0)


def propose_exits(
    module: nn.Module,
    example: Tensor | Sequence[Tensor],
    exits: int,
    head: str = "pool-linear",
    inputs: nn.Module | None = None,
) -> tuple[ExitPlacement, ...]:
    """Places for ``exits - 1`` early exits that cut the network into parts of about equal work.

    The sum of distances from 1/N, 2/N, ... is the least possible.

    Parameters
    ----------
    module, example, inputs : see `exit_places`
    exits : N, the last one included
    head : of every early exit

    Raises
    ------
    ConfigError : there are not enough places

    Examples
    --------
    >>> from offramp.training.zoo.resnet import CifarResNet
    >>> [place.after for place in propose_exits(CifarResNet(8), torch.zeros(1, 3, 32, 32), 3)]
    ['stack1', 'stack2']
    """
    if exits < 2:
        raise ConfigError(f"exits auto:{exits}: ask for 2 or more, the last one included")
    places = exit_places(module, example, inputs)
    if len(places) < exits - 1:
        names = ", ".join(place.path for place in places) or "none"
        raise ConfigError(
            f"exits auto:{exits}: the model can be cut behind {len(places)} modules only ({names}); ask for fewer exits"
        )
    targets = [(index + 1) / exits for index in range(exits - 1)]
    chosen = _nearest([place.share for place in places], targets)
    return tuple(ExitPlacement(places[index].path, head) for index in chosen)


def _nearest(shares: Sequence[float], targets: Sequence[float]) -> list[int]:
    """Increasing indices of ``shares``, one per target, with the least sum of distances."""
    # best[j]: (sum, indices) of the targets so far, using shares before j
    best: list[tuple[float, list[int]]] = [(0.0, [])] * (len(shares) + 1)
    for count, target in enumerate(targets, start=1):
        longer: list[tuple[float, list[int]]] = [(float("inf"), [])] * count
        for index in range(count - 1, len(shares)):
            distance, indices = best[index]
            with_this = (distance + abs(shares[index] - target), [*indices, index])
            longer.append(min(longer[-1], with_this, key=lambda pair: pair[0]))
        best = longer
    return best[-1][1]


def _flops_by_node(
    module: nn.Module, graph: fx.Graph, example: tuple[Tensor, ...], inputs: nn.Module | None
) -> dict[fx.Node, int]:
    counted: dict[fx.Node, int] = {}

    class Counting(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            with FlopCounterMode(display=False) as counter:
                result: object = super().run_node(n)
            counted[n] = int(counter.get_total_flops())
            return result

    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            first = example[0] if inputs is None else inputs(example[0])
            Counting(fx.GraphModule(module, graph)).run(first, *example[1:])
    except Exception as error:  # user code on user data
        raise TrainingError(
            f"the model does not run on rows of shape {tuple(example[0].shape[1:])}: {first_line(error)}"
        ) from error
    finally:
        module.train(training)
    return counted
