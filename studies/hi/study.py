"""What offloading only the unsure samples saves and costs, over the price of an offload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from studies.hi.batches import batches
from studies.hi.bearings import bearings
from studies.hi.filters import filters
from studies.hi.pairs import PAIRS, Pair, PairSpec, pairs
from studies.hi.published import ACCURACY, LOCAL, OFFLOADED, REMOTE, THRESHOLD
from studies.hi.rules import PRICES, RULES, Numbers, numbers_of
from studies.row import StudyRow

__all__ = ["study"]

ROWS, SPLITS, SEED = 1000, 200, 0
_SAME = 1e-12
#: what we take "a large saving at a small loss of accuracy" to mean
SAVED, LOST = 0.5, 0.01


@dataclass(frozen=True)
class _Result:
    """Medians over the splits, (prices,) of each rule."""

    pair: Pair
    cost: Mapping[str, NDArray[np.float64]]
    offloaded: Mapping[str, NDArray[np.float64]]
    accuracy: Mapping[str, NDArray[np.float64]]
    error: NDArray[np.float64]
    how: str


def study(splits: int = SPLITS, specs: tuple[PairSpec, ...] = PAIRS, others: bool = True) -> Iterator[StudyRow]:
    """Every row of the study; ``others`` adds batches, bearings and relevance filters.

    Raises
    ------
    RecordMismatch : no records at all, or those of a pair are not of the same rows
    """
    results, left_out = [], []
    for pair in pairs(specs):
        if isinstance(pair, str):
            left_out.append(pair)
            continue
        result = _run(pair, splits)
        results.append(result)
        yield from _published(pair)
        yield from _numbers(result)
        yield from _claims(result)
    if not results:
        raise RecordMismatch("no records of any pair; record one first with 'offramp record'")
    if left_out:
        yield StudyRow("pairs left out", None, len(left_out), "pairs", "; ".join(left_out))
    difference = 100 * np.stack([r.cost["gain"] - r.cost["theta*"] for r in results])
    kept = int((difference <= 100 * _SAME).sum())
    how = f"{len(results)} pairs, {len(PRICES)} prices; holds: all of them"
    yield StudyRow("gain at or below theta*", None, kept, f"of {difference.size}", how, kept == difference.size)
    if others:
        yield from batches(results[0].pair)
        yield from bearings()
        yield from filters()


def _run(pair: Pair, splits: int) -> _Result:
    rng, rows = np.random.default_rng(SEED), len(pair)
    fitted = min(ROWS, rows // 2)
    found: list[Mapping[str, Numbers]] = []
    for _ in range(splits):
        order = rng.permutation(rows)
        found.append(numbers_of(pair, order[:fitted], order[fitted:]))
    medians = [
        {rule: np.median([getattr(each[rule], name) for each in found], axis=0) for rule in RULES}
        for name in ("cost", "offloaded", "accuracy")
    ]
    spread = np.std([each["gain"].cost - each["theta*"].cost for each in found], axis=0)
    temperature = "temperature from the tune rows" if pair.calibrated else "no tune rows, so no temperature"
    how = (
        f"replayed, median of {splits} splits of {rows:,} rows: {fitted:,} to fit, {rows - fitted:,} to evaluate; "
        f"{temperature}; mistakes of the large network charged"
    )
    cost, offloaded, accuracy = medians
    return _Result(pair, cost, offloaded, accuracy, np.asarray(spread), how)


def _published(pair: Pair) -> Iterator[StudyRow]:
    """Their threshold and their share of offloads, on our pair; their numbers are those of CIFAR-10."""
    test = pair.test
    raw, here, later = pair.raw[test], pair.right_here[test], pair.right_later[test]
    theirs = pair.name.startswith("CIFAR-10 ")
    said = "; published: recalled, with another pair of networks" if theirs else "; published: CIFAR-10 only"
    how = f"replayed on the {len(raw):,} test rows, no temperature{said}"
    below = raw < THRESHOLD
    least = np.argsort(raw, kind="stable")[: round(OFFLOADED / 100 * len(raw))]
    both = here.copy()
    both[least] = later[least]
    accuracy = 100 * np.array([here.mean(), later.mean(), np.where(below, later, here).mean(), both.mean()])
    small, large, _, answered = accuracy.tolist()
    same = f"the least sure {OFFLOADED} % offloaded"
    rows = (
        ("small alone: accuracy", LOCAL, small),
        ("large alone: accuracy", REMOTE, large),
        (f"threshold {THRESHOLD}: offloaded", OFFLOADED, 100 * float(below.mean())),
        (f"threshold {THRESHOLD}: accuracy", ACCURACY, float(accuracy[2])),
        (f"{same}: accuracy", ACCURACY, answered),
        (
            f"{same}: gap closed",
            100 * (ACCURACY - LOCAL) / (REMOTE - LOCAL),
            100 * (answered - small) / (large - small),
        ),
    )
    for name, published, ours in rows:
        yield StudyRow(f"{pair.name}, {name}", published if theirs else None, ours, "%", how)


def _numbers(result: _Result) -> Iterator[StudyRow]:
    for index, price in enumerate(PRICES.tolist()):
        where = f"{result.pair.name}, price {price:g}"
        for rule in RULES:
            yield StudyRow(f"{where}: cost, {rule}", None, 100 * float(result.cost[rule][index]), "per 100", result.how)
        for rule in ("theta*", "gain"):
            sent, right = (100 * float(each[rule][index]) for each in (result.offloaded, result.accuracy))
            yield StudyRow(f"{where}: offloaded, {rule}", None, sent, "%", result.how)
            yield StudyRow(f"{where}: accuracy, {rule}", None, right, "%", result.how)


def _claims(result: _Result) -> Iterator[StudyRow]:
    for index, price in enumerate(PRICES.tolist()):
        where = f"{result.pair.name}, price {price:g}"
        against = 100 * float(result.cost["gain"][index] - result.cost["theta*"][index])
        how = (
            f"{result.how}; difference of medians, {100 * result.error[index]:.2f} spread over splits; holds: at most 0"
        )
        yield StudyRow(f"{where}: gain - theta*", None, against, "per 100", how, against <= 100 * _SAME)
    lost = result.accuracy["always"] - result.accuracy["theta*"]
    saved = np.where(lost <= LOST, 1.0 - result.offloaded["theta*"], 0.0)
    best = int(saved.argmax())
    how = (
        f"{result.how}; theta* at the price ({PRICES[best]:g}) that saves most with at most {100 * LOST:g} point of "
        f"accuracy lost against full offload ({100 * lost[best]:.2f} lost); holds: at least {100 * SAVED:g} %"
    )
    share = float(saved[best])
    theirs = 100 - OFFLOADED if result.pair.name.startswith("CIFAR-10 ") else None
    yield StudyRow(f"{result.pair.name}: offloads saved", theirs, 100 * share, "%", how, share >= SAVED)
