"""Model repositories: the folders in which model servers look for models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.cascade.manifest import TensorSpec
from offramp.cascade.segment import LOGITS, PROBABILITIES

__all__ = ["Repository", "TailModel"]


@dataclass(frozen=True, slots=True)
class TailModel:
    """A tail as a server sees it: its name, its tensors and its ONNX file."""

    name: str
    inputs: tuple[TensorSpec, ...]
    classes: int
    content: bytes

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``logits`` and ``probabilities``, (n, K) float32 each.

        Examples
        --------
        >>> [spec.name for spec in TailModel("t", (), 3, b"").outputs]
        ['logits', 'probabilities']
        """
        return tuple(
            TensorSpec(name=name, dtype="float32", shape=(None, self.classes)) for name in (LOGITS, PROBABILITIES)
        )


class Repository(ABC):
    """One server's way to lay out models: which files, and what is in them."""

    @abstractmethod
    def model_files(self, model: TailModel) -> dict[str, bytes]:
        """The files of one model, by their path below the folder called as the model."""

    def shared_files(self, names: Sequence[str]) -> dict[str, bytes]:
        """The files beside the models, by their path below the output; ``names`` are all models that lie there."""
        return {}
