"""One file of a spool: records one after the other, each with its length and checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

__all__ = ["HEADER_BYTES", "frame", "read_records"]

#: magic, length of the payload in bytes, CRC-32 of length and payload
_HEADER = struct.Struct("<4sII")
_MAGIC = b"ofs1"

HEADER_BYTES = _HEADER.size


def frame(payload: bytes) -> bytes:
    """A record as it stands in the file."""
    return _HEADER.pack(_MAGIC, len(payload), _checksum(payload)) + payload


def read_records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, payload) of every whole record; what is torn or damaged is passed over.

    A record counts only with the right checksum. After damage reading goes on at the next record that has one.

    Examples
    --------
    >>> content = frame(b"one") + frame(b"two") + frame(b"three")[:-1]
    >>> [payload for _, payload in read_records(content)]
    [b'one', b'two']
    """
    offset = content.find(_MAGIC)
    while offset >= 0:
        payload = _record_at(content, offset)
        if payload is None:
            offset = content.find(_MAGIC, offset + 1)
        else:
            yield offset, payload
            offset = content.find(_MAGIC, offset + HEADER_BYTES + len(payload))


def _record_at(content: bytes, offset: int) -> bytes | None:
    if offset + HEADER_BYTES > len(content):
        return None
    _, size, checksum = _HEADER.unpack_from(content, offset)
    begin = offset + HEADER_BYTES
    if begin + size > len(content):
        return None
    payload = content[begin : begin + size]
    return payload if _checksum(payload) == checksum else None


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "little")))
