"""REST against a tier in this process, asked by http.client and curl."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.cascade.store import Cascade
from offramp.errors import AddressInUse, LinkDown
from offramp.links.address import Address
from offramp.runtime import rest as rest_module
from offramp.runtime.answering import Answering
from offramp.runtime.loop import run_in_background
from offramp.runtime.rest import Rest
from offramp.runtime.tier import Tier
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)
HEAD = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
HEADER_LENGTH = "Inference-Header-Content-Length"


@contextmanager
def serving(cascade: Cascade, **options: Any) -> Iterator[tuple[int, Answering]]:
    """REST of a tier that runs everything; yields its port."""

    async def start() -> tuple[Rest, int, Answering]:
        answering = Answering(Tier(cascade, "cloud", [plan_of(cascade, ("cloud",) * 3, GATES)]))
        rest = Rest(answering, **options)
        return rest, await rest.start(Address("127.0.0.1", 0)), answering

    rest, port, answering = run_in_background(start())
    try:
        yield port, answering
    finally:
        run_in_background(rest.close())
        answering.close()


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@pytest.fixture
def served(cascade: Cascade) -> Iterator[tuple[int, Answering]]:
    with serving(cascade) as found:
        yield found


def ask(
    port: int, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def get(port: int, path: str) -> tuple[int, Any]:
    status, _, body = ask(port, "GET", path)
    return status, json.loads(body)


def post(port: int, path: str, document: Any) -> tuple[int, Any]:
    status, _, body = ask(port, "POST", path, json.dumps(document))
    return status, json.loads(body)


def request_for(rows: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}], **more}


def test_what_it_says_of_itself(served: tuple[int, Answering]) -> None:
    port, answering = served
    assert get(port, "/v2")[1]["name"] == "offramp"
    assert get(port, "/v2/health/live") == (200, {"live": True})
    assert get(port, "/v2/health/ready") == (200, {"ready": True})
    plans = list(answering.tier.plan_ids)
    assert get(port, "/healthz") == (200, {"status": "ok", "tier": "cloud", "plans": plans})
    for path in ("/v2/models/tiny", "/v2/models/tiny/versions/1"):
        status, model = get(port, path)
        assert status == 200
        assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
        assert [t["name"] for t in model["outputs"]][:2] == ["label", "probabilities"]
        assert get(port, f"{path}/ready") == (200, {"name": "tiny", "ready": True})
    index = [{"name": "tiny", "version": "1", "state": "READY", "reason": ""}]
    assert post(port, "/v2/repository/index", {"ready": True}) == (200, index)
    assert json.loads(ask(port, "POST", "/v2/repository/index")[2]) == index
    answering.draining = True
    assert get(port, "/v2/health/ready") == (503, {"ready": False})
    assert get(port, "/v2/models/tiny/ready")[0] == 503
    assert get(port, "/healthz")[0] == 503
    assert get(port, "/v2/health/live")[0] == 200


def test_json_answers_as_the_chain_does(served: tuple[int, Answering], cascade: Cascade) -> None:
    rows = tiny_rows(10)
    expected = local_chain(cascade, rows, GATES)
    for path in ("/v2/models/tiny/infer", "/v2/models/tiny/versions/1/infer"):
        status, document = post(served[0], path, request_for(rows, id="mine"))
        assert (status, document["model_name"], document["id"]) == (200, "tiny", "mine")
        outputs = {output["name"]: output for output in document["outputs"]}
        assert outputs["label"]["data"] == [row[0] for row in expected]
        assert outputs["exit"]["data"] == [row[1] for row in expected]
        assert outputs["tier"]["data"] == ["cloud"] * 10
        found = np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"])
        np.testing.assert_allclose(found, [row[2] for row in expected], atol=1e-6)
        assert document["parameters"]["compute_s.cloud"] > 0


def test_binary_tensors_both_ways(served: tuple[int, Answering], cascade: Cascade) -> None:
    rows = tiny_rows(5)
    tensor = {"name": "x", "datatype": "FP32", "shape": [5, 4], "parameters": {"binary_data_size": rows.nbytes}}
    outputs = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    sent = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    status, headers, body = ask(served[0], "POST", "/v2/models/tiny/infer", head + rows.tobytes(), sent)
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    json_bytes = int(headers[HEADER_LENGTH])
    probabilities, label = json.loads(body[:json_bytes])["outputs"]
    assert probabilities["parameters"] == {"binary_data_size": 60}
    expected = local_chain(cascade, rows, GATES)
    found = np.frombuffer(body[json_bytes:], "<f4").reshape(5, 3)
    np.testing.assert_allclose(found, [row[2] for row in expected], atol=1e-6)
    assert label["data"] == [row[0] for row in expected]


def test_all_outputs_in_binary(served: tuple[int, Answering]) -> None:
    document = request_for(tiny_rows(2), parameters={"binary_data_output": True})
    status, headers, body = ask(served[0], "POST", "/v2/models/tiny/infer", json.dumps(document))
    json_bytes = int(headers[HEADER_LENGTH])
    sizes = [output["parameters"]["binary_data_size"] for output in json.loads(body[:json_bytes])["outputs"]]
    assert status == 200
    assert sum(sizes) == len(body) - json_bytes


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/v2/models/other", 404, "no model 'other'"),
        ("GET", "/v2/models/tiny/versions/2", 404, "no version '2'"),
        ("GET", "/v2/models/tiny/versions/2/ready", 404, "no version '2'"),
        ("GET", "/nothing", 404, "no such path"),
        ("GET", "/v2/models/tiny/infer", 405, "another method"),
        ("POST", "/v2/models/other/infer", 404, "no model 'other'"),
        ("POST", "/v2/models/tiny/versions/2/infer", 404, "no version '2'"),
        ("POST", "/v2/repository/models/tiny/load", 501, "cannot load models"),
        ("POST", "/v2/repository/models/tiny/unload", 501, "cannot unload models"),
    ],
)
def test_errors_are_json_with_a_status(
    served: tuple[int, Answering], method: str, path: str, status: int, says: str
) -> None:
    body = json.dumps(request_for(tiny_rows(1))) if method == "POST" else None
    found, headers, content = ask(served[0], method, path, body)
    assert (found, headers["Content-Type"].split(";")[0]) == (status, "application/json")
    assert says in json.loads(content)["error"]


@pytest.mark.parametrize(
    ("document", "status", "says"),
    [
        (request_for(tiny_rows(1)[:, :3]), 400, "must have the shape (n, 4)"),
        (request_for(np.ones((5000, 4))), 413, "at most 4096"),
        (request_for(tiny_rows(1), outputs=[{"name": "logits"}]), 400, "unknown output 'logits'"),
        (request_for(tiny_rows(1), parameters={"deadline_ms": 0}), 504, "no time left"),
        (request_for(tiny_rows(1), parameters={"plan": "p"}), 400, "has no plan 'p'"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1e39, 0, 0, 0]}]}, 400, "infinity"),
        ({}, 400, "the inputs must be"),
    ],
)
def test_wrong_requests(served: tuple[int, Answering], document: Any, status: int, says: str) -> None:
    found, body = post(served[0], "/v2/models/tiny/infer", document)
    assert found == status
    assert says in body["error"]


def test_a_server_that_fails_says_only_how(served: tuple[int, Answering], monkeypatch: pytest.MonkeyPatch) -> None:
    port, answering = served

    async def fail(message: Any) -> Any:
        raise KeyError("secret")

    async def down(message: Any) -> Any:
        raise LinkDown("no way on")

    monkeypatch.setattr(answering, "answer", fail)
    assert post(port, "/v2/models/tiny/infer", request_for(tiny_rows(1))) == (
        500, {"error": "the server failed (KeyError)"},
    )  # fmt: skip
    monkeypatch.setattr(answering, "answer", down)
    status, headers, _ = ask(port, "POST", "/v2/models/tiny/infer", json.dumps(request_for(tiny_rows(1))))
    assert (status, headers["Retry-After"]) == (503, "1")


def test_bodies_are_bounded_before_they_are_read(cascade: Cascade) -> None:
    with serving(cascade, max_body_bytes=1000) as (port, _):
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            head = "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n"
            client.sendall(f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: h\r\n{head}".encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
        assert post(port, "/v2/models/tiny/infer", request_for(tiny_rows(1)))[0] == 200


def test_compressed_bodies_are_refused(served: tuple[int, Answering]) -> None:
    status, _, body = ask(served[0], "POST", "/v2/models/tiny/infer", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert status == 415
    assert "gzip" in json.loads(body)["error"]


def test_a_token_is_asked_for(cascade: Cascade) -> None:
    with serving(cascade, authorise=lambda header: header == "Bearer good") as (port, _):
        assert get(port, "/healthz")[0] == get(port, "/v2/health/ready")[0] == 200
        assert get(port, "/v2/models/tiny")[0] == 401
        status, headers, body = ask(port, "POST", "/v2/models/tiny/infer", b"{}")
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "good" not in json.loads(body)["error"]
        assert ask(port, "GET", "/v2/models/tiny", headers={"Authorization": "Bearer good"})[0] == 200


def test_a_client_that_never_finishes_its_headers_is_closed(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "HEADERS_S", 0.5)
    with serving(cascade) as (port, _):
        with (
            socket.create_connection(("127.0.0.1", port), 5) as silent,
            socket.create_connection(("127.0.0.1", port), 5) as slow,
        ):
            slow.sendall(b"GET /v2 HTTP/1.1\r\nHo")
            assert silent.recv(10) == b""
            assert slow.recv(10) == b""
        assert get(port, "/v2")[0] == 200


def test_a_body_that_does_not_come_is_given_up(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "BODY_S", 0.5)
    with serving(cascade) as (port, _), socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{")
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_connections_are_bounded(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "MAX_CONNECTIONS", 2)
    with serving(cascade) as (port, _):
        held = [http.client.HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(2)]
        for connection in held:
            connection.request("GET", "/v2")
            connection.getresponse().read()
        status, headers, body = ask(port, "GET", "/v2")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "2 connections" in json.loads(body)["error"]
        for connection in held:
            connection.close()
        until_s = time.monotonic() + 5
        while ask(port, "GET", "/v2")[0] != 200:
            assert time.monotonic() < until_s


def test_a_taken_port_is_an_error(cascade: Cascade) -> None:
    async def start_there(port: int, answering: Answering) -> None:
        await Rest(answering).start(Address("127.0.0.1", port))

    with serving(cascade) as (port, answering), pytest.raises(AddressInUse, match="--rest-port"):
        run_in_background(start_there(port, answering))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda body: HEAD % len(body) + body)))
def test_malformed_requests_leave_it_alive(served: tuple[int, Answering], data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served[0]), 5) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        client.recv(4096)
    assert get(served[0], "/v2/health/live") == (200, {"live": True})


def test_many_at_once_get_their_own_answers(served: tuple[int, Answering], cascade: Cascade) -> None:
    rows = tiny_rows(32)
    expected = local_chain(cascade, rows, GATES)

    async def one(index: int) -> tuple[str, int]:
        document = request_for(rows[index : index + 1], id=str(index))
        _, found = await asyncio.to_thread(post, served[0], "/v2/models/tiny/infer", document)
        return found["id"], found["outputs"][0]["data"][0]

    async def everyone() -> list[tuple[str, int]]:
        return await asyncio.gather(*(one(index) for index in range(32)))

    assert asyncio.run(everyone()) == [(str(index), expected[index][0]) for index in range(32)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(served: tuple[int, Answering]) -> None:
    text = json.dumps(request_for(tiny_rows(1)))
    url = f"http://127.0.0.1:{served[0]}/v2/models/tiny/infer"
    done = subprocess.run(["curl", "-sS", "-d", text, url], capture_output=True, timeout=20, check=True)
    assert json.loads(done.stdout)["outputs"][0]["name"] == "label"
