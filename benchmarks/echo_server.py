"""A bare gRPC stream that sends every message back, as a process."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from offramp.runtime.parent import parent_gone

__all__ = ["METHOD", "main"]

METHOD = "/benchmarks.Echo/Stream"


async def _echo(requests: AsyncIterator[bytes], context: Any) -> None:
    async for message in requests:
        await context.write(message)


async def _serve(parent_pid: int) -> None:
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmarks.Echo", {"Stream": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(json.dumps({"ready": True, "port": port}) + "\n")
    sys.stdout.flush()
    await parent_gone(parent_pid)


def main() -> None:
    """Serve until the parent is gone or SIGTERM comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent-pid", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().parent_pid))


if __name__ == "__main__":
    main()
