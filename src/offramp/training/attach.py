"""Exits on any ``nn.Module``, by module path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from offramp.errors import ConfigError, TrainingError
from offramp.training.cut import cut_after, first_line
from offramp.training.heads import make_head

__all__ = ["FINAL", "ExitPlacement", "MultiExit"]

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


class MultiExit(nn.Module):
    """A network with early exits; the code of the network stays as it is.

    It is cut behind every exit. Segments share their parameters with ``module``, so training this
    trains ``module``.

    Parameters
    ----------
    module : takes one tensor (n, ...), returns logits (n, K)
    exits : in the order of the network; the network's own output is the last exit, ``final``
    example : a few rows (n, ...), as they come from the data; sizes the heads
    inputs : preprocessing put in front of the first segment

    Attributes
    ----------
    segments, heads : E segments and E - 1 heads
    exit_names, exit_modules : names of the E exits and the modules they stand behind

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
        example: Tensor,
        inputs: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.exit_names = (*(place.label for place in exits), FINAL)
        self.exit_modules = (*(place.after for place in exits), "output")
        if len(set(self.exit_names)) != len(self.exit_names):
            raise ConfigError(f"two exits share a name: {', '.join(self.exit_names)}; {FINAL!r} is the last one's")
        self.inputs = nn.Identity() if inputs is None else inputs
        self.segments = nn.ModuleList(cut_after(module, [place.after for place in exits]))
        features = self._dry_run(example)
        self.classes = int(features[-1].shape[1])
        self.heads = nn.ModuleList(
            make_head(place.head, tuple(tensor.shape[1:]), self.classes)
            for place, tensor in zip(exits, features, strict=False)
        )

    def _dry_run(self, example: Tensor) -> list[Tensor]:
        """What every segment returns for ``example``."""
        training = self.training
        self.eval()
        found: list[Tensor] = []
        try:
            with torch.no_grad():
                value = self.inputs(example)
                for segment in self.segments:
                    value = segment(value)
                    found.append(value)
        except Exception as error:  # user code on user data
            kind = f"{str(example.dtype).removeprefix('torch.')} {tuple(example.shape[1:])}"
            raise TrainingError(f"the model does not run on rows of {kind}: {first_line(error)}") from error
        finally:
            self.train(training)
        if found[-1].dim() != 2:
            raise ConfigError(f"the model must return logits (n, classes), not {tuple(found[-1].shape)}")
        return found

    def exit_head(self, index: int) -> nn.Module:
        """The head of exit ``index``; the last exit needs none."""
        return self.heads[index] if index < len(self.heads) else nn.Identity()

    def forward(self, rows: Tensor) -> list[Tensor]:
        """Logits (n, K) of every exit, first to last."""
        value = self.inputs(rows)
        logits = []
        for index, segment in enumerate(self.segments):
            value = segment(value)
            logits.append(self.heads[index](value) if index < len(self.heads) else value)
        return logits
