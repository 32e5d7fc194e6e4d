"""Peers that send what they should not, or nothing at all: the tier lives, and answers the others."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from offramp.runtime.process import ReadyProcess
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import parse_response
from tests.e2e.support import GATES, World, make_world
from tests.e2e.test_server_process import start
from tests.runtime.support import local_chain
from tests.runtime.test_service import request_for
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e

SERVICE = "/inference.GRPCInferenceService/"
#: messages of the fuzz; OFFRAMP_FUZZ=10000 for the long one
MESSAGES = int(os.environ.get("OFFRAMP_FUZZ", "500"))
#: what a peer may be told of its own mistakes; anything else is ours
EXPECTED = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "DEADLINE_EXCEEDED", "UNAVAILABLE"}


class Live(NamedTuple):
    """A running tier and a way to send it any bytes."""

    world: World
    server: ReadyProcess
    address: str
    ask: Any


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    world = make_world(tmp_path, placement=("cloud",) * 3)
    server = start(world, "--max-connections", "60", "--max-message-bytes", "200000")
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"
        with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
            yield Live(world, server, address, channel.unary_unary(SERVICE + "ModelInfer", None, None))
        assert server.exit_code is None
        assert "Traceback" not in server.errors()
    finally:
        server.close()


def answers(live: Live) -> bool:
    """Whether a good request is answered right."""
    rows = tiny_rows(5)
    reply = live.ask(request_for(live.world.cascade, live.world.plan, rows).SerializeToString(), timeout=10)
    found = parse_response(pb.ModelInferResponse.FromString(reply), 5, live.world.cascade.manifest, "cloud")
    return bool(found.label.tolist() == [row[0] for row in local_chain(live.world.cascade, rows, GATES)])


def code_of(live: Live, data: bytes) -> str:
    try:
        pb.ModelInferResponse.FromString(live.ask(data, timeout=30))
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def test_what_is_too_large_is_refused_before_it_is_read(live: Live) -> None:
    request = request_for(live.world.cascade, live.world.plan, np.zeros((20_000, 4), np.float32))
    assert code_of(live, request.SerializeToString()) == "RESOURCE_EXHAUSTED"
    assert answers(live)


def test_a_decompression_bomb_is_refused(live: Live) -> None:
    zeros = zstandard.ZstdCompressor(level=19).compress(bytes(2**28))
    assert len(zeros) < 2**16
    before = resident_bytes(live.server.pid)
    for shape in ("2,4", "4096,4", f"{2**24},4"):
        request = pb.ModelInferRequest(model_name="tiny", raw_input_contents=[zeros])
        request.parameters["codec"].string_param = "zstd"
        entry = request.inputs.add(name="x", datatype="UINT8", shape=[len(zeros)])
        entry.parameters["dtype"].string_param = "float32"
        entry.parameters["shape"].string_param = shape
        assert code_of(live, request.SerializeToString()) in ("INVALID_ARGUMENT", "OUT_OF_RANGE")
    assert resident_bytes(live.server.pid) - before < 2**27
    assert answers(live)


def test_slow_clients_do_not_stop_the_others(live: Live) -> None:
    host, port = live.address.split(":")
    silent = [socket.create_connection((host, int(port)), 5) for _ in range(40)]
    try:
        for index, one in enumerate(silent):
            if index % 2:
                one.sendall(b"PRI * HTTP/2.0\r\n"[: 1 + index // 3])  # part of a preface, and then nothing
        assert answers(live)
        deadline_s = time.monotonic() + 30
        open_still = list(silent)
        while open_still:  # those that do not complete the handshake are put out
            assert time.monotonic() < deadline_s
            open_still = [one for one in open_still if not _closed(one)]
        assert answers(live)
    finally:
        for one in silent:
            one.close()


def _closed(one: socket.socket) -> bool:
    one.settimeout(0.05)
    try:
        return one.recv(4096) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_client_that_never_reads_holds_up_nobody(live: Live) -> None:
    request = request_for(live.world.cascade, live.world.plan, tiny_rows(500)).SerializeToString()
    stop = threading.Event()

    def requests() -> Iterator[bytes]:
        for _ in range(20_000):
            if stop.is_set():
                return
            yield request

    before = resident_bytes(live.server.pid)
    with grpc.insecure_channel(live.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call: Any = channel.stream_stream(SERVICE + "ModelStreamInfer", None, None)(requests(), timeout=60)
        try:
            next(call)  # one answer, and no more
            good = request_for(live.world.cascade, live.world.plan, tiny_rows(5)).SerializeToString()
            codes = Counter(code_of(live, good) for _ in range(20))
            assert set(codes) <= {"OK", "RESOURCE_EXHAUSTED"}  # in a crowd, but answered: at once, or refused at once
            assert resident_bytes(live.server.pid) - before < 2**27
        finally:
            stop.set()
            call.cancel()
    assert answers(live)


def test_connections_beyond_the_limit_are_closed(live: Live) -> None:
    assert answers(live)
    host, port = live.address.split(":")
    many = [socket.create_connection((host, int(port)), 5) for _ in range(120)]
    try:
        assert answers(live)  # over the connection it has
        deadline_s = time.monotonic() + 10
        while sum(map(_closed, many)) < 60:
            assert time.monotonic() < deadline_s
    finally:
        for one in many:
            one.close()


def test_calls_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("cloud",) * 3)
    server = start(world, "--max-streams", "2")
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"
        request = request_for(world.cascade, world.plan, tiny_rows(1)).SerializeToString()
        more = threading.Event()

        def requests() -> Iterator[bytes]:
            yield request
            more.wait(30)

        with contextlib.ExitStack() as stack:
            stack.callback(more.set)
            calls: list[Any] = []
            for _ in range(3):  # each over its own connection: the limit is the server's
                channel = stack.enter_context(grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]))
                calls.append(channel.stream_stream(SERVICE + "ModelStreamInfer", None, None)(requests(), timeout=60))
                if len(calls) < 3:
                    assert not pb.ModelStreamInferResponse.FromString(next(calls[-1])).error_message
            with pytest.raises(grpc.RpcError) as caught:
                next(calls[-1])
            error: Any = caught.value
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            for call in calls:
                call.cancel()
    finally:
        assert server.close() == 0


def test_bytes_that_are_no_message_are_named(live: Live) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        live.ask(b"\xff\xff\xff", timeout=10)
    error: Any = caught.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "these 3 bytes are no ModelInferRequest; send Open Inference Protocol v2"
    assert answers(live)


parameter = st.one_of(
    st.builds(lambda v: pb.InferParameter(int64_param=v), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda v: pb.InferParameter(double_param=v), st.floats()),
    st.builds(lambda v: pb.InferParameter(string_param=v), st.text(max_size=30)),
    st.builds(
        lambda v: pb.InferParameter(string_param=v), st.sampled_from(["zstd", "fp16", "uint8", "2,4", "float32"])
    ),
    st.builds(lambda v: pb.InferParameter(bool_param=v), st.booleans()),
)
names = st.sampled_from(["x", "h0", "offramp.earlier_labels", ""])
keys = st.sampled_from(["segment", "plan", "codec", "deadline_ms", "stamps", "shape", "dtype", "other"])


@st.composite
def structured(draw: st.DrawFn) -> bytes:
    """A message of the right kind, with anything in it."""
    message = pb.ModelInferRequest(
        model_name=draw(st.sampled_from(["tiny", "tiny", "other", ""])),
        id=draw(st.text(max_size=5)),
        raw_input_contents=draw(st.lists(st.binary(max_size=64), max_size=3)),
    )
    for key, value in draw(st.dictionaries(keys, parameter, max_size=4)).items():
        message.parameters[key].CopyFrom(value)
    for name in draw(st.lists(names, max_size=3)):
        entry = message.inputs.add(
            name=name,
            datatype=draw(st.sampled_from(["FP32", "UINT8", "INT32", "BYTES", ""])),
            shape=draw(st.lists(st.sampled_from([-1, 0, 1, 2, 4, 16, 32, 2**40, 2**63 - 1]), max_size=4)),
        )
        for key, value in draw(st.dictionaries(keys, parameter, max_size=2)).items():
            entry.parameters[key].CopyFrom(value)
        entry.contents.fp32_contents.extend(draw(st.lists(st.floats(width=32), max_size=9)))
    for name in draw(st.lists(st.sampled_from(["label", "tier", "logits", ""]), max_size=2)):
        message.outputs.add(name=name)
    return bytes(message.SerializeToString())


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A good message with some bytes changed, cut short or doubled."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    begin, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    kind = draw(st.sampled_from(["change", "cut", "double"]))
    return bytes(data if kind == "change" else data[:end] if kind == "cut" else data[:end] + data[begin:])


@pytest.mark.timeout(900)
def test_malformed_messages_do_no_harm(live: Live) -> None:
    good = request_for(live.world.cascade, live.world.plan, tiny_rows(3)).SerializeToString()
    codes: Counter[str] = Counter()
    sizes: list[int] = []

    @settings(
        max_examples=MESSAGES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.one_of(st.binary(max_size=300), structured(), damaged(good)))
    def send(data: bytes) -> None:
        code = code_of(live, data)
        codes[code] += 1
        assert code in EXPECTED | {"OK"}
        if not sum(codes.values()) % max(1, MESSAGES // 10):
            assert answers(live)
            sizes.append(resident_bytes(live.server.pid))

    for _ in range(50):
        assert answers(live)
    send()
    assert sum(codes.values()) >= 0.9 * MESSAGES
    assert len(codes) >= 3
    assert sizes[-1] - sizes[len(sizes) // 2] < 4 * 2**20, sizes  # flat, once the allocator has what it needs
