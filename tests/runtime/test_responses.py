"""Responses: what is built is read back, and a peer's garbage is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.cascade.manifest import Manifest
from offramp.cascade.store import open_cascade
from offramp.errors import DeadlineExceeded, LinkDown, PeerRefused, SampleError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import build_response, parse_response
from offramp.runtime.rows import Rows
from offramp.runtime.status import error_from, status_of, stream_error
from offramp.runtime.tensors import decode_bytes_rows, encode_bytes_rows


@pytest.fixture
def manifest(tiny_cascade: Path) -> Manifest:
    return open_cascade(tiny_cascade).manifest


def answered() -> Rows:
    rows = Rows.unanswered(2, 3)
    rows.label[:] = [1, 2]
    rows.probabilities[:] = [[0.1, 0.8, 0.1], [0.0, 0.3, 0.7]]
    rows.confidence[:] = [0.8, 0.7]
    rows.exit[:] = [0, 1]
    rows.tier, rows.degraded = ["edge", "cloud"], ["", "link_down"]
    rows.compute_s, rows.queue_s = {"edge": 0.25, "cloud": 0.5}, {"edge": 0.125}
    return rows


def test_a_response_is_read_back(manifest: Manifest) -> None:
    message = pb.ModelInferResponse.FromString(build_response("tiny", "7", answered()).SerializeToString())
    rows = parse_response(message, 2, manifest, "edge")
    assert message.id == "7"
    assert rows.label.tolist() == [1, 2]
    assert rows.exit.tolist() == [0, 1]
    assert rows.tier == ["edge", "cloud"]
    assert rows.degraded == ["", "link_down"]
    assert rows.compute_s == {"edge": 0.25, "cloud": 0.5}
    assert rows.queue_s == {"edge": 0.125}
    np.testing.assert_array_equal(rows.probabilities, answered().probabilities)


def test_a_plain_model_server_is_enough(manifest: Manifest) -> None:
    """It knows nothing of exits and tiers."""
    message = build_response("tiny", "7", answered(), ["label", "probabilities", "confidence"])
    rows = parse_response(message, 2, manifest, "triton")
    assert rows.exit.tolist() == [1, 1]
    assert rows.tier == ["triton", "triton"]
    assert rows.degraded == ["", ""]


WRONG: list[Callable[[Any], None]] = [
    lambda m: m.raw_output_contents.pop(),
    lambda m: m.raw_output_contents.__setitem__(0, b"1"),
    lambda m: setattr(m.outputs[0], "datatype", "INT32"),
    lambda m: setattr(m.outputs[0], "name", "other"),
    lambda m: m.outputs[1].shape.__setitem__(1, 4),
    lambda m: m.raw_output_contents.__setitem__(0, np.array([0, 3], "<i8").tobytes()),
    lambda m: m.raw_output_contents.__setitem__(3, np.array([0, -1], "<i8").tobytes()),
    lambda m: m.raw_output_contents.__setitem__(4, b"\xff\xff\xff\xff"),
    lambda m: m.raw_output_contents.__setitem__(4, b"\x01\x00\x00\x00\xff\x01\x00\x00\x00\xff"),
]


@pytest.mark.parametrize("change", WRONG)
def test_wrong_responses_are_refused(manifest: Manifest, change: Callable[[Any], None]) -> None:
    message = build_response("tiny", "7", answered())
    change(message)
    with pytest.raises(PeerRefused, match="edge"):
        parse_response(message, 2, manifest, "edge")


@settings(max_examples=200)
@given(st.lists(st.text(max_size=5), max_size=5))
def test_bytes_rows_round_trip(rows: list[str]) -> None:
    assert decode_bytes_rows(encode_bytes_rows(rows), len(rows)) == rows


@settings(max_examples=200)
@given(st.binary(max_size=40), st.integers(0, 5))
def test_bytes_rows_of_garbage(data: bytes, rows: int) -> None:
    with contextlib.suppress(SampleError):
        assert len(decode_bytes_rows(data, rows)) == rows


@pytest.mark.parametrize("error", [LinkDown("gone"), DeadlineExceeded("late"), PeerRefused("no")])
def test_errors_survive_the_wire(error: Exception) -> None:
    back = error_from(stream_error(error), "peer")
    assert type(back) is type(error)
    assert str(back) == f"peer: {error}"


def test_foreign_errors_do_not_leak() -> None:
    assert stream_error(KeyError("secret")) == "INTERNAL: the server failed (KeyError)"
    assert status_of(KeyError()).name == "INTERNAL"
    assert str(error_from("no code at all", "peer")) == "peer: no code at all"
