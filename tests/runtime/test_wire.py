"""Large fields are found without copying them, and what cannot be told apart for certain is left to the library."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.wire import MOST_FIELDS, length, split

TAG = pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | 2


def test_a_length_is_what_the_library_writes() -> None:
    for count in (0, 1, 127, 128, 300, 16_383, 16_384, 2**21, 2**21 - 1):
        whole = pb.ModelInferRequest(raw_input_contents=[bytes(count)]).SerializeToString()
        assert whole.startswith(bytes((TAG,)) + length(count))
        assert len(whole) == 1 + len(length(count)) + count


@given(
    st.lists(st.binary(max_size=300), max_size=4),
    st.text(max_size=20),
    st.none() | st.floats(allow_nan=False),
    st.binary(max_size=5),
)
def test_the_parts_mean_the_whole(contents: list[bytes], name: str, deadline_ms: float | None, before: bytes) -> None:
    message = pb.ModelInferRequest(id=name, raw_input_contents=contents)
    if deadline_ms is not None:
        message.parameters["deadline_ms"].double_param = deadline_ms
    found = split(before + message.SerializeToString(), len(before), TAG)
    assert found is not None
    rest = pb.ModelInferRequest.FromString(found[1])
    assert not rest.raw_input_contents
    rest.raw_input_contents.extend(map(bytes, found[0]))
    assert rest == message


@given(st.binary(max_size=60))
def test_whatever_is_split_is_read_the_same_as_a_whole(data: bytes) -> None:
    found = split(data, 0, TAG)
    if found is None:
        return
    try:
        whole = pb.ModelInferRequest.FromString(data)
    except DecodeError:  # a field that is split off as it is may be damaged inside
        with pytest.raises(DecodeError):
            pb.ModelInferRequest.FromString(found[1])
        return
    assert list(whole.raw_input_contents) == [bytes(content) for content in found[0]]


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a",  # no length
        b"\x3a\x05abcd",  # cut short
        b"\x3a\x80\x80\x80\x80\x01",  # a length of more bytes than are read
        b"\x38\x01",  # a number
        b"\xba\x01\x01a",  # a tag of two bytes
        b"\x02\x00",  # field 0
        b"\x1a\x00" * (MOST_FIELDS + 1),
    ],
)
def test_what_is_not_plain_is_left_to_the_library(data: bytes) -> None:
    assert split(data, 0, TAG) is None
