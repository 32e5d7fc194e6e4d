"""What looking at the spectrum costs every sample, beside the first segment of the network it guards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.row import BenchmarkRow
from offramp.cascade.store import open_cascade
from offramp.confidence.experts import DistortionExperts
from offramp.confidence.guard import MahalanobisGuard
from offramp.confidence.spectrum import radial_spectrum

__all__ = ["run"]

CASCADE = Path(__file__).parents[1] / "examples" / "cifar10" / "resnet8.cascade"
LEVELS = ("none", "blur1", "blur2", "noise10", "noise20")


def run(quick: bool) -> list[BenchmarkRow]:
    """Microseconds per sample, one sample at a time and in batches of 64.

    Parameters
    ----------
    quick : a tenth of the repeats
    """
    segment = open_cascade(CASCADE).segment(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (600, 32, 32, 3)).astype(np.uint8)
    spectra = radial_spectrum(images)
    guard = MahalanobisGuard.fit(spectra)
    labels = rng.integers(0, 10, 600)
    experts = DistortionExperts.fit(
        {level: spectra + at for at, level in enumerate(LEVELS)},
        {level: 3 * np.eye(10)[labels] + rng.normal(0, 2, (1, 600, 10)) for level in LEVELS},
        dict.fromkeys(LEVELS, labels),
    )
    rows = []
    for batch in (1, 64):
        some: NDArray[np.uint8] = images[:batch]
        logits = rng.normal(0, 1, (1, batch, 10)).astype(np.float32)
        repeats = 2_000 // batch // (10 if quick else 1) + 5
        first_us = _median_us(lambda some=some: segment.run([some]), repeats) / batch  # type: ignore[misc]
        for name, job in (
            ("spectrum and guard", lambda some=some: guard.passes(radial_spectrum(some))),
            (
                "spectrum, detector and experts",
                lambda some=some, logits=logits: experts.confidence(radial_spectrum(some), logits),
            ),
        ):
            ours_us = _median_us(job, repeats) / batch
            how = f"measured: median of {repeats} runs, one thread"
            note = f"baseline: the first segment of {CASCADE.name} in ONNX Runtime; batch {batch}, 32 x 32 pixels"
            rows.append(
                BenchmarkRow(
                    f"{name}, batch {batch}", first_us, ours_us, ours_us / first_us, "us per sample", how, note
                )
            )
    return rows


def _median_us(job: Callable[[], object], repeats: int) -> float:
    job()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - begin)
    return 1e6 * float(np.median(seconds))
