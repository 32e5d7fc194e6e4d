"""Records kept on disk until they can be delivered: bounded, and whole after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from offramp.errors import ConfigError
from offramp.runtime.spool_segment import HEADER_BYTES, frame, read_records

__all__ = ["Entry", "Spool", "read_spool"]

_log = logging.getLogger(__name__)

_SUFFIX = ".spool"
_CURSOR = "delivered"


class Entry(NamedTuple):
    """Where a record is: the file's number, the offset in it, and its size with header."""

    segment: int
    offset: int
    size: int


class Spool:
    """First in, first out, in a folder of append-only files.

    What `append` has written survives the end of the process, also by SIGKILL. It survives a loss of power
    once its file is full or the spool is closed, which is when files are synchronised; with ``sync`` from
    the moment `append` returns. A torn tail is dropped at the next start, the rest stays. What is
    delivered may be delivered again after a crash, but is never lost.

    `append` never raises: what cannot be written, because the bound is reached or the disk is full, is
    counted as ``lost``, with one warning until something can be written again. Any thread may use it, but
    only one process at a time.

    Parameters
    ----------
    folder : made if it is missing
    max_bytes : of all files together; beyond that new records are lost, old ones stay
    segment_bytes : a file this large is closed and another one begun
    sync : wait for the disk after each record

    Raises
    ------
    ConfigError : the folder cannot be used, another process uses it, or a bound is not positive

    Examples
    --------
    >>> with Spool(getfixture("tmp_path")) as spool:
    ...     spool.append(b"one"), spool.append(b"two")
    ...     entry, payload = spool.head()
    ...     spool.remove(entry)
    ...     payload, len(spool)
    (True, True)
    (b'one', 1)
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_bytes: int = 64 * 1024 * 1024,
        segment_bytes: int = 1024 * 1024,
        sync: bool = False,
    ) -> None:
        if max_bytes <= 0 or segment_bytes <= 0:
            raise ConfigError(f"a spool needs room: max_bytes and segment_bytes must be positive, not {max_bytes}")
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        #: records written, records that could not be, and records delivered since it was opened
        self.stored = self.lost = self.delivered = 0
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._lock = threading.Lock()
        self._told = False
        self._file: int | None = None
        self._entries: deque[Entry] = deque()
        self._sizes: dict[int, int] = {}
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._guard = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot spool here ({error.strerror}); choose another folder") from error
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._guard)
            raise ConfigError(f"{self.folder}: another process spools here; give each device its own folder") from error
        self._load()

    def _load(self) -> None:
        done = _cursor(self.folder)
        for number, file in _segments(self.folder):
            entries = [entry for entry, _ in _entries(number, file) if entry[:2] >= done]
            if entries:
                self._entries.extend(entries)
                self._sizes[number] = file.stat().st_size
            else:
                file.unlink()
        self._last = max(*self._sizes, done[0], 0) if self._sizes else done[0]

    def append(self, payload: bytes) -> bool:
        """Keep a record; False when it is lost."""
        record = frame(payload)
        with self._lock:
            try:
                self._write(record)
            except OSError as error:
                self.lost += 1
                if not self._told:
                    self._told = True
                    _log.warning(
                        "%s: samples that cannot be delivered are lost from now on (%s); make room, or deliver",
                        self.folder,
                        error.strerror,
                    )
                return False
            self.stored += 1
            self._told = False
            return True

    def _write(self, record: bytes) -> None:
        if self.bytes + len(record) > self.max_bytes:
            raise OSError(0, f"the spool's {self.max_bytes} bytes are used")
        if self._file is None:
            number = self._last + 1
            self._file = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._last, self._sizes[number] = number, 0
        begin = self._sizes[self._last]
        try:
            written = 0
            while written < len(record):
                written += os.write(self._file, record[written:])
            if self._sync:
                os.fsync(self._file)
        except OSError:
            self._undo(begin)
            raise
        self._sizes[self._last] = begin + len(record)
        self._entries.append(Entry(self._last, begin, len(record)))
        if self._sizes[self._last] >= self._segment_bytes:
            self._close_segment()

    def _undo(self, begin: int) -> None:
        """Take half a record back; where that fails, leave it to the next start, and begin another file."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, begin)
            os.lseek(self._file, begin, os.SEEK_SET)
        except OSError:
            self._close_segment()

    def _close_segment(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        with contextlib.suppress(OSError):  # it is as safe as it can be
            os.fsync(file)
        os.close(file)
        if not self._sizes[self._last]:
            self._unlink(self._last)

    def head(self) -> tuple[Entry, bytes] | None:
        """The oldest record; ``None`` when there is none. Damaged ones are passed over."""
        with self._lock:
            while self._entries:
                entry = self._entries[0]
                payload = self._read(entry)
                if payload is not None:
                    return entry, payload
                self.lost += 1
                self._drop_head()
        return None

    def _read(self, entry: Entry) -> bytes | None:
        try:
            with self._path(entry.segment).open("rb") as file:
                file.seek(entry.offset)
                content = file.read(entry.size)
        except OSError:
            return None
        return next((payload for offset, payload in read_records(content) if not offset), None)

    def remove(self, entry: Entry) -> None:
        """The oldest record is delivered."""
        with self._lock:
            if self._entries and self._entries[0] == entry:
                self.delivered += 1
                self._drop_head()

    def _drop_head(self) -> None:
        entry = self._entries.popleft()
        if self._entries and self._entries[0].segment == entry.segment:
            self._mark(entry.segment, entry.offset + entry.size)
            return
        if entry.segment == self._last:
            self._close_segment()
        self._mark(entry.segment + 1, 0)
        self._unlink(entry.segment)

    def _mark(self, segment: int, offset: int) -> None:
        """Write how far all is delivered; where that fails, it is delivered again after the next start."""
        temporary = self.folder / f".{_CURSOR}"
        with contextlib.suppress(OSError):
            temporary.write_text(f"{segment} {offset}\n")
            temporary.replace(self.folder / _CURSOR)

    def _unlink(self, segment: int) -> None:
        self._sizes.pop(segment, None)
        with contextlib.suppress(OSError):
            self._path(segment).unlink()

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:08d}{_SUFFIX}"

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(self._sizes.values())

    def __len__(self) -> int:
        """Records that wait."""
        return len(self._entries)

    def counts(self) -> dict[str, float]:
        """What happened since it was opened, and what waits."""
        return {
            "spool.stored": self.stored,
            "spool.lost": self.lost,
            "spool.delivered": self.delivered,
            "spool.waiting": len(self),
        }

    def close(self) -> None:
        """Synchronise and release the folder; may be called twice."""
        with self._lock:
            self._close_segment()
            if self._guard >= 0:
                os.close(self._guard)
                self._guard = -1

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Spool({str(self.folder)!r}, max_bytes={self.max_bytes}, waiting={len(self)})"


def read_spool(folder: str | Path) -> Iterator[bytes]:
    """Payloads that wait in a spool nobody uses right now, oldest first; nothing is removed.

    Raises
    ------
    ConfigError : there is no such folder
    """
    where = Path(folder)
    if not where.is_dir():
        raise ConfigError(f"{where}: no such spool; name the folder given to 'offramp run --spool'")
    done = _cursor(where)
    for number, file in _segments(where):
        for entry, payload in _entries(number, file):
            if entry[:2] >= done:
                yield payload


def _segments(folder: Path) -> list[tuple[int, Path]]:
    return sorted((int(file.stem), file) for file in folder.glob(f"*{_SUFFIX}") if file.stem.isdigit())


def _entries(number: int, file: Path) -> Iterator[tuple[Entry, bytes]]:
    for offset, payload in read_records(file.read_bytes()):
        yield Entry(number, offset, HEADER_BYTES + len(payload)), payload


def _cursor(folder: Path) -> tuple[int, int]:
    """File number and offset before which all is delivered."""
    try:
        segment, offset = map(int, (folder / _CURSOR).read_text().split())
    except (OSError, ValueError):
        return 0, 0
    return segment, offset
