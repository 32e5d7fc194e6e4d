"""A load generator, as a process: so many requests under way at a time, each followed by the next.

``python -m benchmarks.peers.load JOB.json`` prints one line of JSON. The job: ``kind`` (``stream``, ``unary`` or
``http``), ``address``, ``path`` and ``headers`` (of HTTP), ``body`` (a file: a serialised request without its id, or
the body of a POST), ``concurrency``, ``seconds`` and ``warm_s``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc.aio

from offramp.runtime.channel import MAX_MESSAGE_BYTES
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

__all__ = ["main"]

_SERVICE = "/inference.GRPCInferenceService"
_OPTIONS = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.enable_http_proxy", 0)]


class _Meter:
    """Seconds of the answers that came after the warm-up."""

    def __init__(self, warm_s: float, seconds: float) -> None:
        self.begin_s = time.perf_counter() + warm_s
        self.end_s = self.begin_s + seconds
        self.latencies_s: list[float] = []

    @property
    def over(self) -> bool:
        return time.perf_counter() >= self.end_s

    def add(self, asked_s: float) -> None:
        now_s = time.perf_counter()
        if self.begin_s <= now_s <= self.end_s:
            self.latencies_s.append(now_s - asked_s)

    def result(self, sample: bytes) -> dict[str, Any]:
        ordered = sorted(self.latencies_s)
        if not ordered:
            raise RuntimeError("no answer within the time")
        return {
            "requests_per_s": len(ordered) / (self.end_s - self.begin_s),
            "p50_s": ordered[len(ordered) // 2],
            "p99_s": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
            "requests": len(ordered),
            "probabilities": sample.hex(),
        }


async def _stream(job: dict[str, Any], body: bytes, meter: _Meter) -> bytes:
    """One stream with so many requests in flight, as a device has it."""
    asked: dict[str, float] = {}
    sample = b""
    async with grpc.aio.insecure_channel(job["address"], options=_OPTIONS) as channel:
        open_stream: Any = channel.stream_stream(f"{_SERVICE}/ModelStreamInfer", None, None)
        call = open_stream()
        for number in range(job["concurrency"]):
            asked[str(number)] = time.perf_counter()
            await call.write(body + _id(number))
        number = job["concurrency"]
        while not meter.over:
            data = await call.read()
            if not isinstance(data, bytes):
                raise RuntimeError(f"the stream has ended: {await call.details()}")
            reply = pb.ModelStreamInferResponse.FromString(data)
            if reply.error_message:
                raise RuntimeError(reply.error_message)
            meter.add(asked.pop(reply.infer_response.id))
            sample = sample or _probabilities(reply.infer_response)
            asked[str(number)] = time.perf_counter()
            await call.write(body + _id(number))
            number += 1
        call.cancel()
    return sample


async def _unary(job: dict[str, Any], body: bytes, meter: _Meter) -> bytes:
    """So many calls at a time over one channel."""
    samples: list[bytes] = []
    async with grpc.aio.insecure_channel(job["address"], options=_OPTIONS) as channel:
        infer: Any = channel.unary_unary(f"{_SERVICE}/ModelInfer", None, None)

        async def ask(first: int) -> None:
            number = first
            while not meter.over:
                begin_s = time.perf_counter()
                reply = pb.ModelInferResponse.FromString(await infer(body + _id(number)))
                meter.add(begin_s)
                if not samples:
                    samples.append(_probabilities(reply))
                number += job["concurrency"]

        await asyncio.gather(*(ask(first) for first in range(job["concurrency"])))
    return samples[0]


async def _http(job: dict[str, Any], body: bytes, meter: _Meter) -> bytes:
    """So many connections, kept open, one request at a time on each."""
    host, _, port = job["address"].partition(":")
    head = [f"POST {job['path']} HTTP/1.1", f"Host: {job['address']}", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in job["headers"].items()]
    request = "\r\n".join([*head, "", ""]).encode() + body
    samples: list[bytes] = []

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**20)
        while not meter.over:
            begin_s = time.perf_counter()
            writer.write(request)
            answer = await _answer(reader)
            meter.add(begin_s)
            if not samples:
                samples.append(answer)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(job["concurrency"])))
    return samples[0]


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    if not head.startswith("http/1.1 200"):
        raise RuntimeError(head.partition("\r\n")[0])
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def _id(number: int) -> bytes:
    return pb.ModelInferRequest(id=str(number)).SerializeToString()


def _probabilities(reply: pb.ModelInferResponse) -> bytes:
    names = [output.name for output in reply.outputs]
    return bytes(reply.raw_output_contents[names.index("probabilities")])


def main() -> None:
    """Do the job."""
    job = json.loads(Path(sys.argv[1]).read_text())
    meter = _Meter(job["warm_s"], job["seconds"])
    ask = {"stream": _stream, "unary": _unary, "http": _http}[job["kind"]]
    try:
        sample = asyncio.run(ask(job, Path(job["body"]).read_bytes(), meter))
    except grpc.aio.AioRpcError as error:
        raise SystemExit(f"{error.code().name}: {error.details()}") from error
    sys.stdout.write(json.dumps(meter.result(sample)) + "\n")


if __name__ == "__main__":
    main()
