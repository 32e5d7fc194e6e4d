"""What an interrupted recording leaves behind, so that the next one continues."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from offramp.cascade.store import write_bytes_atomic

__all__ = ["MemoryParts", "PartKey", "PartStore", "Parts"]

_KEY_FILE = "key.json"


@dataclass(frozen=True)
class PartKey:
    """What parts belong to; those of anything else are thrown away."""

    cascade_fingerprint: str
    precision: str
    data: str
    data_sha256: str
    split_seed: int
    rows_sha256: str
    rows_per_part: int
    batch: int
    form: str


class PartStore(Protocol):
    """Keeps the tables of finished parts."""

    def has(self, part: int, rows: int) -> bool:
        """Whether that part of so many rows is finished."""

    def save(self, part: int, content: bytes) -> None:
        """Keep a finished part."""

    def table(self, part: int) -> Any:
        """The Arrow table of a finished part."""


class MemoryParts:
    """Parts in memory, for a recording that is not written."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}

    def has(self, part: int, rows: int) -> bool:
        return part in self._parts

    def save(self, part: int, content: bytes) -> None:
        self._parts[part] = content

    def table(self, part: int) -> Any:
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(self._parts[part]))


class Parts:
    """The folder ``FILE.partial/`` beside a records file: a small Parquet file for each finished part.

    Parameters
    ----------
    file : the records file to be
    key : what is being recorded; parts of another key are removed
    """

    def __init__(self, file: Path, key: PartKey) -> None:
        self.folder = file.with_name(file.name + ".partial")
        wanted = json.dumps(asdict(key), indent=2).encode()
        key_file = self.folder / _KEY_FILE
        if not key_file.is_file() or key_file.read_bytes() != wanted:
            self.discard()
            write_bytes_atomic(key_file, wanted)

    def has(self, part: int, rows: int) -> bool:
        """Whether that part is there and readable, with so many rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return bool(pq.read_metadata(self._file(part)).num_rows == rows)
        except (pa.ArrowException, OSError):
            return False

    def save(self, part: int, content: bytes) -> None:
        """Keep a finished part; a part is there as a whole or not at all."""
        write_bytes_atomic(self._file(part), content)

    def table(self, part: int) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self._file(part)).read()

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, part: int) -> Path:
        return self.folder / f"part-{part:05d}.parquet"
