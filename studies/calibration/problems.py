"""What the study runs on: exits on a device, one answer in the cloud, and what both cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, RecordMismatch
from offramp.profiles.profile import load_profile
from offramp.records.records import Records, load_records

__all__ = ["EXAMPLES", "SOURCES", "Cost", "Problem", "Source", "load_problem"]

EXAMPLES = Path(__file__).parents[2] / "examples"

#: FLOP/s the modelled tiers are taken to run at, where no profile is committed
DEVICE_FLOPS, CLOUD_FLOPS = 2e9, 2e12


@dataclass(frozen=True)
class Source:
    """Where a problem comes from: the first ``device`` exits of a cascade run on the device, its last exit (or that
    of ``cloud``, another cascade on the same rows) in the cloud. ``cut_bytes`` is what is uploaded."""

    cascade: str
    device: int
    cut_bytes: int | None = None
    cloud: str | None = None

    @property
    def name(self) -> str:
        """How the rows of the study call it."""
        return self.cascade if self.cloud is None else f"{self.cascade} + {self.cloud}"


#: cuts: float32 features behind the last exit on the device; a pair uploads the image, one byte a value
SOURCES = (
    Source("resnet32-cifar100", 3, 4 * 32 * 16 * 16),
    Source("mobilenetv2-cifar100", 3, 4 * 96 * 8 * 8),
    Source("resnet8-cifar100", 1, 3072, "compact-cifar100"),
    Source("cifar10", 2, 4 * 32 * 16 * 16),
    Source("resnet20", 3, 4 * 64 * 8 * 8),
    Source("balexnet", 4, 4 * 96 * 8 * 8),
    Source("resnet8-cifar10", 1, 3072, "compact-cifar10"),
    Source("sst2", 3),
    Source("mrpc", 5),
)


@dataclass(frozen=True)
class Cost:
    """Seconds on the device up to each of its exits (k,) and in the cloud, bytes uploaded, and how they are known."""

    device_s: NDArray[np.float64]
    cloud_s: float
    payload_bytes: float
    how: str


@dataclass(frozen=True)
class Problem:
    """Logits (k + 1, n, K) of the k exits on the device and of the cloud, labels (n,), and the cost where known."""

    name: str
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    data: str
    cost: Cost | None

    @property
    def device(self) -> int:
        """k, the exits on the device."""
        return len(self.logits) - 1

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(k + 1, n) who is right."""
        return np.asarray(self.logits.argmax(-1) == self.labels)


def load_problem(source: Source, examples: Path | None = None) -> Problem:
    """Read the records of a source; all its rows are one pool.

    A pair whose cloud has no records yet is judged on the device alone: the device's own last exit stands in for the
    cloud, which leaves what the device decides as it is, and there is no cost.

    Raises
    ------
    RecordMismatch : no records, too few exits, or two cascades whose rows differ
    """
    folder = EXAMPLES if examples is None else examples
    near = load_records(folder / source.cascade / "records" / "fp32.parquet")
    there = None if source.cloud is None else folder / source.cloud / "records" / "fp32.parquet"
    alone = there is not None and not there.is_file()
    far = near if there is None or alone else load_records(there)
    if near.exits < source.device + (source.cloud is None):
        raise RecordMismatch(f"{source.name}: {near.exits} exits are too few for {source.device} on the device")
    if not (np.array_equal(near.row, far.row) and np.array_equal(near.labels, far.labels)):
        raise RecordMismatch(f"{source.name}: the two cascades were recorded on different rows")
    logits = np.concatenate([near.logits[: source.device], far.logits[-1:]])
    cost = None if alone else _cost(source, near, far, folder)
    name = f"{source.cascade} alone" if alone else source.name
    return Problem(name, logits, near.labels, near.provenance.data, cost)


def _cost(source: Source, near: Records, far: Records, folder: Path) -> Cost | None:
    try:
        return _profiled(source, folder / source.cascade / "profiles")
    except ConfigError:
        return _modelled(source, near, far)


def _profiled(source: Source, folder: Path) -> Cost:
    device, cloud = (load_profile(folder / f"{tier}.json") for tier in ("device", "cloud"))
    last = device.exit_segments[source.device - 1]
    seconds = np.cumsum([segment.median_s for segment in device.segments])
    rest = float(sum(segment.median_s for segment in cloud.segments if segment.segment > last))
    payload = next(p.payload_bytes for p in device.payloads if p.cut == last + 1 and p.codec == "raw")
    how = f"profile of {source.cascade}, device measured at {device.slow_down:g}x slow-down, cloud as measured"
    return Cost(seconds[list(device.exit_segments[: source.device])], rest, payload, how)


def _modelled(source: Source, near: Records, far: Records) -> Cost | None:
    flops = np.asarray(near.provenance.exit_flops, np.float64)
    if source.cut_bytes is None or not len(flops) or not len(far.provenance.exit_flops):
        return None
    whole = float(far.provenance.exit_flops[-1])
    rest = whole if source.cloud else whole - float(flops[source.device - 1])
    how = f"modelled: FLOPs of the exits at {DEVICE_FLOPS:.0e} FLOP/s on the device, {CLOUD_FLOPS:.0e} in the cloud"
    return Cost(flops[: source.device] / DEVICE_FLOPS, rest / CLOUD_FLOPS, float(source.cut_bytes), how)
