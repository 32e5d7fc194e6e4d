"""Measuring a tier's costs on this machine."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from offramp.cascade.sample import check_rows
from offramp.cascade.store import Cascade, open_cascade
from offramp.codecs.registry import get_codec
from offramp.errors import ConfigError
from offramp.profiles.machine import this_machine
from offramp.profiles.profile import Profile, SegmentCost, TransportCost
from offramp.profiles.timing import MIN_REPEATS
from offramp.profiles.worker import WorkerReply, WorkerRequest

__all__ = ["ask_worker", "measure", "segment_costs", "stored_rows"]

Array = NDArray[Any]
Reply = TypeVar("Reply", bound=BaseModel)


def measure(
    cascade_path: str | Path,
    tier: str,
    *,
    transport: TransportCost,
    slow_down: float = 1.0,
    codecs: Sequence[str] = ("raw", "zstd"),
    samples: Sequence[Array] | Array | None = None,
    repeats: int = 200,
    budget_s: float = 6.0,
    batches: Sequence[int] = (1,),
    rest_s: float = 0.0,
) -> Profile:
    """Measure seconds per segment, and bytes and seconds per cut and codec, in a fresh process.

    Segments with an int8 variant are measured in both precisions.
    One thread, on one processor where the system allows that, after warming up. A slowed tier really
    takes its time, so the figures contain what waiting costs.

    Parameters
    ----------
    cascade_path : the folder ``NAME.cascade``
    tier : name of the tier the profile is for
    transport : what one offload costs beside payload and link
    slow_down : the tier is that many times slower than this machine
    codecs : measured at every cut whose tensors they hold: those for pictures where the input is an image
    samples : rows of every input (or of the only one), for real payload sizes; random rows when ``None``
    repeats : at most this many timings of each piece, at least 15
    budget_s : seconds for all of it; slow segments are still timed 15 times
    batches : rows a segment is given at once, each size measured; one row at a time is always among them
    rest_s : seconds before each timed call. Back to back, a tier at this machine's speed finds warm caches; one that
        waits for its samples does not. A tier at least 12 times slower is timed warm either way, as it runs (`Pace`)

    Raises
    ------
    CascadeError : the cascade cannot be opened
    SampleError : the samples do not fit it
    ConfigError : an unknown codec, one that holds no cut's tensors, a bad option, or the measuring process failed
    """
    if not (math.isfinite(slow_down) and slow_down >= 1):
        raise ConfigError(f"tier {tier!r}: slow_down must be at least 1, not {slow_down}")
    if repeats < MIN_REPEATS:
        raise ConfigError(f"repeats must be at least {MIN_REPEATS}, not {repeats}")
    if not (math.isfinite(rest_s) and rest_s >= 0):
        raise ConfigError(f"rest_s must be zero or more seconds, not {rest_s}")
    if not all(size >= 1 for size in batches):
        raise ConfigError(f"a batch has at least 1 row, not {min(batches)}")
    cascade = open_cascade(cascade_path)
    manifest = cascade.manifest
    names = tuple(get_codec(name).name for name in codecs)
    with stored_rows(cascade, samples) as file:
        request = WorkerRequest(
            cascade=str(cascade_path),
            slow_down=slow_down,
            codecs=names,
            samples=file,
            repeats=repeats,
            budget_s=budget_s,
            batches=tuple(sorted({1, *batches})),
            rest_s=rest_s,
        )
        reply = ask_worker(request, tier, WorkerReply)
    return Profile(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        tier=tier,
        slow_down=slow_down,
        how="measured",
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        pinned_cpu=reply.pinned_cpu,
        exit_segments=manifest.exit_segments,
        segments=reply.segments,
        payloads=reply.payloads,
        transport=transport,
    )


def segment_costs(cascade_path: str | Path, *, repeats: int = 200, budget_s: float = 6.0) -> tuple[SegmentCost, ...]:
    """Seconds of every segment in every precision it has, on this machine, in a fresh process.

    Parameters
    ----------
    cascade_path : the folder ``NAME.cascade``
    repeats, budget_s : as for `measure`

    Raises
    ------
    ConfigError : the measuring process failed
    """
    request = WorkerRequest(
        cascade=str(cascade_path), slow_down=1.0, codecs=(), samples=None, repeats=repeats, budget_s=budget_s
    )
    return ask_worker(request, "this machine", WorkerReply).segments


@contextmanager
def stored_rows(cascade: Cascade, samples: Sequence[Array] | Array | None) -> Iterator[str | None]:
    """The rows, checked and tokenised, in a file for the measuring process; ``None`` where there are none.

    Raises
    ------
    SampleError : they do not fit the cascade
    """
    if samples is None:
        yield None
        return
    rows = (samples,) if isinstance(samples, np.ndarray) else samples
    arrays = check_rows(cascade.manifest, cascade.reader()(rows))
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
        file = str(Path(folder) / "samples.npz")
        np.savez(file, *arrays)
        yield file


def ask_worker(request: BaseModel, tier: str, reply: type[Reply], module: str = "worker") -> Reply:
    """Have a fresh process of ``offramp.profiles`` measure, and read what it answers.

    Raises
    ------
    ConfigError : it failed, or answered nonsense
    """
    done = subprocess.run(
        [sys.executable, "-m", f"offramp.profiles.{module}"],
        input=request.model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
        raise ConfigError(f"measuring tier {tier!r} failed with exit code {done.returncode}: {last}")
    try:
        return reply.model_validate_json(done.stdout)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise ConfigError(f"measuring tier {tier!r}: the measuring process answered nonsense ({first})") from error
