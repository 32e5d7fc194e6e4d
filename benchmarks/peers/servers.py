"""Our tier and its peers as processes, each serving the same tail."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.peers.resnet20 import CUT
from benchmarks.synthetic import plan_for
from offramp.cascade.exporting import export_tails
from offramp.cascade.repository_mlserver import MLServerRepository
from offramp.cascade.repository_triton import TritonRepository
from offramp.cascade.store import Cascade
from offramp.cascade.tail import tail_name
from offramp.errors import ConfigError
from offramp.runtime.process import ReadyProcess
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.templates import RequestTemplates
from offramp.runtime.tier import Tier
from tests.interop.environments import python_of, why_not
from tests.interop.servers import free_ports, mlserver, triton

__all__ = ["PEERS", "Asked", "features", "ours"]

#: seconds a server may take until it answers
START_S = 120.0


@dataclass(frozen=True)
class Asked:
    """How a server is asked: ``kinds`` of the load generator, and what it needs."""

    address: str
    body: bytes
    kinds: tuple[str, ...] = ("stream", "unary")
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


#: starts a server that serves the tail of a cascade, in a folder for what it writes
Start = Callable[[Cascade, Path], AbstractContextManager[Asked]]


def features() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(1, 16, 32, 32), as they cross the cut: 64 KB."""
    return np.abs(np.random.default_rng(3).normal(0, 1, (1, 16, 32, 32))).astype(np.float32)


@contextmanager
def ours(cascade: Cascade, work: Path) -> Iterator[Asked]:
    """A tier that computes what is behind the cut; asked as our device asks."""
    plan = plan_for(cascade, ("device", "cloud"), ("device", "cloud"), None)
    file = work / "plan.json"
    plan.save(file)
    arguments = ["--cascade", str(cascade.path), "--tier", "cloud", "--plan", str(file)]
    route, rows = Tier(cascade, "device", [plan]).route(), features()
    constant, rest = RequestTemplates(cascade.manifest).parts(route, CUT, [rows], [rows.tobytes()])
    process = ReadyProcess("offramp.runtime.server", arguments, "the tier")
    try:
        port = process.wait_ready()["port"]
        yield Asked(f"127.0.0.1:{port}", constant + rest.SerializeToString())
    finally:
        process.close()


@contextmanager
def _triton(cascade: Cascade, work: Path) -> Iterator[Asked]:
    export_tails(cascade, TritonRepository("python"), work / "models", [CUT])
    with triton(work / "models", work) as address:
        yield Asked(address, _plain(cascade))


@contextmanager
def _mlserver(cascade: Cascade, work: Path) -> Iterator[Asked]:
    export_tails(cascade, MLServerRepository(), work / "models", [CUT])
    with mlserver(work / "models", work) as address:
        yield Asked(address, _plain(cascade), ("unary",))  # it ends a stream of more than one request


def _plain(cascade: Cascade) -> bytes:
    """The request any OIP server understands, asking for the probabilities alone."""
    rows = features()
    message = pb.ModelInferRequest(model_name=tail_name(cascade.name, CUT), raw_input_contents=[rows.tobytes()])
    message.inputs.add(name="features", datatype="FP32", shape=rows.shape)
    message.outputs.add(name="probabilities")
    return message.SerializeToString()


def _scripted(name: str) -> Start:
    """A server of the environment ``name`` that the script ``serve_NAME.py`` beside this file starts."""

    @contextmanager
    def start(cascade: Cascade, work: Path) -> Iterator[Asked]:
        (port,) = free_ports(1)
        script = Path(__file__).with_name(f"serve_{name}.py")
        command = [str(python_of(name)), str(script), str(_tail(cascade, work)), str(port)]
        with _running(name, command, {}, work) as process:
            asked = Asked(f"127.0.0.1:{port}", features().tobytes(), ("http",), "/predict", _BINARY)
            _wait(process, asked, work / f"{name}.log")
            yield asked

    return start


@contextmanager
def _bentoml(cascade: Cascade, work: Path) -> Iterator[Asked]:
    (port,) = free_ports(1)
    command = [str(python_of("bentoml").with_name("bentoml")), "serve", "serve_bentoml:Tail"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(Path(__file__).parent)]
    environment = {"TAIL_ONNX": str(_tail(cascade, work)), "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(work)}
    with _running("bentoml", command, environment, work) as process:
        boundary = "tail"
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="features"; filename="f"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        body += features().tobytes() + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        asked = Asked(f"127.0.0.1:{port}", body, ("http",), "/predict", headers)
        _wait(process, asked, work / "bentoml.log")
        yield asked


_BINARY = {"Content-Type": "application/octet-stream"}

#: name -> environment, and how it is started
PEERS: dict[str, tuple[str, Start]] = {
    "Triton, Python backend": ("triton-server", _triton),
    "MLServer": ("mlserver", _mlserver),
    "LitServe": ("litserve", _scripted("litserve")),
    "BentoML": ("bentoml", _bentoml),
    "Ray Serve": ("ray", _scripted("ray")),
}


def _tail(cascade: Cascade, work: Path) -> Path:
    """The same ONNX file as in the other repositories."""
    (exported,) = export_tails(cascade, MLServerRepository(), work / "models", [CUT])
    return exported.folder / "model.onnx"


_Process = subprocess.Popen[bytes]


@contextmanager
def _running(name: str, command: Sequence[str], environment: Mapping[str, str], work: Path) -> Iterator[_Process]:
    if (reason := why_not(name)) is not None:
        raise ConfigError(reason)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    settings = {**clean, **environment, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    with (work / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=settings, cwd=work, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # some leave children behind
        process.wait()


def _wait(process: _Process, asked: Asked, log: Path) -> None:
    """Until a request is answered."""
    until_s = time.monotonic() + START_S
    request = urllib.request.Request(f"http://{asked.address}{asked.path}", asked.body, dict(asked.headers))
    while time.monotonic() < until_s and process.poll() is None:
        try:
            with urllib.request.urlopen(request, None, 10):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.2)
    raise ConfigError(f"{process.args!r} does not answer; it said: {log.read_text(errors='replace')[-1500:]}")
