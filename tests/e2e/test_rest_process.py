"""REST of a tier that runs as a process of its own, beside gRPC."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.errors import AddressInUse, ConfigError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import parse_response
from tests.e2e.support import make_world
from tests.e2e.test_server_process import start, until
from tests.runtime.test_service import call, request_for
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e


def infer(port: int, rows: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}]}
    try:
        connection.request("POST", "/v2/models/tiny/infer", json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_rest_and_grpc_answer_alike_and_end_together(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("cloud",) * 3)
    server, rows = start(world, "--rest-port", "0"), tiny_rows(20)
    try:
        ports = server.wait_ready()
        status, document = infer(ports["rest_port"], rows)
        address, asked = f"127.0.0.1:{ports['port']}", request_for(world.cascade, world.plan, rows)
        found = parse_response(
            call(address, "ModelInfer", asked, pb.ModelInferResponse.FromString), 20, world.cascade.manifest, "cloud"
        )
        outputs = {output["name"]: output["data"] for output in document["outputs"]}
        assert status == 200
        assert outputs["label"] == found.label.tolist()
        assert outputs["exit"] == found.exit.tolist()
        np.testing.assert_allclose(outputs["probabilities"], found.probabilities.reshape(-1), atol=1e-7)
        idle = http.client.HTTPConnection("127.0.0.1", ports["rest_port"], timeout=10)
        idle.request("GET", "/healthz")
        assert idle.getresponse().read()
        begin_s = time.monotonic()
        server.terminate()
        until(lambda: server.exit_code is not None)
        assert time.monotonic() - begin_s < 4.0
        assert (server.exit_code, server.errors()) == (0, "")
        idle.close()
    finally:
        assert server.close() == 0


def test_a_rest_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(make_world(tmp_path), "--rest-port", str(taken.getsockname()[1]))
        with pytest.raises(AddressInUse, match="cannot serve REST on 127"):
            server.wait_ready()
        assert server.exit_code == 8
        assert "Traceback" not in server.errors()
        server.close()


def test_without_its_library_rest_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "aiohttp.py").write_text("raise ImportError('blocked')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "none"))
    server = start(make_world(tmp_path), "--rest-port", "0")
    with pytest.raises(ConfigError, match=r"install offramp\[rest\]"):
        server.wait_ready()
    assert server.exit_code == 2
    server.close()
