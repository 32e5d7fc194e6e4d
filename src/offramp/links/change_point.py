"""Bayesian online detection of changes in a link's bandwidth."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, SampleError

__all__ = ["ChangeDetector", "NormalGamma"]

Floats = NDArray[np.float64]

#: from this shape on, the series for log(gamma(a + 1/2) / gamma(a)) is exact to 1e-13
_LARGE_SHAPE = 16.0


@dataclass(frozen=True, slots=True)
class NormalGamma:
    """What is believed of log(bandwidth in bit/s) before a run is seen.

    Its precision is Gamma(``alpha``, rate ``beta``), and its mean, given the precision, is normal around ``mean``
    with ``kappa`` times that precision. The defaults expect it to scatter by about 0.3 within a run (a third, up and
    down) and by about 1.4 from run to run (a factor of 4).

    Parameters
    ----------
    mean : ``None`` takes that of the first observation
    kappa, alpha, beta : above 0

    Raises
    ------
    ConfigError : one of them is no such number
    """

    mean: float | None = None
    kappa: float = 0.05
    alpha: float = 2.0
    beta: float = 0.2

    def __post_init__(self) -> None:
        for name in ("kappa", "alpha", "beta"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"prior of a change detector: {name} must be above 0, not {value}")
        if self.mean is not None and not math.isfinite(self.mean):
            raise ConfigError(f"prior of a change detector: mean must be a number, not {self.mean}")


class ChangeDetector:
    """How long the link has been as it is now.

    Bandwidths are log-normal within a run, a run ends before any observation with probability ``1 / expected_run``,
    and then a new mean and spread are drawn from the prior. One hypothesis is kept per length of the current run,
    which counts the newest observation: while all are kept the posterior is exact. When there are more than
    ``max_runs`` of them the least probable is dropped, never one of the ``recent`` shortest, so time and memory of an
    update are bounded.

    In the recursion of the paper the probability of run length 0 is always the hazard, whatever is seen. Here a run
    begins with its first observation, so that the run of length 1 has the evidence of that observation.

    A change too small to be told within ``recent`` observations does not make `changed` true; `level_bps` and the run
    lengths follow it all the same.

    Parameters
    ----------
    expected_run : mean observations between two changes, above 1
    threshold : probability from which on `changed` holds, in (0, 1)
    recent : a change is one that took place within so many observations
    prior : of log(bandwidth)
    max_runs : most hypotheses, above ``recent``
    floor_bps : what is slower counts as this, an outage (0) too

    Raises
    ------
    ConfigError : one of these rules is broken

    Source: Adams and MacKay 2007, arXiv 0710.3742; Edgent (Li et al. 2020) uses it to look up its configuration map.

    Examples
    --------
    >>> detector = ChangeDetector()
    >>> max(detector.update(5e6) for _ in range(50)) < 0.1
    True
    >>> [detector.update(5e5) > 0.5 for _ in range(3)]
    [True, True, True]
    >>> detector.most_likely_run_length, round(detector.level_bps, -4)
    (3, 520000.0)
    >>> ChangeDetector.from_json(detector.to_json()) == detector
    True
    """

    def __init__(
        self,
        expected_run: float = 100.0,
        threshold: float = 0.5,
        recent: int = 10,
        prior: NormalGamma | None = None,
        max_runs: int = 200,
        floor_bps: float = 1000.0,
    ) -> None:
        if not (math.isfinite(expected_run) and expected_run > 1):
            raise ConfigError(f"change detector: expected_run must be above 1 observation, not {expected_run}")
        if not 0 < threshold < 1:
            raise ConfigError(f"change detector: threshold must lie in (0, 1), not {threshold}")
        if not (isinstance(recent, int) and isinstance(max_runs, int) and 1 <= recent < max_runs):
            raise ConfigError(
                f"change detector: recent must be 1 or more and max_runs above it, not {recent} and {max_runs}"
            )
        if not (math.isfinite(floor_bps) and floor_bps > 0):
            raise ConfigError(f"change detector: floor_bps must be above 0, not {floor_bps}")
        self.expected_run, self.threshold, self.recent = float(expected_run), float(threshold), recent
        self.prior, self.max_runs, self.floor_bps = prior or NormalGamma(), max_runs, float(floor_bps)
        #: observations so far
        self.observed = 0
        #: posterior probability that a run began within the last ``recent`` observations (the first is no change)
        self.probability = 0.0
        self._origin = self.prior.mean  # mean of the prior in use
        self._run = np.zeros(0, np.int64)  # hypotheses, shortest run first
        self._log_p, self._mean, self._beta = np.zeros((3, 0))

    def update(self, bandwidth_bps: float) -> float:
        """Take one bandwidth; the probability of a recent change.

        Raises
        ------
        SampleError : negative, infinite or NaN; the state stays as it was
        """
        if not (math.isfinite(bandwidth_bps) and bandwidth_bps >= 0):
            raise SampleError(f"change detector: an observed bandwidth must be zero or more bit/s, not {bandwidth_bps}")
        x = math.log(max(bandwidth_bps, self.floor_bps))
        if self._origin is None:
            self._origin = x
        begins = -math.log(self.expected_run) if self.observed else 0.0
        run = np.concatenate(([0], self._run))
        log_p = np.concatenate(([begins], self._log_p + math.log1p(-1.0 / self.expected_run)))
        mean = np.concatenate(([self._origin], self._mean))
        beta = np.concatenate(([self.prior.beta], self._beta))
        kappa, alpha = self.prior.kappa + run, self.prior.alpha + run / 2.0
        log_p += _log_predictive(x - mean, kappa, alpha, beta)
        self._beta = beta + kappa * (x - mean) ** 2 / (2.0 * (kappa + 1.0))
        self._mean = mean + (x - mean) / (kappa + 1.0)
        self._run, self._log_p = run + 1, log_p
        self.observed += 1
        self._drop()
        self._log_p -= _log_sum(self._log_p)
        started = (self._run <= self.recent) & (self._run < self.observed)
        self.probability = min(1.0, float(np.exp(self._log_p[started]).sum()))
        return self.probability

    @property
    def changed(self) -> bool:
        """Whether a recent change is at least as probable as ``threshold``; holds for up to ``recent`` observations."""
        return self.probability >= self.threshold

    @property
    def expected_run_length(self) -> float:
        """Posterior mean of the length of the current run, in observations; 0 before the first."""
        return float(np.exp(self._log_p) @ self._run)

    @property
    def most_likely_run_length(self) -> int:
        """Posterior mode of the length of the current run; 0 before the first observation."""
        return int(self._run[self._log_p.argmax()]) if self.observed else 0

    @property
    def level_bps(self) -> float:
        """Median bandwidth of the most likely run; NaN before the first observation."""
        return math.exp(self._mean[self._log_p.argmax()]) if self.observed else math.nan

    @property
    def log_std(self) -> float:
        """Scatter of log(bandwidth) within the most likely run; NaN before the first observation."""
        if not self.observed:
            return math.nan
        best = self._log_p.argmax()
        return math.sqrt(self._beta[best] / (self.prior.alpha + self._run[best] / 2.0))

    def _drop(self) -> None:
        if len(self._run) <= self.max_runs:
            return
        keep = np.arange(len(self._run)) != self.recent + self._log_p[self.recent :].argmin()
        self._run, self._log_p = self._run[keep], self._log_p[keep]
        self._mean, self._beta = self._mean[keep], self._beta[keep]

    def to_json(self) -> str:
        """One line of JSON with settings and state."""
        names = ("expected_run", "threshold", "recent", "max_runs", "floor_bps", "observed", "probability")
        state = {"run": self._run, "log_p": self._log_p, "mean": self._mean, "beta": self._beta}
        body = {"version": 1, **{name: getattr(self, name) for name in names}, "prior": asdict(self.prior)}
        return json.dumps({**body, "origin": self._origin, **{name: each.tolist() for name, each in state.items()}})

    @classmethod
    def from_json(cls, text: str) -> ChangeDetector:
        """Read a detector back; it goes on where it was.

        Raises
        ------
        ConfigError : not a detector of this version
        """
        try:
            body: dict[str, Any] = json.loads(text)
            if body.pop("version") != 1:
                raise ValueError("it is not of version 1")
            run = np.array(body.pop("run"), np.int64)
            rows = np.array([body.pop(name) for name in ("log_p", "mean", "beta")], float)
            observed, probability, origin = (
                int(body.pop("observed")),
                float(body.pop("probability")),
                body.pop("origin"),
            )
            detector = cls(**{**body, "prior": NormalGamma(**body["prior"])})
            sound = rows.shape == (3, len(run)) and np.isfinite(rows).all() and (rows[2] > 0).all()
            if not (sound and len(run) == min(observed, detector.max_runs) and (np.diff(run) > 0).all()):
                raise ValueError("its hypotheses do not fit each other")
            if not (0 <= probability <= 1 and (run >= 1).all() and (run <= observed).all()):
                raise ValueError("its state is out of range")
            if observed and not math.isfinite(origin):
                raise ValueError("it has observations, but no mean of the prior")
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ConfigError(f"not a change detector ({error}); start a new one") from error
        detector.observed, detector.probability, detector._origin = observed, probability, origin
        detector._run, (detector._log_p, detector._mean, detector._beta) = run, rows
        return detector

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChangeDetector) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __repr__(self) -> str:
        return (
            f"ChangeDetector(expected_run={self.expected_run!r}, threshold={self.threshold!r}, recent={self.recent!r}, "
            f"prior={self.prior!r}, max_runs={self.max_runs!r}, floor_bps={self.floor_bps!r})"
        )


def _log_predictive(off: Floats, kappa: Floats, alpha: Floats, beta: Floats) -> Floats:
    """Log density of the next value, ``off`` from the mean: Student t with 2 alpha degrees of freedom."""
    width = 2.0 * beta * (kappa + 1.0) / kappa  # degrees of freedom times scale squared
    density = _log_gamma_ratio(alpha) - 0.5 * np.log(np.pi * width) - (alpha + 0.5) * np.log1p(off * off / width)
    return np.asarray(density, float)


def _log_gamma_ratio(alpha: Floats) -> Floats:
    """log(gamma(alpha + 1/2) / gamma(alpha)), without scipy."""
    x = np.maximum(alpha, _LARGE_SHAPE)
    ratio = np.log(x) / 2 - 1 / (8 * x) + 1 / (192 * x**3) - 1 / (640 * x**5) + 17 / (14336 * x**7)
    for index in np.flatnonzero(alpha < _LARGE_SHAPE):
        a = float(alpha[index])
        ratio[index] = math.lgamma(a + 0.5) - math.lgamma(a)
    return np.asarray(ratio, float)


def _log_sum(log_p: Floats) -> float:
    highest = float(log_p.max())
    return highest + math.log(float(np.exp(log_p - highest).sum()))
