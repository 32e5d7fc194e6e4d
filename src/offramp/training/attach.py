"""Exits on any ``nn.Module``, by module path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from offramp.errors import ConfigError, TrainingError
from offramp.training.cut import cut_after, first_line
from offramp.training.heads import make_head
from offramp.training.token_heads import TokenHead

__all__ = ["FINAL", "ExitPlacement", "MultiExit", "apply_head", "as_tuple"]

#: name and place of the exit every network has
FINAL = "final"


@dataclass(frozen=True)
class ExitPlacement:
    """An early exit: behind which module, with which head, under which name."""

    after: str
    head: str = "pool-linear"
    name: str = ""

    @property
    def label(self) -> str:
        """The name, or the module path where none was given."""
        return self.name or self.after


def as_tuple(value: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One tensor or several, as a tuple."""
    return (value,) if isinstance(value, Tensor) else tuple(value)


def apply_head(head: nn.Module, tensors: tuple[Tensor, ...]) -> Tensor:
    """Logits (n, K) from what a segment returns; only heads for text look behind the features."""
    return head(*tensors) if isinstance(head, TokenHead) else head(tensors[0])  # type: ignore[no-any-return]


class MultiExit(nn.Module):
    """A network with early exits; the code of the network stays as it is.

    It is cut behind every exit. Segments share their parameters with ``module``, so training this
    trains ``module``.

    Parameters
    ----------
    module : takes one or several tensors (n, ...), returns logits (n, K)
    exits : in the order of the network; the network's own output is the last exit, ``final``
    example : a few rows (n, ...) of every input, as they come from the data; sizes the heads
    inputs : preprocessing put in front of the first segment, for the first input
    sequences : rows are sequences, their length (the second dimension of every tensor) may differ
        from batch to batch

    Attributes
    ----------
    segments, heads : E segments and E - 1 heads
    exit_names, exit_modules : names of the E exits and the modules they stand behind
    input_names : as the network's ``forward`` calls them, ``input`` where it takes only one

    Raises
    ------
    ConfigError : a path is unknown, called never or twice, or no place to cut; two exits share a name
    TrainingError : the network cannot be traced or run on ``example``

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> network = MultiExit(net, [ExitPlacement(after="1", name="early")], torch.zeros(2, 4))
    >>> [tuple(logits.shape) for logits in network(torch.zeros(5, 4))]
    [(5, 3), (5, 3)]
    """

    def __init__(
        self,
        module: nn.Module,
        exits: Sequence[ExitPlacement],
        example: Tensor | Sequence[Tensor],
        inputs: nn.Module | None = None,
        sequences: bool = False,
    ) -> None:
        super().__init__()
        self.exit_names = (*(place.label for place in exits), FINAL)
        self.exit_modules = (*(place.after for place in exits), "output")
        if len(set(self.exit_names)) != len(self.exit_names):
            raise ConfigError(f"two exits share a name: {', '.join(self.exit_names)}; {FINAL!r} is the last one's")
        self.inputs = nn.Identity() if inputs is None else inputs
        self.segments = nn.ModuleList(cut_after(module, [place.after for place in exits]))
        self.sequences = sequences
        names = _placeholders(self.segments[0])
        self.input_names = names if len(names) > 1 else ("input",)
        features = self._dry_run(as_tuple(example))
        self.classes = int(features[-1].shape[1])
        self.heads = nn.ModuleList(
            make_head(place.head, tuple(tensor.shape[1:]), self.classes)
            for place, tensor in zip(exits, features, strict=False)
        )

    def _dry_run(self, example: tuple[Tensor, ...]) -> list[Tensor]:
        """What every segment computes from ``example``, without the inputs it hands on."""
        training = self.training
        self.eval()
        found: list[Tensor] = []
        try:
            with torch.no_grad():
                tensors = (self.inputs(example[0]), *example[1:])
                for segment in self.segments:
                    tensors = as_tuple(segment(*tensors))
                    found.append(tensors[0])
        except Exception as error:  # user code on user data
            kind = ", ".join(f"{str(each.dtype).removeprefix('torch.')} {tuple(each.shape[1:])}" for each in example)
            raise TrainingError(f"the model does not run on rows of {kind}: {first_line(error)}") from error
        finally:
            self.train(training)
        if found[-1].dim() != 2:
            raise ConfigError(f"the model must return logits (n, classes), not {tuple(found[-1].shape)}")
        return found

    def exit_head(self, index: int) -> nn.Module:
        """The head of exit ``index``; the last exit needs none."""
        return self.heads[index] if index < len(self.heads) else nn.Identity()

    def handed_inputs(self, cut: int) -> tuple[str, ...]:
        """Names of the inputs that cross cut ``cut`` (1 is in front of segment 1), behind the features."""
        return _placeholders(self.segments[cut])[1:]

    def forward(self, *rows: Tensor) -> list[Tensor]:
        """Logits (n, K) of every exit, first to last."""
        tensors = (self.inputs(rows[0]), *rows[1:])
        logits = []
        for index, segment in enumerate(self.segments):
            tensors = as_tuple(segment(*tensors))
            logits.append(apply_head(self.exit_head(index), tensors))
        return logits


def _placeholders(segment: nn.Module) -> tuple[str, ...]:
    assert isinstance(segment, fx.GraphModule)
    return tuple(node.name for node in segment.graph.nodes if node.op == "placeholder")
