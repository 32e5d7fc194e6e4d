"""What an interrupted recording leaves behind, so that the next one continues."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import write_bytes_atomic

__all__ = ["PartKey", "Parts"]

_KEY_FILE = "key.json"


@dataclass(frozen=True)
class PartKey:
    """What parts belong to; those of anything else are thrown away."""

    cascade_fingerprint: str
    precision: str
    data_sha256: str
    split_seed: int
    rows_sha256: str
    rows_per_part: int
    batch: int


class Parts:
    """The folder ``FILE.partial/`` beside a records file: one array (E, rows, K) for each finished part.

    Parameters
    ----------
    file : the records file to be
    key : what is being recorded; parts of another key are removed
    shape : (E, K)
    """

    def __init__(self, file: Path, key: PartKey, shape: tuple[int, int]) -> None:
        self.folder = file.with_name(file.name + ".partial")
        self._shape = shape
        wanted = json.dumps(asdict(key), indent=2).encode()
        key_file = self.folder / _KEY_FILE
        if not key_file.is_file() or key_file.read_bytes() != wanted:
            self.discard()
            write_bytes_atomic(key_file, wanted)

    def load(self, part: int, rows: int) -> NDArray[np.float32] | None:
        """Logits (E, rows, K) of a finished part; ``None`` when it has to be computed."""
        try:
            stored: NDArray[Any] = np.load(self._file(part), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        exits, classes = self._shape
        return stored if stored.shape == (exits, rows, classes) and stored.dtype == np.float32 else None

    def save(self, part: int, logits: NDArray[np.float32]) -> None:
        """Keep a finished part; a part is there as a whole or not at all."""
        buffer = io.BytesIO()
        np.save(buffer, logits, allow_pickle=False)
        write_bytes_atomic(self._file(part), buffer.getvalue())

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, part: int) -> Path:
        return self.folder / f"part-{part:05d}.npy"
