"""Samples per minute of a replay in virtual time, through one plan and through controllers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.plan_case import PlanCase, all_codecs
from benchmarks.plan_search import LOSS, find
from benchmarks.timed import timed
from offramp.links.estimators import Ewma
from offramp.links.trace import Trace
from offramp.planning.controllers.fixed import FixedController
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.controllers.replanning import ReplanningController
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.replanner import Replanner
from offramp.records.records import Records
from offramp.simulation.arrivals import poisson
from offramp.simulation.controlled import SimulatedControl, simulate_controlled
from offramp.simulation.simulate import simulate

__all__ = ["replay_rows"]

Floats = NDArray[np.float64]

#: what a replay of one plan must reach
ASKED_PER_MINUTE = 1e6


def replay_rows(quick: bool) -> list[dict[str, Any]]:
    """Samples per minute, against a million."""
    segments, most, static, controlled = (6, 500, 5_000, 500) if quick else (50, 100_000, 1_000_000, 50_000)
    case = PlanCase.of(segments, variants=1)
    plan = find(case, most, alternatives=0).plan
    with all_codecs():
        replanner = Replanner(
            case.records[0],
            case.profiles,
            case.network,
            Objective(accuracy_loss=LOSS),
            temperatures=case.temperatures,
            max_settings=most,
        )
    traces = _traces(case)
    repeats = 1 if quick else 3
    several = case, controlled, traces, repeats
    return [
        _row("one plan, steady links", static, *_static(case, plan, static, None, repeats)),
        _row("one plan, moving links", static, *_static(case, plan, static, traces, repeats)),
        _row("a fixed controller, moving links", controlled, *_fixed(plan, *several)),
        _row("a re-planning controller, moving links", controlled, *_moved(replanner, *several)),
    ]


def _static(
    case: PlanCase, plan: Plan, samples: int, traces: dict[str, Trace] | None, repeats: int
) -> tuple[float, str]:
    records, arrival_s = _many(case.records[0], samples), _arrivals(plan, samples)
    seconds, found = timed(
        lambda: simulate(plan, records, case.profiles, case.network, arrival_s, traces),
        repeats,
    )
    return seconds, _told(found.latency_s)


def _fixed(plan: Plan, case: PlanCase, samples: int, traces: dict[str, Trace], repeats: int) -> tuple[float, str]:
    records, arrival_s = _many(case.records[0], samples), _arrivals(plan, samples)
    seconds, found = timed(
        lambda: simulate_controlled(FixedController(plan), records, case.profiles, case.network, arrival_s, traces),
        repeats,
    )
    alone = simulate(plan, records, case.profiles, case.network, arrival_s, traces)
    if not np.allclose(found.latency_s, alone.latency_s, rtol=0, atol=1e-6):
        raise RuntimeError("a fixed controller does not give the latencies of its plan")
    return seconds, _told(found.latency_s)


def _moved(
    replanner: Replanner, case: PlanCase, samples: int, traces: dict[str, Trace], repeats: int
) -> tuple[float, str]:
    plan = replanner.plan_of(replanner.replan())
    records, arrival_s = _many(case.records[0], samples), _arrivals(plan, samples)

    def job() -> SimulatedControl:
        views = [LinkView(Ewma(link.bandwidth_bps)) for link in case.network.links]
        controller = ReplanningController(replanner, views)
        return simulate_controlled(controller, records, case.profiles, case.network, arrival_s, traces)

    seconds, found = timed(job, repeats)
    return seconds, f"{len(found.plans)} plans; {_told(found.latency_s)}"


def _many(records: Records, samples: int) -> Records:
    """The calibrate rows again and again."""
    rows = records.on("calibrate")
    at = np.arange(samples) % len(rows)
    return replace(
        rows, logits=rows.logits[:, at], labels=rows.labels[at], split=rows.split[at], row=np.arange(samples)
    )


def _arrivals(plan: Plan, samples: int) -> Floats:
    """At half of what the plan could answer one by one."""
    mean_s = 1.0 if plan.predicted is None else plan.predicted.mean_latency_s
    return poisson(0.5 / mean_s, samples, np.random.default_rng(0))


def _traces(case: PlanCase) -> dict[str, Trace]:
    """Every link's rate times 0.3 to 3, anew every second of ten minutes, again and again."""
    rng = np.random.default_rng(0)
    return {
        f"{link.source}-{link.target}": Trace(
            tuple(float(second) for second in range(600)),
            tuple((link.bandwidth_bps * 10 ** rng.uniform(-0.5, 0.5, 600)).tolist()),
            loop=True,
        )
        for link in case.network.links
    }


def _told(latency_s: Floats) -> str:
    return f"mean latency {latency_s.mean() * 1e3:.3g} ms"


def _row(name: str, samples: int, seconds: float, notes: str) -> dict[str, Any]:
    per_minute = samples / seconds * 60
    return {
        "name": f"replay in virtual time: {name}",
        "baseline": ASKED_PER_MINUTE,
        "ours": per_minute,
        "ratio": per_minute / ASKED_PER_MINUTE,
        "unit": "samples/min",
        "how": f"measured: {samples} samples",
        "notes": f"{notes}. Baseline: a million a minute, asked of one plan; above 1 is faster",
    }
