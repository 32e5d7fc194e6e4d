"""Records files: Parquet, written part by part and read the same way."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from offramp.errors import RecordMismatch

__all__ = ["SCHEMA_VERSION", "RecordsFile", "table_bytes", "write_tables"]

SCHEMA_VERSION = 1

_META = "offramp"
_GROUP_BYTES = 4 << 20  # a row group is written when so much has come together
_GROUP_ROWS = 1 << 16


def write_tables(path: Path, tables: Iterable[Any], meta: Mapping[str, object]) -> None:
    """Write Arrow tables of one schema as one Parquet file (zstd), atomically.

    No more than a row group (4 MiB or one table) and one table are in memory.

    Raises
    ------
    OSError : no space or no permission; a file that was there is left as it was
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(temporary, _grouped(tables), meta)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def table_bytes(table: Any) -> bytes:
    """A table as the bytes of a small Parquet file of its own."""
    buffer = io.BytesIO()
    _write(buffer, [table], {})
    return buffer.getvalue()


def _write(target: Any, tables: Iterable[Any], meta: Mapping[str, object]) -> None:
    import pyarrow.parquet as pq

    writer = None
    try:
        for table in tables:
            if writer is None:
                schema = table.schema.with_metadata({_META: json.dumps({"schema_version": SCHEMA_VERSION, **meta})})
                writer = pq.ParquetWriter(target, schema, compression="zstd", **_encoding(schema))
            writer.write_table(table.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()


def _encoding(schema: Any) -> dict[str, list[str]]:
    """Floats byte by byte, which zstd likes best; small integers by dictionary."""
    floats: list[str] = []
    others: list[str] = []
    for field in schema:
        inner = getattr(field.type, "value_type", field.type)
        name = f"{field.name}.list.element" if hasattr(field.type, "value_field") else field.name
        (floats if "float" in str(inner) else others).append(name)
    return {"use_byte_stream_split": floats, "use_dictionary": others}


def _grouped(tables: Iterable[Any]) -> Iterator[Any]:
    """Small tables put together to row groups of a good size."""
    import pyarrow as pa

    waiting: list[Any] = []
    for table in tables:
        waiting.append(table)
        if sum(t.nbytes for t in waiting) >= _GROUP_BYTES or sum(len(t) for t in waiting) >= _GROUP_ROWS:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


class RecordsFile:
    """A records file, opened: its metadata, and its rows a row group at a time.

    Raises
    ------
    RecordMismatch : the file is missing, damaged, no records file, or of a newer version
    """

    def __init__(self, path: str | Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = Path(path)
        if not self.path.is_file():
            raise RecordMismatch(f"{self.path}: no such records file; 'offramp record CASCADE' makes one")
        try:
            self._parquet = pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged() from error
        self.meta = self._read_meta((self._parquet.schema_arrow.metadata or {}).get(_META.encode()))

    def __len__(self) -> int:
        return int(self._parquet.metadata.num_rows)

    def tables(self) -> Iterator[Any]:
        """One Arrow table for each row group, in order; at least one."""
        import pyarrow as pa

        if not self._parquet.num_row_groups:
            yield self._parquet.schema_arrow.empty_table()
        for group in range(self._parquet.num_row_groups):
            try:
                table = self._parquet.read_row_group(group)
            except (pa.ArrowException, OSError) as error:
                raise self._damaged() from error
            yield table

    def _damaged(self) -> RecordMismatch:
        return RecordMismatch(f"{self.path}: not a Parquet file, or damaged; run 'offramp record' again")

    def _read_meta(self, raw: bytes | None) -> dict[str, Any]:
        if raw is None:
            raise RecordMismatch(f"{self.path}: a Parquet file, but not one of offramp's records")
        try:
            meta: dict[str, Any] = json.loads(raw)
            version = int(meta.pop("schema_version"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordMismatch(f"{self.path}: damaged records ({error}); run 'offramp record' again") from error
        if version > SCHEMA_VERSION:
            raise RecordMismatch(
                f"{self.path}: schema version {version} is newer than {SCHEMA_VERSION}; upgrade offramp"
            )
        return meta
