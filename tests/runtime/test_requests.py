"""Requests: what is built is read back, and garbage only ever raises a named error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.cascade.manifest import Manifest
from offramp.cascade.store import open_cascade
from offramp.codecs.registry import codec_names
from offramp.errors import ConfigError, DeadlineExceeded, OfframpError, PayloadTooLarge, SampleError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request, parse_header, parse_tensors
from offramp.runtime.status import UnknownModel
from offramp.runtime.tensors import codec_named
from tests.support.tiny import tiny_rows


@pytest.fixture
def manifest(tiny_cascade: Path) -> Manifest:
    return open_cascade(tiny_cascade).manifest


def request(manifest: Manifest, rows: int = 2, codec: str = "raw", deadline_s: float | None = 0.5) -> Any:
    tensor = tiny_rows(rows)
    used = codec_named(codec)
    return build_request(manifest.name, 0, "abc", deadline_s, used, manifest.inputs, [tensor], [used.encode(tensor)])


@pytest.mark.parametrize("codec", codec_names())
def test_a_request_is_read_back(manifest: Manifest, codec: str) -> None:
    message = pb.ModelInferRequest.FromString(request(manifest, codec=codec).SerializeToString())
    header = parse_header(message, manifest)
    (tensor,) = parse_tensors(message, header, manifest)
    assert (header.cut, header.plan_id, header.codec, header.rows) == (0, "abc", codec, 2)
    assert header.deadline_s == pytest.approx(0.5)
    expected = codec_named(codec).decode(codec_named(codec).encode(tiny_rows(2)), "float32", (2, 4))
    np.testing.assert_array_equal(tensor, expected)


def test_parameters_may_be_left_out(manifest: Manifest) -> None:
    message = request(manifest)
    message.parameters.clear()
    header = parse_header(message, manifest)
    assert (header.cut, header.plan_id, header.deadline_s, header.codec) == (0, None, None, "raw")


def test_typed_contents_are_read(manifest: Manifest) -> None:
    message = request(manifest, rows=1)
    del message.raw_input_contents[:]
    message.inputs[0].contents.fp32_contents.extend([1.0, 2.0, 3.0, 4.0])
    (tensor,) = parse_tensors(message, parse_header(message, manifest), manifest)
    np.testing.assert_array_equal(tensor, np.array([[1, 2, 3, 4]], np.float32))
    message.inputs[0].contents.fp32_contents.append(5.0)
    with pytest.raises(SampleError, match="needs 4 values, not 5"):
        parse_tensors(message, parse_header(message, manifest), manifest)


def _set(path: str, value: Any) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        name, kind = path.split(".")
        message.parameters[name].Clear()
        setattr(message.parameters[name], kind, value)

    return change


def _input(**changes: Any) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        for key, value in changes.items():
            if key == "shape":
                del message.inputs[0].shape[:]
                message.inputs[0].shape.extend(value)
            else:
                setattr(message.inputs[0], key, value)

    return change


def _raw(data: bytes) -> Callable[[Any], None]:
    return lambda message: message.raw_input_contents.__setitem__(0, data)


WRONG: list[tuple[Callable[[Any], None], type[OfframpError], str]] = [
    (lambda m: setattr(m, "model_name", "other"), UnknownModel, "no model 'other' here"),
    (_set("segment.int64_param", 2), SampleError, r"0\.\.1, not 2"),
    (_set("segment.int64_param", -1), SampleError, r"0\.\.1, not -1"),
    (_set("segment.string_param", "0"), ConfigError, "must be an integer"),
    (_set("plan.int64_param", 3), ConfigError, "must be a string"),
    (_set("plan.string_param", "x" * 81), ConfigError, "80 characters"),
    (_set("codec.string_param", "zst"), ConfigError, "zstd"),
    (_set("deadline_ms.double_param", float("nan")), ConfigError, "finite"),
    (_set("deadline_ms.bool_param", True), ConfigError, "finite"),
    (_set("deadline_ms.double_param", 0.0), DeadlineExceeded, "no time left"),
    (_input(name="y"), SampleError, r"must be \['x'\], not \['y'\]"),
    (_input(datatype="FP64"), SampleError, "must be FP32, not 'FP64'"),
    (_input(shape=(2, 5)), SampleError, r"shape \(n, 4\), not \(2, 5\)"),
    (_input(shape=(0, 4)), SampleError, r"not \(0, 4\)"),
    (_input(shape=(-1, 4)), SampleError, r"not \(-1, 4\)"),
    (_input(shape=(3, 4)), SampleError, "has 48 bytes, but 32 were sent"),
    (_input(shape=(2**40, 4)), PayloadTooLarge, "at most"),
    (_raw(b"123"), SampleError, "3 were sent"),
    (lambda m: m.raw_input_contents.append(b""), SampleError, "2 raw_input_contents for 1"),
    (lambda m: m.inputs.add(name="z"), SampleError, "inputs must be"),
    (lambda m: m.outputs.add(name="logits"), ConfigError, "unknown output 'logits'"),
    (_raw(np.full(8, np.nan, "<f4").tobytes()), SampleError, "NaN or infinity in row 0"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), WRONG)
def test_wrong_requests_are_named(
    manifest: Manifest, change: Callable[[Any], None], error: type[OfframpError], sentence: str
) -> None:
    message = request(manifest)
    change(message)
    with pytest.raises(error, match=sentence):
        parse_tensors(message, parse_header(message, manifest), manifest)


def test_too_many_rows(manifest: Manifest) -> None:
    with pytest.raises(PayloadTooLarge, match="5000 rows"):
        parse_header(request(manifest, rows=5000), manifest)


@pytest.mark.parametrize("shape", ["", "2", "2,4,1", "a,b", "2,-4", "1" * 30, ",".join(["1"] * 99)])
def test_encoded_tensors_need_their_shape(manifest: Manifest, shape: str) -> None:
    message = request(manifest, codec="zstd")
    message.inputs[0].parameters["shape"].string_param = shape
    with pytest.raises(SampleError):
        parse_header(message, manifest)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.binary(max_size=200))
def test_garbage_payloads_raise_named_errors(manifest: Manifest, data: bytes) -> None:
    for codec in codec_names():
        message = request(manifest, codec=codec)
        message.raw_input_contents[0] = data
        if codec != "raw":
            message.inputs[0].shape[0] = len(data)
        with contextlib.suppress(OfframpError):
            parse_tensors(message, parse_header(message, manifest), manifest)


parameter = st.one_of(
    st.builds(lambda v: pb.InferParameter(int64_param=v), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda v: pb.InferParameter(double_param=v), st.floats()),
    st.builds(lambda v: pb.InferParameter(string_param=v), st.text(max_size=100)),
    st.builds(lambda v: pb.InferParameter(bool_param=v), st.booleans()),
    st.just(pb.InferParameter()),
)


@FUZZ
@given(
    parameters=st.dictionaries(st.sampled_from(["segment", "plan", "codec", "deadline_ms", "other"]), parameter),
    names=st.lists(st.sampled_from(["x", "h0", ""]), max_size=3),
    datatype=st.sampled_from(["FP32", "UINT8", "BYTES", ""]),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20),
    contents=st.lists(st.binary(max_size=64), max_size=3),
)
def test_garbage_messages_raise_named_errors(
    manifest: Manifest,
    parameters: dict[str, pb.InferParameter],
    names: list[str],
    datatype: str,
    shape: list[int],
    contents: list[bytes],
) -> None:
    message = pb.ModelInferRequest(model_name="tiny", raw_input_contents=contents)
    for key, value in parameters.items():
        message.parameters[key].CopyFrom(value)
    for name in names:
        message.inputs.add(name=name, datatype=datatype, shape=shape)
    with contextlib.suppress(OfframpError):
        parse_tensors(message, parse_header(message, manifest), manifest)


@FUZZ
@given(data=st.binary(max_size=300))
def test_bytes_that_parse_raise_named_errors(manifest: Manifest, data: bytes) -> None:
    message = pb.ModelInferRequest()
    try:
        message.ParseFromString(data)
    except Exception:  # not a message at all: gRPC answers that by itself
        return
    with contextlib.suppress(OfframpError):
        parse_tensors(message, parse_header(message, manifest), manifest)
