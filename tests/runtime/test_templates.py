"""Requests of which most is the same each time: joined they mean the whole, and a server need not check them twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.cascade.store import Cascade
from offramp.runtime.answering import Answering
from offramp.runtime.parameters import deadline_parameter
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import Header, parse_header
from offramp.runtime.route import Route
from offramp.runtime.templates import KEPT, KnownRequests, RequestTemplates
from offramp.runtime.tier import Tier
from tests.runtime.support import plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def route_of(cascade: Cascade, codec: str = "raw") -> Route:
    return Tier(cascade, "device", [plan_of(cascade, ("device", "cloud", "cloud"), (0.5, 0.5), codec)]).route()


def parts_of(
    cascade: Cascade, route: Route, templates: RequestTemplates, request_id: str, rows: int = 2, **options: Any
) -> tuple[bytes, pb.ModelInferRequest]:
    features = np.arange(rows * 8, dtype=np.float32).reshape(rows, 8)
    constant, rest = templates.parts(route, 1, [features], [route.codec.encode(features)], **options)
    rest.id = request_id
    rest.parameters["deadline_ms"].double_param = 250.0
    return constant, rest


def learned(cascade: Cascade) -> tuple[KnownRequests, Header, RequestTemplates, Route]:
    known, templates, route = KnownRequests(), RequestTemplates(cascade.manifest), route_of(cascade)
    constant, rest = parts_of(cascade, route, templates, "1")
    arrival = known.read(constant + rest.SerializeToString())
    assert arrival.header is None
    header = parse_header(arrival.message, cascade.manifest)
    known.learn(arrival, header)
    return known, header, templates, route


@pytest.mark.parametrize("codec", ["raw", "zstd"])
@pytest.mark.parametrize("labels", [None, np.array([[1, 2]])])
def test_the_parts_mean_the_whole(cascade: Cascade, codec: str, labels: Any) -> None:
    templates, route = RequestTemplates(cascade.manifest), route_of(cascade, codec)
    for request_id in ("1", "2"):
        constant, rest = parts_of(cascade, route, templates, request_id, earlier_labels=labels, stamped=True)
        message = pb.ModelInferRequest.FromString(constant + rest.SerializeToString())
        header = parse_header(message, cascade.manifest)
        assert (message.id, header.cut, header.plan_id, header.rows) == (request_id, 1, route.plan_id, 2)
        assert (header.codec, header.stamped, header.deadline_s) == (codec, True, 0.25)
        assert header.has_labels == (labels is not None)


def test_the_second_of_a_kind_is_known(cascade: Cascade) -> None:
    known, header, templates, route = learned(cascade)
    constant, rest = parts_of(cascade, route, templates, "2")
    data = constant + rest.SerializeToString()
    arrival = known.read(data)
    assert arrival.header == header
    assert (arrival.message.id, arrival.size) == ("2", len(data))
    assert deadline_parameter(arrival.message) == 0.25
    assert [bytes(content) for content in arrival.contents] == list(rest.raw_input_contents)


def test_another_shape_plan_or_wish_is_not(cascade: Cascade) -> None:
    known, _, templates, route = learned(cascade)
    for options in ({"rows": 3}, {"stamped": True}):
        constant, rest = parts_of(cascade, route, templates, "2", **options)
        assert known.read(constant + rest.SerializeToString()).header is None
    constant, rest = parts_of(cascade, route_of(cascade, "zstd"), templates, "2")
    assert known.read(constant + rest.SerializeToString()).header is None


@pytest.mark.parametrize(
    "change",
    [
        lambda rest: rest.raw_input_contents.append(b"more"),
        lambda rest: rest.raw_input_contents.__setitem__(0, b"short"),
        lambda rest: rest.parameters["segment"].__setattr__("int64_param", 2),
        lambda rest: rest.parameters["traceparent"].__setattr__("string_param", "00-1-1-01"),
        lambda rest: rest.inputs.add(name="other"),
        lambda rest: rest.outputs.add(name="label"),
        lambda rest: rest.__setattr__("model_name", "another"),
        lambda rest: rest.__setattr__("model_version", "7"),
    ],
)
def test_what_adds_or_overrides_is_read_as_a_whole(cascade: Cascade, change: Any) -> None:
    known, _, templates, route = learned(cascade)
    constant, rest = parts_of(cascade, route, templates, "2")
    change(rest)
    data = constant + rest.SerializeToString()
    arrival = known.read(data)
    assert arrival.header is None
    assert arrival.message == pb.ModelInferRequest.FromString(data)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(data=st.data())
def test_no_damage_makes_a_request_pass_for_another(cascade: Cascade, data: st.DataObject) -> None:
    """Whatever is taken for known would be read the same if it were not."""
    known, _, templates, route = learned(cascade)
    constant, rest = parts_of(cascade, route, templates, "2")
    message = bytearray(constant + rest.SerializeToString())
    for _ in range(data.draw(st.integers(0, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    begin, end = (data.draw(st.integers(0, len(message))) for _ in range(2))
    damaged = bytes(message[:end] + message[begin:]) if data.draw(st.booleans()) else bytes(message)
    try:
        arrival = known.read(damaged)
    except DecodeError:
        return
    if arrival.header is not None:
        whole = pb.ModelInferRequest.FromString(damaged)
        read = parse_header(whole, cascade.manifest)
        assert replace(read, deadline_s=None) == replace(arrival.header, deadline_s=None)
        assert whole.id == arrival.message.id
        assert list(whole.raw_input_contents) == [bytes(content) for content in arrival.contents]
        assert whole.parameters["deadline_ms"] == arrival.message.parameters["deadline_ms"]


def test_others_that_order_their_fields_differently_are_never_known(cascade: Cascade) -> None:
    known, _, templates, route = learned(cascade)
    constant, rest = parts_of(cascade, route, templates, "2")
    data = rest.SerializeToString() + constant
    for _ in range(2):
        arrival = known.read(data)
        assert arrival.header is None
        known.learn(arrival, parse_header(arrival.message, cascade.manifest))


def test_what_is_kept_is_bounded(cascade: Cascade) -> None:
    known, templates, route = KnownRequests(), RequestTemplates(cascade.manifest), route_of(cascade)
    for rows in range(1, 2 * KEPT):
        constant, rest = parts_of(cascade, route, templates, "1", rows=rows)
        arrival = known.read(constant + rest.SerializeToString())
        known.learn(arrival, parse_header(arrival.message, cascade.manifest))
        assert known.read(constant + rest.SerializeToString()).header is not None
        assert len(known) <= KEPT


def test_a_known_request_is_answered_as_an_unknown_one(cascade: Cascade) -> None:
    (first_known, first), (second_known, second) = asyncio.run(_ask_twice(cascade))
    assert (first_known, second_known) == (False, True)
    assert first == second


async def _ask_twice(cascade: Cascade) -> list[tuple[bool, list[bytes]]]:
    """Of two like requests: whether it was known, and what was answered."""
    plan = plan_of(cascade, ("cloud",) * 3, (0.5, None))
    answering = Answering(Tier(cascade, "cloud", [plan]))
    known, templates, route = KnownRequests(), RequestTemplates(cascade.manifest), answering.tier.route()
    rows = tiny_rows(5)
    found = []
    for request_id in ("1", "2"):
        constant, rest = templates.parts(route, 0, [rows], [route.codec.encode(rows)])
        rest.id = request_id
        arrival = known.read(constant + rest.SerializeToString())
        response = pb.ModelInferResponse.FromString(await answering.complete(answering.start(arrival)))
        if arrival.header is None:
            known.learn(arrival, parse_header(arrival.message, cascade.manifest))
        found.append((arrival.header is not None, list(response.raw_output_contents)))
        assert response.id == request_id
    assert answering.tier.counters.bytes_in == 2 * (len(constant) + rest.ByteSize())
    answering.close()
    return found
