"""A response written from its parts is the one the library would have written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.replies import OUTPUTS, stream_reply, write_response
from offramp.runtime.rows import Rows
from offramp.runtime.stamps import STAMPS, Stamps
from offramp.runtime.tensors import encode_bytes_rows


def rows_of(count: int, classes: int = 3) -> Rows:
    random = np.random.default_rng(count)
    rows = Rows.unanswered(count, classes)
    rows.label[:] = random.integers(0, classes, count)
    rows.probabilities[:] = random.random((count, classes))
    rows.confidence[:] = rows.probabilities.max(axis=1)
    rows.exit[:] = 1
    rows.tier[:] = ["edge"] * count
    rows.degraded[:] = ["deadline" if index % 2 else "" for index in range(count)]
    return rows


def by_the_library(request_id: str, rows: Rows, names: list[str]) -> pb.ModelInferResponse:
    message = pb.ModelInferResponse(model_name="tiny", id=request_id)
    contents = {
        "label": rows.label.tobytes(),
        "probabilities": rows.probabilities.tobytes(),
        "confidence": rows.confidence.tobytes(),
        "exit": rows.exit.tobytes(),
        "tier": encode_bytes_rows(rows.tier),
        "degraded": encode_bytes_rows(rows.degraded),
    }
    for name in names:
        shape = rows.probabilities.shape if name == "probabilities" else (len(rows),)
        message.outputs.add(name=name, datatype=OUTPUTS[name], shape=shape)
        message.raw_output_contents.append(contents[name])
    for tier, seconds in rows.compute_s.items():
        message.parameters[f"compute_s.{tier}"].double_param = seconds
    for tier, seconds in rows.queue_s.items():
        message.parameters[f"queue_s.{tier}"].double_param = seconds
    return message


@given(
    st.text(max_size=200),
    st.integers(1, 40),
    st.lists(st.sampled_from(list(OUTPUTS)), unique=True, min_size=1),
    st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False), max_size=3),
)
def test_it_is_what_the_library_would_write(
    request_id: str, count: int, names: list[str], seconds: dict[str, float]
) -> None:
    rows = rows_of(count)
    rows.compute_s, rows.queue_s = dict(seconds), dict(list(seconds.items())[:1])
    found = pb.ModelInferResponse.FromString(write_response("tiny", request_id, rows, names))
    assert found == by_the_library(request_id, rows, names)


def test_what_is_rarely_asked_for_is_there() -> None:
    rows = rows_of(1)
    rows.stamps["edge"] = Stamps(1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.5)
    message = pb.ModelInferResponse.FromString(write_response("tiny", "7", rows, (), {"link_bytes.edge": 70}))
    assert [output.name for output in message.outputs] == list(OUTPUTS)
    assert message.parameters["link_bytes.edge"].int64_param == 70
    assert Stamps.from_text(message.parameters[f"{STAMPS}.edge"].string_param) == rows.stamps["edge"]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 70_000])
def test_a_stream_carries_it_whole(size: int) -> None:
    response = pb.ModelInferResponse(id="9", raw_output_contents=[bytes(size)])
    reply = stream_reply(response.SerializeToString())
    assert pb.ModelStreamInferResponse.FromString(reply) == pb.ModelStreamInferResponse(infer_response=response)
