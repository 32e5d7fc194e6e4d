"""Risks a certificate speaks of, and the test of each under many gate settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.counting import Counter
from offramp.errors import ConfigError, NotEnoughSamples

__all__ = ["AccuracyLoss", "EarlyAccuracy", "Evidence", "Measured", "Risk"]

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

#: a test passes with ease where its p-value should be at most this part of delta
_EASE = 0.2


@dataclass(frozen=True)
class Evidence:
    """What n rows show: ``score`` (E - 1, n) of the early exits, ``correct`` (E, n), ``group`` (n,) names of groups.

    ``reference`` (n,) is whether what losses are counted against is right; by default the last exit.
    """

    score: NDArray[np.float32]
    correct: Bools
    group: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, "<U1"))
    reference: Bools | None = None

    @property
    def rows(self) -> int:
        """n."""
        return int(self.correct.shape[1])

    def members(self, group: str | None) -> Bools:
        """(n,) the rows of a group, all of them for ``None``.

        Raises
        ------
        NotEnoughSamples : the group has no rows
        """
        if group is None:
            return np.ones(self.rows, bool)
        here = np.asarray(self.group == group) if len(self.group) else np.zeros(self.rows, bool)
        if not here.any():
            known = ", ".join(np.unique(self.group)[:8].tolist()) or "none"
            raise NotEnoughSamples(
                f"no row is of group {group!r}, so nothing can be said of it; the groups are {known}"
            )
        return here


@dataclass(frozen=True)
class Measured:
    """What m settings did to the rows a risk speaks of.

    ``bad`` and ``good`` (m,) count what raises and what lowers the risk, ``of`` (m,) the rows that count;
    ``exact`` (m,) marks settings whose risk is met by construction, whatever the data.
    """

    bad: Counts
    good: Counts
    of: Counts
    exact: Bools

    def at(self, settings: NDArray[np.integer]) -> Measured:
        """Of some of the settings."""
        return Measured(self.bad[settings], self.good[settings], self.of[settings], self.exact[settings])


class Risk(ABC):
    """A mean over the rows to come that must stay at or below a limit."""

    kind: str
    group: str | None

    @abstractmethod
    def measure(self, counter: Counter, evidence: Evidence) -> Measured:
        """Count over settings (m,) and the rows of ``evidence``."""

    @abstractmethod
    def value(self, measured: Measured) -> Floats:
        """(m,) the mean on these rows, in the units of the limit."""

    @abstractmethod
    def p_values(self, measured: Measured, test: NDArray[np.str_] | str, delta: float) -> Floats:
        """(m,) of "the limit is broken"; `tests` names the choices, one for all settings or one each."""

    @property
    @abstractmethod
    def tests(self) -> tuple[str, ...]:
        """Tests to choose from before the rows are seen."""

    @abstractmethod
    def safety(self, measured: Measured) -> Floats:
        """(m,) how far below the limit, in standard errors: the order of the tests, from rows that are not tested."""

    def choose_test(self, measured: Measured, rows: int, delta: float) -> NDArray[np.str_]:
        """(m,) the test that should give the least p-value on ``rows`` rows like those measured.

        The first of `tests` is taken wherever it should pass with ease: it stands a worse draw best.
        """
        scale = rows / max(1, int(measured.of.max(initial=1)))
        bad, good, of = (_scaled(counts, scale) for counts in (measured.bad, measured.good, measured.of))
        expected = Measured(bad, good, of, measured.exact)
        p = np.stack([self.p_values(expected, test, delta) for test in self.tests])
        p[0][p[0] <= _EASE * delta] = 0.0
        return np.asarray(np.array(self.tests)[p.argmin(0)])

    @abstractmethod
    def rows_needed(self, delta: float) -> int:
        """Fewest rows that can ever certify anything but the fallback."""

    @abstractmethod
    def words(self) -> str:
        """The statement, to follow "with probability at least 1 - delta, "."""

    def _of_group(self) -> str:
        return "" if self.group is None else f" on {self.group}"


@dataclass(frozen=True)
class AccuracyLoss(Risk):
    """Accuracy lost against always using the last exit: mean of 1{answer wrong} - 1{last exit wrong} <= limit.

    The test ``signed`` uses these losses as they are (`offramp.confidence.bounds.signed`); ``truncated`` counts
    only what is lost, never what is won, and is exact for that: better for small limits and few rows.

    Examples
    --------
    >>> AccuracyLoss(0.01).words()
    'at most 1 point of accuracy is lost against always using the last exit'
    """

    limit: float
    group: str | None = None
    kind: Literal["accuracy_loss"] = "accuracy_loss"

    def __post_init__(self) -> None:
        if not 0.0 < self.limit < 1.0:
            raise ConfigError(
                f"the accuracy loss to certify must lie in (0, 1), not {self.limit}; a loss of 0 needs endless rows"
            )

    @property
    def tests(self) -> tuple[str, ...]:
        """Signed or truncated losses."""
        return ("signed", "truncated")

    def measure(self, counter: Counter, evidence: Evidence) -> Measured:
        here = evidence.members(self.group)
        last = evidence.correct[-1] if evidence.reference is None else evidence.reference
        bad = counter.count(~evidence.correct & (last & here))
        good = counter.count(evidence.correct & (~last & here))
        never = np.asarray(np.isinf(counter.thresholds).all(1)) & (evidence.reference is None)
        return Measured(bad, good, np.full(len(bad), int(here.sum())), never)

    def value(self, measured: Measured) -> Floats:
        return np.asarray((measured.bad - measured.good) / measured.of)

    def p_values(self, measured: Measured, test: NDArray[np.str_] | str, delta: float) -> Floats:
        from offramp.confidence.bounds.binomial import binomial_p_value  # scipy: a device reads certificates without
        from offramp.confidence.bounds.signed import signed_p_value

        which = np.broadcast_to(np.asarray(test), measured.bad.shape)
        p, rows = np.zeros(measured.bad.shape), int(measured.of[0])
        signed, truncated = which == "signed", which == "truncated"
        p[signed] = signed_p_value(measured.bad[signed], measured.good[signed], rows, self.limit, delta)
        p[truncated] = binomial_p_value(measured.bad[truncated], rows, self.limit)
        return np.where(measured.exact, 0.0, p)

    def safety(self, measured: Measured) -> Floats:
        room = self.limit * measured.of - (measured.bad - measured.good)
        return np.where(measured.exact, np.inf, room / np.sqrt(measured.bad + measured.good + 1.0))

    def rows_needed(self, delta: float) -> int:
        from offramp.confidence.bounds.binomial import rows_needed

        return rows_needed(self.limit, delta)

    def words(self) -> str:
        points = 100 * self.limit
        unit = "point" if points == 1 else "points"
        return f"at most {points:g} {unit} of accuracy is lost against always using the last exit{self._of_group()}"


@dataclass(frozen=True)
class EarlyAccuracy(Risk):
    """Accuracy of what the first ``exits`` exits decide: P(right | left there) >= target.

    With those exits on the device this is the target accuracy of calibration-aided offloading (Pacheco et al. 2021).
    The test is exact: of m rows that left there, the right ones are binomial.

    Examples
    --------
    >>> EarlyAccuracy(0.9, exits=1).words()
    'what the first exit decides is right at least 90 % of the time'
    """

    target: float
    exits: int
    group: str | None = None
    kind: Literal["early_accuracy"] = "early_accuracy"

    def __post_init__(self) -> None:
        if not 0.0 < self.target < 1.0:
            raise ConfigError(f"the accuracy to certify must lie in (0, 1), not {self.target}")
        if self.exits < 1:
            raise ConfigError(f"the accuracy of the first exits needs at least one of them, not {self.exits}")

    @property
    def tests(self) -> tuple[str, ...]:
        """The exact one."""
        return ("binomial",)

    def measure(self, counter: Counter, evidence: Evidence) -> Measured:
        if self.exits >= len(evidence.correct):
            raise ConfigError(
                f"the accuracy of the first {self.exits} exits was asked for, but only "
                f"{len(evidence.correct) - 1} of the {len(evidence.correct)} exits are early"
            )
        early = (np.arange(len(evidence.correct)) < self.exits)[:, None] & evidence.members(self.group)
        good, bad = counter.count(early & evidence.correct), counter.count(early & ~evidence.correct)
        never = np.asarray(np.isinf(counter.thresholds[:, : self.exits]).all(1))
        return Measured(bad, good, good + bad, never)

    def value(self, measured: Measured) -> Floats:
        return np.asarray(1.0 - measured.bad / np.maximum(measured.of, 1))

    def p_values(self, measured: Measured, test: NDArray[np.str_] | str, delta: float) -> Floats:
        from offramp.confidence.bounds.binomial import binomial_p_value

        return np.where(measured.exact, 0.0, binomial_p_value(measured.bad, measured.of, 1.0 - self.target))

    def safety(self, measured: Measured) -> Floats:
        room = (1.0 - self.target) * measured.of - measured.bad
        variance = self.target * (1.0 - self.target) * measured.of
        return np.where(measured.exact, np.inf, room / np.sqrt(variance + 1.0))

    def rows_needed(self, delta: float) -> int:
        from offramp.confidence.bounds.binomial import rows_needed

        return rows_needed(1.0 - self.target, delta)

    def words(self) -> str:
        who = "the first exit decides" if self.exits == 1 else f"the first {self.exits} exits decide"
        return f"what {who} is right at least {100 * self.target:g} % of the time{self._of_group()}"


def _scaled(counts: Counts, factor: float) -> Counts:
    return np.asarray(np.rint(counts * factor), np.int64)
