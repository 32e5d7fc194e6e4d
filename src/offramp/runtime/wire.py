"""The encoding of Protocol Buffers, as far as it takes to handle large messages without copying them.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

__all__ = ["length", "split"]

#: the most fields of a message that are looked at one by one
MOST_FIELDS = 32
#: of the low bits of a tag: a length follows, and so many bytes
_LENGTH_DELIMITED = 2
#: bytes of a length that are read
_LONGEST = 4


def length(count: int) -> bytes:
    """A length as a varint.

    Examples
    --------
    >>> length(5), length(300)
    (b'\\x05', b'\\xac\\x02')
    """
    if count < 0x80:
        return bytes((count,))
    parts = bytearray()
    while count >= 0x80:
        parts.append(count & 0x7F | 0x80)
        count >>= 7
    parts.append(count)
    return bytes(parts)


def split(data: bytes, begin: int, tag: int) -> tuple[list[memoryview], bytes] | None:
    """The contents of every field with this one-byte tag, as views, and all other fields, still encoded.

    Parameters
    ----------
    data : a serialised message
    begin : where to begin, at a field
    tag : of a field of bytes

    Returns
    -------
    ``None`` where there are many fields, one of another kind than bytes, text or message, a tag of several bytes, or a
    length that does not fit: then the message is to be read as a whole.

    Examples
    --------
    >>> contents, rest = split(b"\\x3a\\x02ab\\x1a\\x01c", 0, 0x3A)
    >>> [bytes(content) for content in contents], rest
    ([b'ab'], b'\\x1a\\x01c')
    """
    view, at = memoryview(data), begin
    contents: list[memoryview] = []
    rest = b""
    for _ in range(MOST_FIELDS):
        if at == len(data):
            return contents, rest
        found = data[at]
        if found & 7 != _LENGTH_DELIMITED or not 8 <= found < 0x80:
            return None
        content, size = _length_at(data, at + 1)
        end = content + size
        if not at < content <= end <= len(data):
            return None
        if found == tag:
            contents.append(view[content:end])
        else:
            rest += data[at:end]
        at = end
    return None


def _length_at(data: bytes, at: int) -> tuple[int, int]:
    """Where what follows a varint begins, and the varint's value; (0, 0) where there is none."""
    value = 0
    for shift, part in enumerate(data[at : at + _LONGEST]):
        value |= (part & 0x7F) << 7 * shift
        if part < 0x80:
            return at + shift + 1, value
    return 0, 0
