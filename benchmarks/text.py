"""A text encoder on the device: its prefix by length of text, and what routing before it costs beside it.

Needs a built cascade of MiniLM: ``OFFRAMP_TEXT_CASCADE``, else ``out/sst2/minilm-sst2.cascade``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.row import BenchmarkRow
from offramp.cascade.quantise import quantise
from offramp.cascade.segment import Segment, session_options
from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import ConfigError
from offramp.policies.base import Arrival
from offramp.policies.difficulty.tier_model import TierModel
from offramp.policies.difficulty.tier_router import TierRouter

__all__ = ["run"]

#: not among all: it needs a built cascade
BY_NAME = True
DEFAULT = Path(__file__).parents[1] / "out" / "sst2" / "minilm-sst2.cascade"
LENGTHS = (8, 16, 32, 64)
#: segments on the mobile: layers 1 and 2
PREFIX = 2
_WORDS, _WIDTH, _COMPONENTS = 30_522, 384, 64

Array = NDArray[Any]


def run(quick: bool) -> list[BenchmarkRow]:
    """Milliseconds of the mobile prefix in fp32 and int8, and microseconds of routing; batch 1, one thread.

    Parameters
    ----------
    quick : a tenth of the repeats, two lengths

    Raises
    ------
    ConfigError : there is no cascade of MiniLM here
    """
    folder = Path(os.environ.get("OFFRAMP_TEXT_CASCADE", DEFAULT))
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such cascade; build it with 'offramp build examples/sst2/config.toml', or name one in "
            "OFFRAMP_TEXT_CASCADE"
        )
    repeats, lengths = (20, LENGTHS[1:3]) if quick else (200, LENGTHS)
    rng = np.random.default_rng(0)
    rows: list[BenchmarkRow] = []
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / folder.name
        shutil.copytree(folder, copy)
        cascade = _quantised(open_cascade(copy), rng)
        for precision in ("fp32", f"int8:{PREFIX}"):
            ours = [cascade.segment(index, precision=precision) for index in range(PREFIX)]
            bare = [
                ort.InferenceSession(str(cascade.segment_file(index, precision)), session_options())
                for index in range(PREFIX)
            ]
            rows += [_prefix(ours, bare, _tokens(rng, length), precision, repeats) for length in lengths]
    return rows + [_routing(row, rng, repeats) for row in rows if "fp32" in row.name]


def _quantised(cascade: Cascade, rng: np.random.Generator) -> Cascade:
    ids = rng.integers(1000, 29_000, (64, 24))
    return quantise(cascade, [ids, np.ones_like(ids)], list(range(PREFIX)))


def _tokens(rng: np.random.Generator, length: int) -> list[Array]:
    ids = rng.integers(1000, 29_000, (1, length))
    return [ids, np.ones_like(ids)]


def _prefix(
    ours: Sequence[Segment], bare: Sequence[ort.InferenceSession], tokens: list[Array], precision: str, repeats: int
) -> BenchmarkRow:
    def through_ours() -> None:
        tensors: Sequence[Array] = tokens
        for segment in ours:
            tensors = segment.run(tensors).hand_over

    def through_bare() -> None:
        tensors = tokens
        for session in bare:
            names = [each.name for each in session.get_inputs()]
            given = [*tensors, np.array(1.0, np.float32)][: len(names)]
            tensors = session.run(None, dict(zip(names, given, strict=True)))[:2]

    ours_ms, bare_ms = _medians_in_turn(through_ours, through_bare, repeats)
    name = f"mobile prefix, {precision.split(':', maxsplit=1)[0]}, {tokens[0].shape[1]} tokens"
    note = "baseline: the same segments in bare ONNX Runtime; exits computed"
    return BenchmarkRow(name, bare_ms, ours_ms, ours_ms / bare_ms, "ms", _how(repeats), note)


def _routing(prefix: BenchmarkRow, rng: np.random.Generator, repeats: int) -> BenchmarkRow:
    """Mean embedding, 64 components, and the router, in numpy."""
    length = int(prefix.name.split(", ")[-1].split()[0])
    words = rng.normal(size=(_WORDS, _WIDTH)).astype(np.float32)
    places = rng.normal(size=(64, _WIDTH)).astype(np.float32)
    axes = rng.normal(size=(_COMPONENTS, _WIDTH)).astype(np.float32)
    axes -= axes.mean(1, keepdims=True)  # takes the norm's mean away once, and not for every text
    model = TierModel(tuple(rng.normal(size=67).tolist()), tuple(rng.normal(size=67).tolist()), 0.1, 0.2)
    router = TierRouter((0.8,) * 5, (0, 2, 4), [model] * 3, 0.0, (0.1,) * 5)
    ids, over = rng.integers(1000, 29_000, length), np.full(_WIDTH, 1.0 / _WIDTH, np.float32)

    def route() -> None:
        hidden = words[ids]
        hidden += places[: len(ids)]
        means = hidden @ over
        squares = np.einsum("ij,ij->i", hidden, hidden) / _WIDTH
        scale = 1.0 / (len(ids) * np.sqrt(squares - means * means + 1e-12))
        features = np.empty(_COMPONENTS + 2, np.float32)
        features[:_COMPONENTS] = axes @ (scale @ hidden)  # components of the mean of the normalised rows
        features[_COMPONENTS:] = len(ids), 1.0
        router.route(Arrival(0, features))

    ours_ms, _ = _medians_in_turn(route, lambda: None, 10 * repeats)
    note = "baseline: the mobile prefix in fp32; aim: at most 1 %"
    share = 100 * ours_ms / prefix.ours
    return BenchmarkRow(
        f"routing, {length} tokens", 1000 * prefix.ours, 1000 * ours_ms, share, "us", _how(repeats), note
    )


def _how(repeats: int) -> str:
    return f"measured: median of {repeats} runs, one thread, batch 1, in turn; the ratio of routing is in percent"


def _medians_in_turn(one: Callable[[], None], two: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Milliseconds."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + 3):
        for job, found in zip((one, two), seconds, strict=True):
            begin = time.perf_counter()
            job()
            found.append(time.perf_counter() - begin)
    return 1000 * float(np.median(seconds[0][3:])), 1000 * float(np.median(seconds[1][3:]))
