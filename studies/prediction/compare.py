"""What the tables predict of a run, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.planning.costs import cost_table
from offramp.planning.plan import Prediction
from offramp.planning.replay import predict, replay_exits
from offramp.records.records import Records
from offramp.simulation.arrivals import poisson
from offramp.simulation.journey import Compute, Transfer, journeys
from offramp.simulation.simulate import simulate
from studies.prediction.measurement import MeasuredRun, Measurement
from studies.prediction.terms import predicted_terms

__all__ = ["Compared", "Forecast", "busiest_s", "compare"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """Mean and 95 % quantile of the latency, and the mean seconds by term."""

    mean_s: float
    p95_s: float
    terms_s: dict[str, float]


@dataclass(frozen=True)
class Compared:
    """A run, what was predicted of it from the calibrate rows, and what is for just the rows that were sent.

    What is left of the second error is the costs', not the luck of the rows (and of the times they came).
    """

    run: MeasuredRun
    ahead: Forecast
    same_rows: Forecast

    def mean_error(self, forecast: Forecast) -> float:
        """Predicted over measured mean latency, less 1."""
        return forecast.mean_s / float(self.run.latency_s.mean()) - 1.0

    def p95_error(self, forecast: Forecast) -> float:
        """Predicted over measured 95 % quantile, less 1."""
        return forecast.p95_s / float(np.quantile(self.run.latency_s, 0.95)) - 1.0


def compare(measured: Measurement, run: MeasuredRun, records: Records) -> Compared:
    """Predict a run: from the calibrate rows, and again for the rows that were sent.

    Samples that came one after the other are predicted by `offramp.planning`, as a plan file has it; samples at
    random times by `offramp.simulation`, the calibrate rows at times of their own at the same rate.

    Raises
    ------
    RecordMismatch : the records do not belong to the measurement
    """
    sent, held_out = measured.sent(records), records.on("calibrate")
    if run.rate_hz is None:
        return Compared(run, _planned(measured, run, held_out), _planned(measured, run, sent))
    arrival_s = poisson(run.rate_hz, len(held_out), np.random.default_rng(measured.seed))
    ahead = _simulated(measured, run, held_out, arrival_s)
    return Compared(run, ahead, _simulated(measured, run, sent, run.arrival_s))


def busiest_s(measured: Measurement, run: MeasuredRun, records: Records) -> float:
    """Mean seconds a sample keeps the busiest tier, or direction of a link, of a plan busy."""
    plan, network = measured.plan(run), measured.network(run)
    share = np.bincount(replay_exits(plan, records.on("tune")), minlength=records.exits) / len(records.on("tune"))
    busy: dict[object, float] = {}
    for part, stages in zip(share.tolist(), journeys(plan, measured.profiles, network), strict=True):
        for stage in stages:
            if isinstance(stage, Compute):
                busy[stage.tier] = busy.get(stage.tier, 0.0) + part * stage.seconds
            elif isinstance(stage, Transfer):
                where = (stage.link, stage.up)
                seconds = network.links[stage.link].transfer_s(stage.message_bytes)
                busy[where] = busy.get(where, 0.0) + part * seconds
    return max(busy.values())


def _predicted(measured: Measurement, run: MeasuredRun, records: Records) -> Prediction:
    costs = cost_table(measured.profiles, measured.network(run), measured.plans[run.plan].codec, records.exits)
    return predict(measured.plan(run), records, costs)


def _planned(measured: Measurement, run: MeasuredRun, records: Records) -> Forecast:
    found = _predicted(measured, run, records)
    return Forecast(found.mean_latency_s, found.p95_latency_s, predicted_terms(found.terms))


def _simulated(measured: Measurement, run: MeasuredRun, records: Records, arrival_s: Floats) -> Forecast:
    """The terms are those without queues, and what queues add."""
    found = simulate(measured.plan(run), records, measured.profiles, measured.network(run), arrival_s)
    alone = _predicted(measured, run, records)
    mean_s = float(found.latency_s.mean())
    terms_s = {**predicted_terms(alone.terms), "queue": mean_s - alone.mean_latency_s}
    return Forecast(mean_s, float(np.quantile(found.latency_s, 0.95)), terms_s)
