"""Every controller over real traces of a moving link.

``python -m studies.edgent.dynamic`` recomputes ``dynamic.json``; it needs the traces in OFFRAMP_DATA.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from offramp.errors import ConfigError, DataError
from offramp.links.trace import Trace
from offramp.planning.controllers.base import Controller
from offramp.simulation.arrivals import evenly
from offramp.simulation.controlled import simulate_controlled
from studies.edgent.moving import LINK, SETS, START_BPS, controllers, load_traces, tuning
from studies.edgent.tables import Tables, load_tables

__all__ = ["DEADLINES_S", "SYSTEMS", "Outcome", "Stored", "load_stored", "replay_trace", "run", "shortest", "total"]

FILE = Path(__file__).parent / "dynamic.json"
DEADLINES_S = (0.3, 0.5, 1.0)
RATE_HZ = 0.5
MONITOR_S = 1.0
#: system -> (controller, whether the image travels as floats, whether the device answers late samples itself)
SYSTEMS = {
    "Edgent static": ("edgent-static", True, False),
    "Edgent dynamic": ("edgent-dynamic", True, False),
    "Edgent static, bytes": ("edgent-static", False, False),
    "Edgent dynamic, bytes": ("edgent-dynamic", False, False),
    "SPINN": ("spinn", False, False),
    "offramp, waits": ("offramp-waits", False, False),
    "offramp": ("offramp", False, True),
    "clairvoyant, waits": ("clairvoyant-waits", False, False),
    "clairvoyant": ("clairvoyant", False, True),
}


@dataclass(frozen=True)
class Outcome:
    """What a controller did: counts of samples, and their seconds added up.

    ``late``: answered after the deadline; ``degraded``: by an earlier exit than planned, computed on the device;
    ``right``: correct answers, however late; ``right_in_time``: those given by the deadline.
    """

    samples: int
    late: int
    degraded: int
    right: int
    right_in_time: int
    latency_s: float

    @property
    def miss_rate(self) -> float:
        """Share of answers after the deadline."""
        return self.late / self.samples

    @property
    def accuracy(self) -> float:
        """Share of right answers, late ones too."""
        return self.right / self.samples

    @property
    def mean_latency_s(self) -> float:
        """Seconds from question to answer."""
        return self.latency_s / self.samples


@dataclass(frozen=True)
class Stored:
    """Outcomes by set, deadline and system, and what they were computed from."""

    cascade_fingerprint: str
    how: str
    outcomes: dict[tuple[str, float, str], Outcome]
    check: dict[str, Outcome]


def replay_trace(
    tables: Tables, controller: Controller, trace: Trace, deadline_s: float, *, seed: int, rescued: bool
) -> Outcome:
    """Test rows in random order, sent at `RATE_HZ` for as long as the trace lasts."""
    rng = np.random.default_rng(seed)
    samples = max(1, round(RATE_HZ * trace.period_s))
    rows = rng.integers(0, len(tables.test), samples)
    found = simulate_controlled(
        controller,
        [each.on("test").take(rows) for each in tables.variants],
        tables.profiles,
        tables.network(START_BPS),
        evenly(RATE_HZ, samples) + rng.random() / RATE_HZ,
        {LINK: trace},
        deadline_s=deadline_s if rescued else None,
        monitor_s=MONITOR_S,
    )
    late = found.late(deadline_s)
    return Outcome(
        samples=samples,
        late=int(late.sum()),
        degraded=int(found.degraded.sum()),
        right=int(found.correct.sum()),
        right_in_time=int((found.correct & ~late).sum()),
        latency_s=float(found.latency_s.sum()),
    )


def total(outcomes: Iterable[Outcome]) -> Outcome:
    """Added up."""
    columns = zip(*(asdict(each).values() for each in outcomes), strict=True)
    return Outcome(*(sum(column) for column in columns))


def run(
    tables: Tables, traces: Sequence[Trace], deadline_s: float, systems: Sequence[str] = tuple(SYSTEMS)
) -> Iterator[tuple[str, Outcome]]:
    """Every system over some traces."""
    floats = tables.of_floats()
    makers = {True: controllers(floats, deadline_s), False: controllers(tables, deadline_s)}
    for system in systems:
        name, as_floats, rescued = SYSTEMS[system]
        made, sent = makers[as_floats][name], floats if as_floats else tables
        outcomes = (
            replay_trace(sent, made(trace), trace, deadline_s, seed=seed, rescued=rescued)
            for seed, trace in enumerate(traces)
        )
        yield system, total(outcomes)


def shortest(traces: Sequence[Trace]) -> list[Trace]:
    """Two traces that a study can replay again within seconds."""
    return sorted(traces, key=lambda trace: trace.period_s)[:2]


def load_stored(file: Path = FILE) -> Stored:
    """The committed outcomes.

    Raises
    ------
    ConfigError : missing or damaged
    """
    try:
        body = json.loads(file.read_text())
        return Stored(
            cascade_fingerprint=body["cascade_fingerprint"],
            how=body["how"],
            outcomes={
                (row.pop("set"), row.pop("deadline_s"), row.pop("system")): Outcome(**row) for row in body["outcomes"]
            },
            check={row.pop("system"): Outcome(**row) for row in body["check"]},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: no outcomes ({error}); run 'python -m studies.edgent.dynamic'") from error


def main() -> int:
    """Recompute and store."""
    tables = load_tables()
    rows, check = [], []
    for name in SETS:
        traces = load_traces(name)
        if not traces:
            raise DataError(f"no traces of {name}; OFFRAMP_DATA must name the folder that holds traces/{name}")
        reported = [trace for trace in traces if trace not in tuning(traces)]
        for deadline_s in DEADLINES_S:
            for system, outcome in run(tables, reported, deadline_s):
                rows.append({"set": name, "deadline_s": deadline_s, "system": system, **asdict(outcome)})
                print(json.dumps(rows[-1]), flush=True)
        if name == SETS[-1]:
            check = [{"system": s, **asdict(o)} for s, o in run(tables, shortest(reported), DEADLINES_S[-1])]
    body = {
        "cascade_fingerprint": tables.records.provenance.cascade_fingerprint,
        "how": f"simulated: three quarters of the traces, {RATE_HZ:g} images a second, every link monitored each "
        f"{MONITOR_S:g} s; test rows",
        "outcomes": rows,
        "check": check,
    }
    FILE.write_text(json.dumps(body, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
