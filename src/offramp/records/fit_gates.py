"""Gates fitted on tune rows: one half of them, so that the other half can choose thresholds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from offramp.confidence.gates import EntropyGate, GainGate, Gate, LogisticGate, MarginGate, ThresholdGate
from offramp.confidence.gates.scoring import gate_body
from offramp.errors import ConfigError, RecordMismatch
from offramp.records.confidences import exit_evidence
from offramp.records.records import Records

__all__ = ["GATE_KINDS", "choosing_rows", "fit_gates", "fitting_rows"]

_SEED = 0
_Fit = Callable[[Records, Sequence[float], int], Gate]


def fitting_rows(records: Records) -> Records:
    """The half of the tune rows that fits gates: drawn by a fixed seed, whatever the order of the rows.

    Raises
    ------
    NotEnoughSamples : there are no tune rows
    """
    tune = records.on("tune")
    return tune.take(_halves(tune)[0])


def choosing_rows(records: Records, gates: Sequence[Gate] | None = None) -> Records:
    """The tune rows that choose thresholds: all of them, or the half that did not fit ``gates``.

    A gate that has more than a threshold was fitted.

    Raises
    ------
    NotEnoughSamples : there are no tune rows
    """
    tune = records.on("tune")
    fitted = any(len(gate_body(gate)) > 1 for gate in gates or ())
    return tune.take(_halves(tune)[1]) if fitted else tune


def fit_gates(records: Records, temperatures: Sequence[float] | None = None, kind: str = "gain") -> tuple[Gate, ...]:
    """One gate per early exit, without a threshold: `offramp.planning.search` and ``certify`` choose those.

    Parameters
    ----------
    records : half of their tune rows fit the gates (`fitting_rows`); the others are left to choose thresholds
    temperatures : (E,) of the exits, default 1.0
    kind : ``gain`` (against the last exit, from the answers of earlier exits too), ``logistic`` (the exit is right),
        ``margin`` and ``entropy`` (nothing to fit), or ``max_probability``

    Raises
    ------
    ConfigError : an unknown kind
    NotEnoughSamples : no tune rows, or too few to fit a gate
    RecordMismatch : the number of temperatures is not that of the exits

    Examples
    --------
    >>> from offramp.records.records import RecordProvenance
    >>> draw = np.random.default_rng(0)
    >>> labels = draw.integers(0, 3, 400)
    >>> logits = draw.normal(size=(2, 400, 3)) + np.eye(3)[labels] * np.array([1.0, 3.0])[:, None, None]
    >>> records = Records(logits.astype(np.float32), labels, np.full(400, "tune"), np.arange(400), ("early", "final"),
    ...                   RecordProvenance("made-up", "f", "made up", "d", 0, "docs", "2026-01-01T00:00:00Z"))
    >>> (gate,) = fit_gates(records, kind="gain")
    >>> gate.kind, gate.threshold, len(fitting_rows(records)), len(choosing_rows(records, [gate]))
    ('gain', None, 200, 200)
    """
    if kind not in _FITS:
        raise ConfigError(f"no gates of kind {kind!r}; there are {', '.join(_FITS)}")
    degrees = (1.0,) * records.exits if temperatures is None else tuple(temperatures)
    if len(degrees) != records.exits:
        raise RecordMismatch(f"{len(degrees)} temperatures for the {records.exits} exits of the records")
    rows = fitting_rows(records)
    return tuple(_FITS[kind](rows, degrees, index) for index in range(records.exits - 1))


def _halves(tune: Records) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], ...]:
    """Indices of the two halves, each as recorded."""
    drawn = np.argsort(tune.row, kind="stable")[np.random.default_rng(_SEED).permutation(len(tune))]
    return np.sort(drawn[: len(drawn) // 2]), np.sort(drawn[len(drawn) // 2 :])


def _gain(records: Records, temperatures: Sequence[float], index: int) -> Gate:
    right = records.correct
    return GainGate.fit(exit_evidence(records, temperatures, index), right[index], right[-1])


def _logistic(records: Records, temperatures: Sequence[float], index: int) -> Gate:
    return LogisticGate.fit(exit_evidence(records, temperatures, index, labels=False), records.correct[index])


_FITS: dict[str, _Fit] = {
    "max_probability": lambda records, temperatures, index: ThresholdGate(None),
    "margin": lambda records, temperatures, index: MarginGate(None),
    "entropy": lambda records, temperatures, index: EntropyGate(None),
    "logistic": _logistic,
    "gain": _gain,
}
#: what `fit_gates` can make; the first is what a plan has unless told otherwise
GATE_KINDS = tuple(_FITS)
