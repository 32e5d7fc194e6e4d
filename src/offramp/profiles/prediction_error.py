"""How far predicted seconds are from measured ones, on operators and cascades that were left out of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples, RecordMismatch
from offramp.profiles.measurements import CascadeMeasurement, SegmentMeasurement
from offramp.profiles.operator_costs import (
    Features,
    fit_operator_costs,
    fit_operators,
    predicted_seconds,
    traced_seconds,
)
from offramp.profiles.operators import FEATURES, PUBLISHED_FEATURES, Operator

__all__ = ["PredictionError", "operator_errors", "segment_errors"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PredictionError:
    """Errors of three ways to predict ``count`` pieces of work, relative to what was measured.

    ``flops`` multiplies the FLOPs with one factor for each precision (``None`` for operators that have none),
    ``published`` uses Neurosurgeon's and Edgent's features, ``fitted`` ours. Of operators each is the sum of the
    absolute errors over the sum of ``seconds``, of segments the mean of the errors relative to their processor
    time; ``worst`` is the largest relative error of ``fitted``. ``None`` where a kind of operator was in no other
    cascade.
    """

    name: str
    count: int
    seconds: float
    flops: float | None
    published: float | None
    fitted: float | None
    worst: float | None


def operator_errors(
    measured: Sequence[CascadeMeasurement], folds: int = 5, seed: int = 0
) -> tuple[PredictionError, ...]:
    """Errors for each group of operators, by k-fold cross-validation.

    Operators of the same shapes are in the same fold, so that none is predicted from its twin.

    Parameters
    ----------
    measured : as for `offramp.profiles.operator_costs.fit_operator_costs`
    folds : k, at least 2
    seed : of the folds

    Raises
    ------
    NotEnoughSamples : fewer than two folds, or fewer different operators than folds
    """
    traced_s = fit_operator_costs(measured).traced_s
    operators = [op for each in measured for segment in each.segments for op in segment.operators]
    twins = {key: index for index, key in enumerate(dict.fromkeys(map(_shapes, operators)))}
    if folds < 2 or len(twins) < folds:
        raise NotEnoughSamples(f"{folds} folds need as many different operators and at least 2, not {len(twins)}")
    fold_of = np.random.default_rng(seed).permutation(len(twins)) % folds
    fold = np.array([fold_of[twins[_shapes(operator)]] for operator in operators])
    seconds = np.array([traced_seconds(operator, traced_s) for operator in operators])
    ways = {name: np.full(len(operators), np.nan) for name in ("flops", "published", "fitted")}
    for k in range(folds):
        rest = [operator for operator, f in zip(operators, fold, strict=True) if f != k]
        factors = _factors([(op.macs, op.integer, traced_seconds(op, traced_s)) for op in rest])
        published, fitted = (fit_operators(rest, traced_s, each) for each in (PUBLISHED_FEATURES, FEATURES))
        for i in np.flatnonzero(fold == k):
            operator = operators[i]
            ways["flops"][i] = factors.get(operator.integer, np.nan) * operator.macs or np.nan
            for name, found in (("published", published), ("fitted", fitted)):
                coefficients = found.get(operator.type) or found.get(operator.group)
                if coefficients is not None:
                    ways[name][i] = predicted_seconds(coefficients, operator)
    groups = np.array([operator.group for operator in operators])
    return tuple(
        PredictionError(
            name=group,
            count=int((groups == group).sum()),
            seconds=float(seconds[groups == group].sum()),
            **{name: _weighted(each[groups == group], seconds[groups == group]) for name, each in ways.items()},
            worst=_largest(ways["fitted"][groups == group], np.maximum(seconds[groups == group], 1e-6)),
        )
        for group in sorted(set(groups.tolist()))
    )


def segment_errors(measured: Sequence[CascadeMeasurement]) -> tuple[PredictionError, ...]:
    """Errors of whole segments, for each cascade and precision, predicted from all the other cascades.

    Measurements of single operators, if there are any, are always among the others and never predicted.

    Raises
    ------
    NotEnoughSamples : there is only one measurement, so nothing to predict it from
    """
    if len(measured) < 2:
        raise NotEnoughSamples("leaving a cascade out needs the measurements of at least two")
    errors: list[PredictionError] = []
    for index, left_out in enumerate(measured):
        if not left_out.is_cascade:
            continue
        others = [*measured[:index], *measured[index + 1 :]]
        for precision in dict.fromkeys(segment.cost.precision for segment in left_out.segments):
            chosen = [segment for segment in left_out.segments if segment.cost.precision == precision]
            errors.append(_of_cascade(f"{left_out.cascade}, {precision}", chosen, others))
    return tuple(errors)


def _of_cascade(
    name: str, segments: Sequence[SegmentMeasurement], others: Sequence[CascadeMeasurement]
) -> PredictionError:
    medians = np.array([segment.cpu_s for segment in segments])
    known = [segment for each in others for segment in each.segments if each.is_cascade]
    factors = _factors([(_macs(each), each.cost.precision != "fp32", each.cpu_s) for each in known])
    factor = factors.get(segments[0].cost.precision != "fp32")
    flops = None if factor is None else np.array([factor * _macs(segment) for segment in segments])
    published, fitted = (_predicted(segments, others, each) for each in (PUBLISHED_FEATURES, FEATURES))
    return PredictionError(
        name=name,
        count=len(segments),
        seconds=float(medians.sum()),
        flops=_mean(flops, medians),
        published=_mean(published, medians),
        fitted=_mean(fitted, medians),
        worst=None if fitted is None else _largest(fitted, medians),
    )


def _predicted(
    segments: Sequence[SegmentMeasurement], others: Sequence[CascadeMeasurement], features: Features
) -> Floats | None:
    costs = fit_operator_costs(others, features)
    try:
        return np.array([costs.segment_seconds(segment.operators) for segment in segments])
    except RecordMismatch:
        return None


def _shapes(operator: Operator) -> tuple[object, ...]:
    return operator.type, operator.integer, operator.inputs, operator.outputs


def _macs(segment: SegmentMeasurement) -> int:
    return sum(operator.macs for operator in segment.operators)


def _factors(pieces: Sequence[tuple[int, bool, float]]) -> dict[bool, float]:
    """Seconds per multiply-accumulate, for 8-bit data or not, with the least squared relative error."""
    factors = {}
    for integer in (False, True):
        rates = np.array([macs / max(s, 1e-6) for macs, kind, s in pieces if kind == integer and macs])
        if len(rates):
            factors[integer] = float(rates.sum() / (rates @ rates))
    return factors


def _weighted(predicted: Floats, seconds: Floats) -> float | None:
    known = np.isfinite(predicted)
    if not known.any() or not seconds[known].sum():
        return None
    return float(np.abs(predicted - seconds)[known].sum() / seconds[known].sum())


def _mean(predicted: Floats | None, seconds: Floats) -> float | None:
    return None if predicted is None else float(np.mean(np.abs(predicted / seconds - 1)))


def _largest(predicted: Floats, seconds: Floats) -> float | None:
    known = np.isfinite(predicted)
    return float(np.max(np.abs(predicted[known] / seconds[known] - 1))) if known.any() else None
