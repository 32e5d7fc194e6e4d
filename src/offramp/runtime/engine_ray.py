"""Segments on the replicas of a Ray Serve deployment (extra ``ray``)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import SegmentSpec
from offramp.cascade.segment import Segment, SegmentOutput
from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import ConfigError, LinkDown
from offramp.runtime.engine import Engine

__all__ = ["RayServe", "RemoteSegment", "Replica", "replica_range"]

Array = NDArray[Any]
#: what a replica gives back: the hand-over, then label, probabilities and confidence where there is an exit
Values = tuple[tuple[Array, ...], tuple[Array, ...]]

#: seconds one computation may take, and how long another replica is looked for when one has died
COMPUTE_S, AGAIN_S = 30.0, 10.0
#: seconds between two tries
PAUSE_S = 0.05
#: computations one replica takes on at a time: it reads the next one while it computes
ONGOING = 2


class RayServe(Engine):
    """On Ray Serve: the tier speaks the protocol, forms batches and decides; replicas compute.

    A batch is divided among the replicas. A replica that dies loses nothing: it holds no state, and what it was asked
    is asked of another one. Within its cluster Ray hands objects on by pickling; what comes from clients has been
    checked and made an array before.

    The cluster is that of ``RAY_ADDRESS``, or one on this machine that lives as long as the tier. The replicas open
    the cascade by its path, which must be there on every machine.

    Parameters
    ----------
    cascade, replicas : as for `Engine`; default: one replica
    """

    name = "ray"

    def __init__(self, cascade: Cascade, replicas: str | None = None) -> None:
        least, most = replica_range(replicas)
        try:
            import ray
            from ray import serve
        except ImportError as error:
            raise ConfigError("the engine ray needs Ray Serve; pip install 'offramp[ray]'") from error
        self._ray: Any = ray
        self._serve: Any = serve
        self._cascade = cascade
        self._most = most
        self._application = f"offramp-{cascade.manifest.name}-{os.getpid()}"
        self._ours = not ray.is_initialized()
        if self._ours:
            own = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": max(most, os.cpu_count() or 1)}
            ray.init(log_to_driver=False, include_dashboard=False, logging_level="error", **own)
        serve.start(http_options={"location": "NoServer"}, logging_config={"log_level": "ERROR"})
        many: dict[str, Any] = (
            {"num_replicas": least}
            if least == most
            else {"autoscaling_config": {"min_replicas": least, "max_replicas": most}}
        )
        deployment = serve.deployment(name="segments", max_ongoing_requests=ONGOING, **many)(Replica)
        application = deployment.bind(str(cascade.path), cascade.manifest.fingerprint)
        self._handle: Any = serve.run(application, name=self._application, route_prefix=None)

    def load(self, index: int, precision: str) -> Segment:
        spec = self._cascade.manifest.segments[index]
        return RemoteSegment(spec, self._cascade.path, partial(self._compute, index, precision))

    def _compute(self, index: int, precision: str, tensors: Sequence[Array], temperature: float) -> Values:
        rows = len(tensors[0])
        shares = min(self._most, rows)
        bounds = [rows * share // shares for share in range(shares + 1)]
        asks = [
            partial(
                self._handle.compute.remote, index, precision, [tensor[low:high] for tensor in tensors], temperature
            )
            for low, high in pairwise(bounds)
        ]
        begun = [ask() for ask in asks]
        found = [self._wait(ask, response) for ask, response in zip(asks, begun, strict=True)]
        if len(found) == 1:
            return found[0]
        carried, answers = zip(*found, strict=True)
        return _joined(carried), _joined(answers)

    def _wait(self, ask: Callable[[], Any], response: Any) -> Values:
        """What a replica has computed; where one dies, another does."""
        until_s = time.monotonic() + AGAIN_S
        while True:
            try:
                values: Values = response.result(timeout_s=COMPUTE_S)
                return values
            except self._ray.exceptions.RayTaskError:
                raise  # it computed and failed; another one would as well
            except self._ray.exceptions.RayError as error:
                if time.monotonic() > until_s:
                    raise LinkDown(f"no replica on Ray Serve answers ({type(error).__name__})") from error
                time.sleep(PAUSE_S)
                response = ask()

    def close(self) -> None:
        ray, self._ray = self._ray, None
        if ray is None or not ray.is_initialized():
            return
        if self._ours:
            self._serve.shutdown()
            ray.shutdown()
        else:
            self._serve.delete(self._application)

    def __repr__(self) -> str:
        return f"RayServe(replicas={self._most})"


class RemoteSegment(Segment):
    """A segment that is computed elsewhere.

    Parameters
    ----------
    spec : what the manifest says of it
    path : of the cascade
    compute : called with the tensors and the temperature
    """

    def __init__(self, spec: SegmentSpec, path: Path, compute: Callable[[Sequence[Array], float], Values]) -> None:
        self.spec = spec
        self.path = path / spec.file
        self._elsewhere = compute

    def run(self, tensors: Sequence[Array], temperature: float = 1.0) -> SegmentOutput:
        carried, answers = self._elsewhere(tensors, temperature)
        if not answers:
            return SegmentOutput(carried, None, None, None)
        label, probabilities, confidence = answers
        return SegmentOutput(carried, label, probabilities, confidence)


class Replica:
    """What runs on Ray: a cascade, its segments loaded as they are asked for.

    Parameters
    ----------
    path : of the cascade on this machine
    fingerprint : of the cascade the tier serves

    Raises
    ------
    ConfigError : another cascade lies there

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> folder = getfixture("tiny_cascade")
    >>> replica = Replica(str(folder), open_cascade(folder).manifest.fingerprint)
    >>> carried, (label, probabilities, confidence) = replica.compute(0, "fp32", [np.zeros((2, 4), np.float32)], 1.0)
    >>> label.shape, confidence.shape
    ((2,), (2,))
    """

    def __init__(self, path: str, fingerprint: str) -> None:
        self._cascade = open_cascade(Path(path))
        if self._cascade.manifest.fingerprint != fingerprint:
            raise ConfigError(
                f"{path}: the replica finds cascade {self._cascade.manifest.fingerprint}, but the tier serves "
                f"{fingerprint}; put the same folder on every machine"
            )
        self._segments: dict[tuple[int, str], Segment] = {}

    def compute(self, index: int, precision: str, tensors: Sequence[Array], temperature: float) -> Values:
        """Run n rows through one segment."""
        key = index, precision
        if key not in self._segments:
            self._segments[key] = self._cascade.segment(index, precision=precision)
        output = self._segments[key].run(tensors, temperature)
        if output.label is None or output.probabilities is None or output.confidence is None:
            return output.hand_over, ()
        return output.hand_over, (output.label, output.probabilities, output.confidence)


def replica_range(text: str | None) -> tuple[int, int]:
    """Least and most replicas.

    Raises
    ------
    ConfigError : neither a positive number nor two of them in order

    Examples
    --------
    >>> replica_range("2"), replica_range("1-4"), replica_range(None)
    ((2, 2), (1, 4), (1, 1))
    """
    least, dash, most = (text or "1").partition("-")
    numbers = [least, most if dash else least]
    if not all(number.isascii() and number.isdigit() for number in numbers) or not 1 <= int(least) <= int(numbers[1]):
        raise ConfigError(f"replicas must be N or LEAST-MOST, both at least 1, not {text!r}")
    return int(least), int(numbers[1])


def _joined(shares: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    return tuple(np.concatenate(column) for column in zip(*shares, strict=True))
