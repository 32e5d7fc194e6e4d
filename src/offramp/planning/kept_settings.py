"""Gate settings that let no sample beyond an exit, and the accuracy one may count on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY, GateSettings, exits_taken
from offramp.planning.problem import Problem
from offramp.planning.vertices import lower_vertices, tail_shares
from offramp.records.confidences import gate_scores

__all__ = ["Kept", "kept_settings"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]

#: standard deviations a normal value exceeds with 5 % probability
_ONE_SIDED = 1.645


@dataclass(frozen=True)
class Kept:
    """Settings (V,) of a variant worth having, the last exit each can reach, the accuracy one may count on."""

    setting: Index
    last_exit: Index
    accuracy: Floats


def kept_settings(problem: Problem, which: int, slack: float) -> Kept:
    """Of variant ``which``: for every exit all samples leaving there, and the gates before it that come within
    ``slack`` of the most accurate on the tune rows and may be fastest.

    One may count on the tune rows for one exit of the reference for all samples; else on the same, plus what is gained
    against it on the calibrate rows, less 1.645 standard deviations.
    """
    variant, reference = problem.variants[which], problem.variants[0].settings
    settings, rows = variant.settings, variant.held_out
    score = gate_scores(rows, problem.temperatures, problem.gates)
    found: dict[int, tuple[int, float]] = {}
    plain = [_alone(reference, here) for here in _by_last_exit(reference, problem.records.exits)]
    for exit_index, here in enumerate(_by_last_exit(settings, problem.records.exits)):
        alone = float(reference.accuracy[plain[exit_index]])
        near = here[settings.accuracy[here] >= settings.accuracy[here].max() - slack - TINY]
        near = near[lower_vertices(tail_shares(settings.share[near]))]  # those that may be fastest
        right_alone = problem.variants[0].held_out.correct[exit_index]
        for setting in {_alone(settings, here), *near.tolist()}:
            thresholds = settings.thresholds_of(np.array([setting]))[0]
            right = rows.correct[exits_taken(score, thresholds), np.arange(len(rows))]
            found[setting] = exit_index, alone + _sure_gain(right, right_alone)
        if which == 0:
            found[plain[exit_index]] = exit_index, alone
    last, accuracy = zip(*found.values(), strict=True)
    return Kept(np.array(list(found), np.intp), np.array(last, np.intp), np.array(accuracy))


def _sure_gain(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """What is gained in accuracy on the same rows, less 1.645 standard deviations."""
    gained = right.astype(int) - other
    return float((gained.sum() - _ONE_SIDED * np.sqrt(np.abs(gained).sum())) / len(gained))


def _alone(settings: GateSettings, here: Index) -> int:
    """Of settings with the same last exit the one whose other gates are off."""
    thresholds = settings.thresholds_of(here)
    return int(here[((thresholds == 0) | np.isinf(thresholds)).all(1)][0])


def _by_last_exit(settings: GateSettings, exits: int) -> list[Index]:
    """For every exit the settings that let no sample beyond it, by a threshold of 0; the last one has no gate before.

    A sample meets no gate after that, so those are off.
    """
    thresholds = settings.thresholds
    found = []
    for exit_index in range(exits):
        off = np.isinf(thresholds[:, exit_index + 1 :]).all(1)
        stops = thresholds[:, exit_index] == 0 if exit_index < exits - 1 else True
        found.append(np.flatnonzero(off & stops & (thresholds[:, :exit_index] > 0).all(1)))
    return found
