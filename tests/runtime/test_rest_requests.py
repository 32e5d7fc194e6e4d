"""Bodies of REST requests: the same message gRPC brings, or a named error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from offramp.errors import ConfigError, OfframpError, PayloadTooLarge, SampleError
from offramp.runtime import rest_requests
from offramp.runtime.rest_requests import parse_rest

DTYPES = {"FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "INT32": "<i4", "INT8": "i1", "UINT8": "u1", "BOOL": "?"}


def arrays() -> st.SearchStrategy[tuple[str, NDArray[Any]]]:
    """A datatype and an array of it, of up to three dimensions."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)

    def of(datatype: str) -> st.SearchStrategy[tuple[str, NDArray[Any]]]:
        elements = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else None
        return st.tuples(st.just(datatype), hnp.arrays(DTYPES[datatype], shapes, elements=elements))

    return st.sampled_from(sorted(DTYPES)).flatmap(of)


def body(**entry: Any) -> bytes:
    """A request with one tensor ``x``, FP32 (1, 2) unless told otherwise."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]} | entry
    return json.dumps({"inputs": [{k: v for k, v in tensor.items() if v is not None}]}).encode()


@given(arrays(), st.booleans())
def test_json_flat_or_nested_is_the_tensor(case: tuple[str, NDArray[Any]], nested: bool) -> None:
    datatype, array = case
    data = array.tolist() if nested else array.reshape(-1).tolist()
    message = parse_rest(body(datatype=datatype, shape=list(array.shape), data=data), None, "m", "1").message
    assert (message.model_name, message.model_version, message.inputs[0].datatype) == ("m", "1", datatype)
    assert tuple(message.inputs[0].shape) == array.shape
    assert message.raw_input_contents[0] == array.tobytes()


@given(st.lists(arrays(), min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_binary_tensors_follow_in_order(cases: list[tuple[str, NDArray[Any]]], in_json: list[bool]) -> None:
    inputs, behind = [], b""
    for index, (datatype, array) in enumerate(cases):
        entry: dict[str, Any] = {"name": f"t{index}", "datatype": datatype, "shape": list(array.shape)}
        if in_json[index]:
            entry["data"] = array.tolist()
        else:
            entry["parameters"] = {"binary_data_size": array.nbytes}
            behind += array.tobytes()
        inputs.append(entry)
    head = json.dumps({"inputs": inputs}).encode()
    message = parse_rest(head + behind, len(head), "m").message
    assert [bytes(content) for content in message.raw_input_contents] == [array.tobytes() for _, array in cases]
    assert not any(tensor.parameters for tensor in message.inputs)


def test_parameters_keep_their_kind() -> None:
    document = {"id": "7", "parameters": {"segment": 1, "deadline_ms": 2.5, "plan": "p", "stamps": True}, "inputs": []}
    message = parse_rest(json.dumps(document).encode(), None, "m").message
    kinds = {name: p.WhichOneof("parameter_choice") for name, p in message.parameters.items()}
    assert message.id == "7"
    assert kinds == {
        "segment": "int64_param", "deadline_ms": "double_param", "plan": "string_param", "stamps": "bool_param",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outputs", "default", "binary"),
    [
        ([], False, frozenset()),
        ([], True, None),
        ([("label", None), ("exit", True)], False, frozenset({"exit"})),
        ([("label", None), ("exit", False)], True, frozenset({"label"})),
    ],
)
def test_which_outputs_come_in_binary(
    outputs: list[tuple[str, bool | None]], default: bool, binary: frozenset[str] | None
) -> None:
    document = {
        "parameters": {"binary_data_output": default},
        "inputs": [],
        "outputs": [{"name": n} | ({} if b is None else {"parameters": {"binary_data": b}}) for n, b in outputs],
    }
    request = parse_rest(json.dumps(document).encode(), None, "m")
    assert request.binary == binary
    assert [output.name for output in request.message.outputs] == [name for name, _ in outputs]
    assert not request.message.parameters


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"{", ConfigError, "not valid JSON"),
        (b"[]", ConfigError, "must be a JSON object"),
        (b"\xff", ConfigError, "not valid JSON"),
        (b"[" * 100_000, ConfigError, "not valid JSON"),
        (b'{"inputs": {}}', ConfigError, "'inputs' must be a list"),
        (b'{"inputs": [{"datatype": "FP32"}]}', ConfigError, "object with a 'name'"),
        (b'{"inputs": [], "parameters": {"segment": null}}', ConfigError, "parameter 'segment' must be"),
        (b'{"inputs": [], "parameters": {"segment": 99999999999999999999}}', ConfigError, "'segment' must be"),
        (b'{"inputs": [], "parameters": {"sequence_id": 1}}', ConfigError, "extension behind"),
        (body(data=None), ConfigError, "neither 'data' nor"),
        (body(shape="1,2"), ConfigError, "list of whole numbers"),
        (body(shape=[True, 2]), ConfigError, "list of whole numbers"),
        (body(shape=[-1, 2]), SampleError, "zero and more"),
        (body(shape=[1, 3]), SampleError, "needs 3 values, not 2"),
        (body(data=[[1], [2]]), SampleError, "in lists of (2, 1)"),
        (body(data=[[1, 2], [3]]), SampleError, "nested as the shape says"),
        (body(data=[1, "2"]), SampleError, "FP32 values only"),
        (body(data=[1, None]), SampleError, "FP32 values only"),
        (body(data=[1, 10**30], datatype="INT64"), SampleError, "INT64 values only"),
        (body(data=[1, 300], datatype="UINT8"), SampleError, "outside of UINT8"),
        (body(data=[1, 2.5], datatype="INT32"), SampleError, "INT32 values only"),
        (body(data=[1, 2], datatype="BYTES"), SampleError, "datatype must be one of"),
        (body(parameters={"binary_data_size": 8}), ConfigError, "there must be no 'data'"),
        (body(data=None, parameters={"binary_data_size": 8}), ConfigError, "of which 0 are left"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [NaN]}]}', ConfigError, "NaN is no"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, kind: type[OfframpError], says: str) -> None:
    with pytest.raises(kind) as caught:
        parse_rest(content, None, "m")
    assert says in str(caught.value)


def test_bytes_nobody_asked_for_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 bytes are left"):
        parse_rest(b'{"inputs": []}abc', 14, "m")
    with pytest.raises(ConfigError, match="the body has 2 bytes"):
        parse_rest(b"{}", 3, "m")


def test_json_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_requests, "MAX_JSON_BYTES", 10)
    with pytest.raises(PayloadTooLarge, match="in binary"):
        parse_rest(body(), None, "m")


@given(st.binary(max_size=200), st.one_of(st.none(), st.integers(0, 250)))
def test_anything_else_is_a_named_error(content: bytes, json_bytes: int | None) -> None:
    with pytest.raises(OfframpError) as refused:
        parse_rest(content, json_bytes, "m")
    assert str(refused.value)


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=10,
)


@given(st.sampled_from(["name", "datatype", "shape", "data", "parameters"]), json_values)
def test_any_field_may_hold_anything(field: str, value: Any) -> None:
    found: list[object] = []
    try:
        found.append(parse_rest(body(**{field: value}), None, "m"))
    except OfframpError as error:
        found.append(str(error))
    assert found[0]
