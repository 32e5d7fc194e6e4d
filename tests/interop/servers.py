"""Real model servers as processes: Triton from the nvidia-pytriton wheel, and MLServer."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from tests.interop.environments import FOLDER, python_of, why_not

__all__ = ["mlserver", "need", "triton"]

#: seconds a server may take until it is ready
START_S = 60.0


def need(name: str) -> None:
    """Skip where an environment could not be made, saying why."""
    if (reason := why_not(name)) is not None:
        pytest.skip(reason)


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


@contextmanager
def triton(models: Path, work: Path) -> Iterator[str]:
    """Triton with its Python backend serving ``models``; yields HOST:PORT of its gRPC."""
    need("triton-server")
    packages = FOLDER / "triton-server" / "lib" / "python3.11" / "site-packages"
    server = packages / "pytriton" / "tritonserver"
    backends = work / "backends"
    shutil.copytree(server / "backends", backends)
    stub = server / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python" / stub.name)
    (backends / "python" / stub.name).chmod(0o755)
    for package in packages.iterdir():  # its interpreter is isolated and finds packages beside the backend only
        if not (backends / "python" / package.name).exists():
            (backends / "python" / package.name).symlink_to(package)
    grpc_port, http_port = free_ports(2)
    command = [
        str(server / "bin" / "tritonserver"),
        f"--model-repository={models}",
        f"--backend-directory={backends}",
        f"--grpc-port={grpc_port}",
        f"--http-port={http_port}",
        "--grpc-address=127.0.0.1",
        "--http-address=127.0.0.1",
        "--allow-metrics=false",
        "--backend-config=python,shm-default-byte-size=1048576",
        "--exit-timeout-secs=5",
    ]
    libraries = [packages / "nvidia_pytriton.libs", server / "external_libs", server / "lib"]
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)), "OMP_NUM_THREADS": "1"}
    with _running(command, environment, work / "triton.log", grpc_port) as address:
        yield address


@contextmanager
def mlserver(models: Path, work: Path) -> Iterator[str]:
    """MLServer serving ``models``; yields HOST:PORT of its gRPC."""
    need("mlserver")
    grpc_port, http_port, metrics_port = free_ports(3)
    environment = {
        "MLSERVER_GRPC_PORT": str(grpc_port),
        "MLSERVER_HTTP_PORT": str(http_port),
        "MLSERVER_METRICS_PORT": str(metrics_port),
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_DEBUG": "false",
        "OMP_NUM_THREADS": "1",
    }
    command = [str(python_of("mlserver").with_name("mlserver")), "start", str(models)]
    with _running(command, environment, work / "mlserver.log", grpc_port) as address:
        yield address


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str], log: Path, port: int) -> Iterator[str]:
    """A process, from when its gRPC says that it is ready until it has ended."""
    address = f"127.0.0.1:{port}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
            cwd=log.parent,
        )
        try:
            _wait_ready(process, address, log)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until_s = time.monotonic() + START_S
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(
            "/inference.GRPCInferenceService/ServerReady",
            pb.ServerReadyRequest.SerializeToString,
            pb.ServerReadyResponse.FromString,
        )
        while time.monotonic() < until_s:
            if process.poll() is not None:
                break
            try:
                if ask(pb.ServerReadyRequest(), timeout=1.0).ready:
                    return
            except grpc.RpcError:
                time.sleep(0.1)
    raise AssertionError(f"{process.args!r} is not ready; it said:\n{log.read_text(errors='replace')[-4000:]}")
