"""tritonclient, gRPC and HTTP, against our tier as a process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from tests.e2e.support import GATES, World, make_world
from tests.e2e.test_server_process import start
from tests.interop.environments import python_of
from tests.interop.servers import need
from tests.runtime.support import local_chain
from tests.support.tiny import tiny_rows

DRIVER = Path(__file__).with_name("drive_tier.py")


class Served(NamedTuple):
    """A tier that runs everything, and what was asked of it."""

    world: World
    ports: dict[str, int]
    rows: Any
    rows_file: Path


def drive(*arguments: str) -> Any:
    """Run the driver in the environment that has tritonclient."""
    need("triton-client")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(python_of("triton-client")), str(DRIVER), *arguments], capture_output=True, timeout=100, env=clean
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tier")
    world, rows = make_world(folder, placement=("cloud",) * 3), tiny_rows(20)
    np.save(folder / "rows.npy", rows)
    server = start(world, "--rest-port", "0")
    try:
        yield Served(world, server.wait_ready(), rows, folder / "rows.npy")
    finally:
        assert server.close() == 0


@pytest.fixture(scope="module", params=["grpc", "http"])
def got(request: pytest.FixtureRequest, served: Served) -> tuple[str, Any]:
    port = served.ports["port" if request.param == "grpc" else "rest_port"]
    return request.param, drive(request.param, f"127.0.0.1:{port}", "tiny", str(served.rows_file))


def expected_of(served: Served) -> list[Any]:
    return local_chain(served.world.cascade, served.rows, GATES)


def check(served: Served, found: Any) -> None:
    expected = expected_of(served)
    assert found["label"] == [row[0] for row in expected]
    assert found["exit"] == [row[1] for row in expected]
    np.testing.assert_allclose(found["probabilities"], [row[2] for row in expected], atol=1e-5)
    np.testing.assert_allclose(found["confidence"], [row[2].max() for row in expected], atol=1e-5)
    assert found["tier"] == ["cloud"] * len(expected)
    assert found["degraded"] == [""] * len(expected)


def test_health_metadata_and_index(got: tuple[str, Any]) -> None:
    _, found = got
    assert (found["live"], found["ready"]) == (True, True)
    assert found["model_ready"] == [True, True, False]
    assert found["other_ready"] is False
    assert found["server"]["name"] == "offramp"
    assert {"model_repository", "binary_tensor_data"} <= set(found["server"]["extensions"])
    assert found["model"]["name"] == "tiny"
    assert found["model"]["versions"] == ["1"]
    (tensor,) = found["model"]["inputs"]
    assert (tensor["name"], tensor["datatype"], [int(n) for n in tensor["shape"]]) == ("x", "FP32", [-1, 4])
    assert [t["name"] for t in found["model"]["outputs"]] == [
        "label", "probabilities", "confidence", "exit", "tier", "degraded",
    ]  # fmt: skip
    index = found["index"]["models"] if isinstance(found["index"], dict) else found["index"]
    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [("tiny", "1", "READY")]


def test_inference(got: tuple[str, Any], served: Served) -> None:
    _, found = got
    check(served, found["all"])
    check(served, found["async"])
    assert found["id"] == "mine"
    assert found["chosen"] == ["exit"]


def test_binary_and_json_tensors(got: tuple[str, Any], served: Served) -> None:
    kind, found = got
    if kind == "grpc":
        pytest.skip("gRPC has no JSON")
    for sent in (True, False):
        for wanted in (True, False):
            check(served, found[f"binary {sent} {wanted}"])
    assert found["gzip"]["status"] == "415"


def test_streaming(got: tuple[str, Any], served: Served) -> None:
    kind, found = got
    if kind == "http":
        pytest.skip("HTTP has no streams")
    expected = {str(index): row[0] for index, row in enumerate(expected_of(served))}
    assert found["streamed"] == expected
    (sentence,) = found["stream_errors"]
    assert "must have the shape (n, 4)" in sentence


@pytest.mark.parametrize(
    ("what", "grpc_status", "http_status", "says"),
    [
        ("shape", "INVALID_ARGUMENT", "400", "must have the shape (n, 4), not (1, 7)"),
        ("datatype", "INVALID_ARGUMENT", "400", "must be FP32"),
        ("name", "INVALID_ARGUMENT", "400", "the inputs must be ['x']"),
        ("output", "INVALID_ARGUMENT", "400", "unknown output 'nothing'"),
        ("wrong_model", "NOT_FOUND", "404", "no model 'other'"),
        ("version", "NOT_FOUND", "404", "no version '2'"),
        ("no_model", "NOT_FOUND", "404", "no model 'other'"),
        ("load", "UNIMPLEMENTED", "501", "cannot load models"),
        ("unload", "UNIMPLEMENTED", "501", "cannot unload models"),
    ],
)
def test_errors(got: tuple[str, Any], what: str, grpc_status: str, http_status: str, says: str) -> None:
    kind, found = got
    status = f"StatusCode.{grpc_status}" if kind == "grpc" else http_status
    assert found[what]["status"] == status
    assert says in found[what]["message"]


def test_our_messages_are_those_of_triton() -> None:
    theirs = drive("protocol")
    ours: dict[str, Any] = {}

    def add(message: Any, prefix: str = "") -> None:
        name = f"{prefix}{message.name}"
        ours[name] = {field.name: (field.number, field.type) for field in message.fields}
        for nested in message.nested_types:
            add(nested, f"{name}.")

    for message in pb.DESCRIPTOR.message_types_by_name.values():
        add(message)
    for name, fields in ours.items():
        known = {field: (number, kind) for field, (number, kind, _) in theirs["messages"][name].items()}
        assert fields.items() <= known.items(), name
        assert set(known) - set(fields) <= {"schedule_policy"}, name
    for call in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        assert theirs["calls"][call.name] == [call.input_type.name, call.output_type.name]
