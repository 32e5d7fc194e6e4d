"""What a tier says of itself over gRPC: every call of the protocol besides inference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.templates import Arrival
from tests.runtime.support import plan_of
from tests.runtime.test_service import call, request_for, serving
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    with serving(cascade, "cloud", plan_of(cascade, ("cloud",) * 3, GATES)) as served:
        yield served


def code_of(address: str, method: str, request: Any, reply: Any) -> tuple[str, str]:
    """Status and sentence of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call(address, method, request, reply)
    return caught.value.code().name, caught.value.details() or ""


def test_every_call_of_the_proto_is_served(tier: tuple[str, Any]) -> None:
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    unary = [m for name, m in methods.items() if name != "ModelStreamInfer"]
    assert len(unary) == 9
    missing = set()
    for method in unary:
        request = getattr(pb, method.input_type.name)()
        try:
            call(tier[0], method.name, request, getattr(pb, method.output_type.name).FromString)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                missing.add(method.name)
    assert missing == {"RepositoryModelLoad", "RepositoryModelUnload"}


def test_a_version_is_checked_where_one_is_named(tier: tuple[str, Any]) -> None:
    address = tier[0]
    for version, ready in (("", True), ("1", True), ("2", False)):
        reply = call(
            address, "ModelReady", pb.ModelReadyRequest(name="tiny", version=version), pb.ModelReadyResponse.FromString
        )
        assert reply.ready is ready
    asked = pb.ModelMetadataRequest(name="tiny", version="1")
    assert list(call(address, "ModelMetadata", asked, pb.ModelMetadataResponse.FromString).versions) == ["1"]
    asked.version = "7"
    code, sentence = code_of(address, "ModelMetadata", asked, pb.ModelMetadataResponse.FromString)
    assert (code, sentence) == ("NOT_FOUND", "model 'tiny' has no version '7'; it has '1'")


def test_inference_of_another_version_is_refused(tier: tuple[str, Any]) -> None:
    message = request_for(tier[1].tier.cascade, None, tiny_rows(1))
    message.model_version = "1"
    assert call(tier[0], "ModelInfer", message, pb.ModelInferResponse.FromString).outputs
    message.model_version = "2"
    code, sentence = code_of(tier[0], "ModelInfer", message, pb.ModelInferResponse.FromString)
    assert (code, sentence) == ("NOT_FOUND", "model 'tiny' has no version '2'; it has '1'")


def test_the_repository_index_tells_the_state(tier: tuple[str, Any]) -> None:
    address, answering = tier

    def states(only_ready: bool) -> list[tuple[str, str, str]]:
        asked = pb.RepositoryIndexRequest(ready=only_ready)
        reply = call(address, "RepositoryIndex", asked, pb.RepositoryIndexResponse.FromString)
        return [(model.name, model.version, model.state) for model in reply.models]

    assert states(False) == states(True) == [("tiny", "1", "READY")]
    answering.draining = True
    assert states(False) == [("tiny", "1", "UNAVAILABLE")]
    assert states(True) == []
    asked = pb.RepositoryIndexRequest(repository_name="elsewhere")
    assert code_of(address, "RepositoryIndex", asked, pb.RepositoryIndexResponse.FromString)[0] == "NOT_FOUND"


@pytest.mark.parametrize("verb", ["Load", "Unload"])
def test_models_are_neither_loaded_nor_unloaded(tier: tuple[str, Any], verb: str) -> None:
    request = getattr(pb, f"RepositoryModel{verb}Request")(model_name="tiny")
    reply = getattr(pb, f"RepositoryModel{verb}Response").FromString
    code, sentence = code_of(tier[0], f"RepositoryModel{verb}", request, reply)
    assert code == "UNIMPLEMENTED"
    assert f"cannot {verb.lower()} models" in sentence


def test_the_deadline_of_a_call_is_the_budget(tier: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    start = tier[1].start

    def remember(arrival: Arrival, **others: Any) -> Any:
        seen.append(arrival.message.parameters["deadline_ms"].double_param)
        return start(arrival, **others)

    monkeypatch.setattr(tier[1], "start", remember)
    message = request_for(tier[1].tier.cascade, None, tiny_rows(1))
    call(tier[0], "ModelInfer", message, pb.ModelInferResponse.FromString)
    del message.parameters["deadline_ms"]
    call(tier[0], "ModelInfer", message, pb.ModelInferResponse.FromString)
    assert seen[0] == 5000.0
    assert 8000 < seen[1] < 10_000  # five per cent are kept; what is left may round up a little
