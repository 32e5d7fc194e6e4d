"""The state of a training run on disk, one file, replaced after every epoch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from offramp.errors import TrainingError

__all__ = ["Checkpoint"]

FILE = "checkpoint.pt"


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds the last finished epoch of one run.

    ``key`` names the run (data, model, settings, seed): the state of another run is refused. Files
    are read with torch's restricted loader, which runs no code from them.
    """

    folder: Path
    key: str

    @property
    def file(self) -> Path:
        """Where the state lies."""
        return self.folder / FILE

    def save(self, state: dict[str, Any]) -> None:
        """Write ``state`` (tensors, numbers, text, lists, dicts), replacing the old one at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{FILE}.{os.getpid()}")
        try:
            torch.save({"key": self.key, **state}, temporary)
            os.replace(temporary, self.file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def load(self) -> dict[str, Any] | None:
        """The state of the last finished epoch, or ``None`` where there is none.

        Raises
        ------
        TrainingError : the file is damaged, or belongs to a run with other settings
        """
        if not self.file.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.file, weights_only=True)
            key = state.pop("key")
        except Exception as error:  # torch raises many kinds for a damaged file
            raise TrainingError(f"{self.file}: damaged, cannot resume from it; remove it to start again") from error
        if key != self.key:
            raise TrainingError(
                f"{self.file}: belongs to a run with other data, model or settings; remove it or train without --resume"
            )
        return state
