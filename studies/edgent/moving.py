"""Real traces, and the controllers that follow them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from offramp.data.registry import data_folder
from offramp.errors import PlanInfeasible
from offramp.links.estimators import Ewma
from offramp.links.trace import Trace, load_trace
from offramp.planning.controllers.base import Controller
from offramp.planning.controllers.clairvoyant import ClairvoyantController
from offramp.planning.controllers.configurator import ConfiguratorController
from offramp.planning.controllers.in_time import InTimeController
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.controllers.rerun import RerunController
from offramp.planning.most_accurate import MostAccurate
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.published.edgent import Edgent
from offramp.planning.published.edgent_dynamic import EdgentDynamic
from offramp.planning.published.spinn import Spinn
from studies.edgent.tables import Tables

__all__ = ["LINK", "SETS", "START_BPS", "MakeController", "controllers", "load_traces", "scaled", "tuning"]

LINK = "device-edge"
SETS = ("belgium_4g", "norway_hsdpa")
#: the highest bandwidth of either set after scaling, as published
TOP_BPS = 10e6
#: what every controller believes before the first observation
START_BPS = 1e6
#: SPINN may lose so much accuracy against the last exit
SPINN_LOSS = 0.01
SPINN_WEIGHT = 0.3
#: of the newest observation; chosen on the traces for tuning, where 1 beat 0.5, harmonic means and low quantiles
OFFRAMP_WEIGHT = 1.0
#: accuracy offramp may give up to be sooner
SLACK = 0.005
#: Edgent's reward is exp(accuracy) + 1 / t; with t in milliseconds accuracy counts, in seconds only speed does
REWARD_UNIT_S = 1e-3

MakeController = Callable[[Trace], Controller]


def load_traces(name: str) -> list[Trace]:
    """The traces of a set, scaled by one factor so that the highest value of the set is `TOP_BPS`; they loop.

    Empty where the data folder lacks them.
    """
    folder = data_folder()
    files = sorted((folder / "traces" / name).glob("*.csv.gz")) if folder else []
    traces = [load_trace(file, loop=True) for file in files]
    top = max((max(trace.bandwidth_bps) for trace in traces), default=1.0)
    return [scaled(trace, TOP_BPS / top) for trace in traces]


def tuning(traces: Sequence[Trace]) -> list[Trace]:
    """Every fourth trace: on these settings are chosen; results are reported on the others."""
    return list(traces[::4])


def scaled(trace: Trace, factor: float) -> Trace:
    """Every bandwidth times a factor."""
    return Trace(trace.time_s, tuple(factor * bps for bps in trace.bandwidth_bps), trace.name, trace.loop)


def controllers(tables: Tables, deadline_s: float) -> dict[str, MakeController]:
    """A maker of every controller for one deadline; what they prepare is shared by all traces."""
    start = tables.network(START_BPS)
    goal = Objective(accuracy_loss=1.0, deadline_s=deadline_s)
    raw = MostAccurate(tables.records, tables.profiles, start, deadline_s, codecs=["raw"])
    patient, guarded = (
        MostAccurate(
            tables.variants,
            tables.profiles,
            start,
            deadline_s,
            slack=SLACK,
            guarded=guarded,
            temperatures=tables.temperatures,
        )
        for guarded in (False, True)
    )

    @cache
    def fastest(bandwidth_bps: float) -> Plan:
        return raw.plan_of(raw.fastest(raw.cost_s(bandwidth_bps)))

    @cache
    def edgent(bandwidth_bps: float) -> Plan:
        return Edgent(codecs=["raw"]).plan(tables.records, tables.profiles, tables.network(bandwidth_bps), goal)

    @cache
    def spinn(bandwidth_bps: float) -> Plan:
        for loss in (SPINN_LOSS, 1.0):
            limits = Objective(accuracy_loss=loss, deadline_s=deadline_s)
            try:
                return Spinn().plan(tables.records, tables.profiles, tables.network(bandwidth_bps), limits)
            except PlanInfeasible:
                continue
        return fastest(bandwidth_bps)

    dynamic = EdgentDynamic(codecs=["raw"], reward_unit_s=REWARD_UNIT_S)
    first = dynamic.configurator(tables.records, tables.profiles, start, goal)
    return {
        "edgent-static": lambda trace: RerunController(edgent, LinkView(Ewma(START_BPS, weight=1.0)), fallback=fastest),
        "edgent-dynamic": lambda trace: ConfiguratorController(
            type(first)(first.states, first.plans, first.states.index(first.state))
        ),
        "spinn": lambda trace: RerunController(spinn, LinkView(Ewma(START_BPS, weight=SPINN_WEIGHT))),
        "offramp-waits": lambda trace: InTimeController(patient, [LinkView(Ewma(START_BPS, weight=OFFRAMP_WEIGHT))]),
        "offramp": lambda trace: InTimeController(guarded, [LinkView(Ewma(START_BPS, weight=OFFRAMP_WEIGHT))]),
        "clairvoyant-waits": lambda trace: ClairvoyantController(patient, {LINK: trace}),
        "clairvoyant": lambda trace: ClairvoyantController(guarded, {LINK: trace}),
    }
