"""What errors and offloads cost under a gain gate, a threshold, a logistic decider, and with hindsight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from offramp.errors import RecordMismatch
from studies.gain.problems import PROBLEMS, Problem, ProblemSpec, problems
from studies.gain.rules import PRICES, RULES, costs_of_rules
from studies.row import StudyRow

__all__ = ["study"]

ROWS = 1000
SPLITS = 200
_SAME = 1e-12
_SURE = 2.0


@dataclass(frozen=True)
class _Result:
    """Mean costs of the rules on every split, ``costs[rule]`` (splits, prices).

    ``error`` (prices,) is the standard error of gain - threshold that is due to the rows of the pool: the cost of
    each row under either rule is averaged over the splits that evaluate it, and the spread of these differences
    divided by the square root of the rows.
    """

    name: str
    costs: dict[str, NDArray[np.float64]]
    error: NDArray[np.float64]
    how: str

    def median(self, rule: str) -> NDArray[np.float64]:
        """(prices,) in units of one error."""
        return np.asarray(np.median(self.costs[rule], axis=0))


def study(splits: int = SPLITS, specs: tuple[ProblemSpec, ...] = PROBLEMS) -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : no records at all, or two sets of records are not of the same rows
    """
    results, left_out = [], []
    for problem in problems(specs):
        if isinstance(problem, str):
            left_out.append(problem)
            continue
        result = _run(problem, splits)
        results.append(result)
        yield from _costs(result)
        yield from _claims(result)
    if not results:
        raise RecordMismatch("no records of any problem; record a cascade first with 'offramp record'")
    if left_out:
        yield StudyRow("problems left out", None, len(left_out), "problems", "; ".join(left_out))
    yield from _summary(results)


def _run(problem: Problem, splits: int) -> _Result:
    rng = np.random.default_rng(0)
    rows = len(problem)
    fitted = min(ROWS, rows // 2)
    means: dict[str, list[NDArray[np.float64]]] = {rule: [] for rule in RULES}
    difference, seen = np.zeros((len(PRICES), rows)), np.zeros(rows)
    for _ in range(splits):
        order = rng.permutation(rows)
        rest = order[fitted:]
        costs = costs_of_rules(problem, order[:fitted], rest)
        for rule, each in costs.items():
            means[rule].append(each.mean(1))
        difference[:, rest] += costs["gain"] - costs["threshold"]
        seen[rest] += 1
    error = (difference / np.maximum(seen, 1)).std(1) / np.sqrt(rows)
    how = (
        f"replayed, median of {splits} splits of {rows:,} calibrate and test rows: {fitted:,} to fit, "
        f"{rows - fitted:,} to evaluate; temperature from the tune rows; cost in errors per 100 rows"
    )
    return _Result(problem.name, {rule: np.stack(costs) for rule, costs in means.items()}, error, how)


def _costs(result: _Result) -> Iterator[StudyRow]:
    for index, price in enumerate(PRICES.tolist()):
        for rule in RULES:
            low, middle, high = (100 * np.quantile(result.costs[rule][:, index], [0.05, 0.5, 0.95])).tolist()
            how = f"{result.how}; 5 to 95 %: {low:.2f} to {high:.2f}"
            yield StudyRow(f"{result.name}, price {price:g}: {rule}", None, middle, "per 100", how)


def _claims(result: _Result) -> Iterator[StudyRow]:
    gain, threshold = result.median("gain"), result.median("threshold")
    hindsight, oracle = result.median("hindsight"), result.median("oracle")
    for index, price in enumerate(PRICES.tolist()):
        where = f"{result.name}, price {price:g}"
        against = 100 * float(gain[index] - threshold[index])
        how = f"{result.how}; difference of medians, standard error {100 * result.error[index]:.3f}; holds: at most 0"
        yield StudyRow(f"{where}: gain - threshold", None, against, "per 100", how, against <= 100 * _SAME)
        distance = 100 * float(gain[index] / hindsight[index] - 1)
        yield StudyRow(f"{where}: gain above hindsight", None, distance, "%", result.how)
        gap = float(hindsight[index] - oracle[index])
        closed = 100 * float(hindsight[index] - gain[index]) / gap if gap > _SAME else 0.0
        how = f"{result.how}; of the gap from the hindsight threshold to the oracle; negative: above hindsight"
        yield StudyRow(f"{where}: gap closed", None, closed, "%", how)


def _summary(results: list[_Result]) -> Iterator[StudyRow]:
    difference = np.stack([r.median("gain") - r.median("threshold") for r in results])
    how = f"{len(results)} problems, {len(PRICES)} prices each; medians over the splits"
    total, kept = difference.size, int((difference <= _SAME).sum())
    all_of_them = f"{how}; holds: all of them"
    yield StudyRow("gain at or below threshold", None, kept, f"of {total}", all_of_them, kept == total)
    mostly = int(((difference < -_SAME).sum(1) > len(PRICES) / 2).sum())
    least = f"{how}; problems where gain is below at more than half of the prices; holds: all of them"
    yield StudyRow("gain mostly below threshold", None, mostly, f"of {len(results)}", least, mostly == len(results))
    sure = _SURE * np.stack([r.error for r in results]) + _SAME
    errors = f"{how}; by more than {_SURE:g} standard errors of the pool"
    yield StudyRow("gain surely below threshold", None, int((difference < -sure).sum()), f"of {total}", errors)
    above = int((difference > sure).sum())
    yield StudyRow("gain surely above threshold", None, above, f"of {total}", f"{errors}; holds: none", above == 0)
    chance = float(ndtr(difference / np.maximum(sure / _SURE, _SAME)).sum())
    drawn = f"{how}; expected with other rows if every difference were the true one, given its standard error"
    yield StudyRow("gain above threshold, by chance", None, chance, f"of {total}", drawn)
    yield StudyRow("gain - threshold, worst", None, 100 * float(difference.max()), "per 100", how)
    yield StudyRow("gain - threshold, mean", None, 100 * float(difference.mean()), "per 100", how)
