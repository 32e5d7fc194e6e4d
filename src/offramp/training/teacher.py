"""Larger classifiers that others learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import ConfigError
from offramp.training.attach import as_tuple
from offramp.training.factory import make_model

__all__ = ["CascadeTeacher", "Teacher", "TorchTeacher", "load_torch_teacher"]


class Teacher(Protocol):
    """A classifier of raw rows.

    ``identity`` changes with the weights, so that no run resumes under another teacher.
    """

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def identity(self) -> str:
        """A fingerprint of what it computes."""

    @property
    def classes(self) -> int:
        """K."""

    def logits(self, *rows: Tensor) -> Tensor:
        """(n, ...) raw rows of every input to (n, K) float32 logits, without gradient."""


class CascadeTeacher:
    """The last exit of a cascade, run with ONNX Runtime.

    Parameters
    ----------
    cascade : an opened cascade, or its folder
    threads : of ONNX Runtime

    Raises
    ------
    CascadeError : the folder is no cascade, or damaged

    Examples
    --------
    >>> teacher = CascadeTeacher(getfixture("tiny_cascade"))
    >>> teacher.logits(torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(self, cascade: Cascade | str | Path, threads: int = 1) -> None:
        self._cascade = cascade if isinstance(cascade, Cascade) else open_cascade(cascade)
        self._segments = self._cascade.load_segments(threads)

    @property
    def name(self) -> str:
        """The cascade's name."""
        return self._cascade.name

    @property
    def identity(self) -> str:
        """The cascade's fingerprint."""
        return self._cascade.manifest.fingerprint

    @property
    def classes(self) -> int:
        """Number of labels."""
        return len(self._cascade.manifest.labels)

    def logits(self, *rows: Tensor) -> Tensor:
        """Logits of the last exit."""
        sample: tuple[NDArray[Any], ...] = tuple(each.numpy() for each in rows)
        tensors, found = sample, None
        for segment in self._segments:
            carried, found = segment.run_with_logits(tensors)
            tensors = sample if segment.spec.hand_over == "input" else carried
        assert found is not None
        return torch.from_numpy(found)


class TorchTeacher:
    """A torch module in evaluation mode behind preprocessing.

    Parameters
    ----------
    module : takes preprocessed rows, returns logits (n, K)
    inputs : raw rows to what ``module`` takes
    example : two raw rows of every input
    name : for messages

    Raises
    ------
    ConfigError : the module does not run on the rows, or returns no logits
    """

    def __init__(self, module: nn.Module, inputs: nn.Module, example: Tensor | Sequence[Tensor], name: str) -> None:
        self.name = name
        rows = as_tuple(example)
        self._network = nn.Sequential(inputs, module).eval().requires_grad_(False)
        try:
            found = self.logits(*rows)
        except Exception as error:  # user code on user data
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ConfigError(
                f"the teacher {name!r} does not run on rows of shape {tuple(rows[0].shape[1:])}: {reason}"
            ) from error
        if found.dim() != 2:
            raise ConfigError(f"the teacher {name!r} must return logits (n, classes), not {tuple(found.shape)}")
        self.classes = int(found.shape[1])

    @property
    def identity(self) -> str:
        """sha256 over all weights."""
        digest = hashlib.sha256()
        for name, value in self._network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def logits(self, *rows: Tensor) -> Tensor:
        """Logits of the module."""
        inputs, module = self._network
        with torch.no_grad():
            found: Tensor = module(inputs(rows[0]), *rows[1:])
        return found.float()


def load_torch_teacher(
    factory: str,
    arguments: Mapping[str, Any],
    weights: Path | None,
    inputs: nn.Module,
    example: Tensor | Sequence[Tensor],
) -> TorchTeacher:
    """A teacher from ``module:function`` and, unless the function loads them itself, a file of weights.

    Parameters
    ----------
    factory, arguments : see `offramp.training.factory.make_model`
    weights : a state dict written by ``torch.save``; read without running code from it
    inputs, example : see `TorchTeacher`

    Raises
    ------
    ConfigError : no such function, a missing or unfitting file of weights, or a module that is no classifier
    """
    module = make_model(factory, arguments)
    if weights is not None:
        try:
            module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except FileNotFoundError as error:
            raise ConfigError(f"{weights}: no such file; training.teacher.weights must be a state dict") from error
        except Exception as error:  # torch raises many kinds for damaged and unfitting files
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{weights}: no weights for the teacher {factory!r} ({reason})") from error
    return TorchTeacher(module, inputs, example, factory)
