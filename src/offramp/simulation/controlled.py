"""A controller in virtual time: it chooses the plan of every sample, and sees every transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, LinkDown
from offramp.links.network import Network
from offramp.links.trace import Trace
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.plan import Plan
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.simulation.inputs import check_arrivals, rates_of
from offramp.simulation.journey import Compute, Transfer, Wait
from offramp.simulation.monitor import Monitor
from offramp.simulation.planned import Planned, PlannedSamples
from offramp.simulation.simulated import Simulated
from offramp.simulation.world import World

__all__ = ["SimulatedControl", "simulate_controlled"]


@dataclass(frozen=True)
class SimulatedControl(Simulated):
    """With the plan of every sample, ``plans[plan[i]]``, and ``degraded`` (n,): the answer is that of an exit of the
    first tier, given at the deadline, because the planned one was not there."""

    plans: tuple[Plan, ...]
    plan: NDArray[np.intp]
    degraded: NDArray[np.bool_]

    def failed(self, deadline_s: float) -> NDArray[np.bool_]:
        """(n,) whether the planned answer was not there at the deadline: late, or degraded."""
        return np.asarray(self.degraded | self.late(deadline_s))


def simulate_controlled(
    controller: Controller,
    records: Records,
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    arrival_s: NDArray[np.floating],
    traces: Mapping[str, Trace] | None = None,
    *,
    deadline_s: float | None = None,
    monitor_s: float | None = None,
) -> SimulatedControl:
    """Send recorded rows through the plans of a controller, sample i at ``arrival_s[i]``.

    The queues are those of `offramp.simulation.simulate.simulate`. The controller is asked for a plan when a sample
    arrives, and told of every message that goes up a link, when it ends.

    With a deadline, a sample whose answer is not there in time takes that of the deepest exit the first tier has
    computed, and its message is given up. One without such an exit waits on, and is late.

    Parameters
    ----------
    records, profiles, network, arrival_s, traces : as for `simulate`
    deadline_s : from arrival to answer; default none
    monitor_s : tell the controller also, every so many seconds, the mean bandwidth each link had since, as a
        monitor of the link would that costs nothing; default never

    Raises
    ------
    RecordMismatch, ConfigError, LinkDown : as `simulate`; a sample with an exit to fall back on is no error
    PlanInfeasible : the controller has no plan
    """
    check_arrivals(arrival_s, len(records))
    for name, value in (("deadline_s", deadline_s), ("monitor_s", monitor_s)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be a positive number of seconds, not {value}")
    rates = rates_of(network, traces or {})
    run = _Run(controller, PlannedSamples(records, profiles, network), World(network, rates), deadline_s)
    monitor = None if monitor_s is None else Monitor(rates, monitor_s)
    events = run.world.events

    def arrive(sample: int) -> None:
        if monitor is not None:
            for sent in monitor.until(events.now_s):
                controller.observe(sent)
        run.send(sample)
        if sample + 1 < len(records):
            events.at(float(arrival_s[sample + 1]), lambda: arrive(sample + 1))

    events.at(float(arrival_s[0]), lambda: arrive(0))
    events.run()
    return run.result(np.asarray(arrival_s, np.float64))


class _Run:
    """One replay: what has been answered, and when."""

    def __init__(self, controller: Controller, samples: PlannedSamples, world: World, deadline_s: float | None) -> None:
        self.controller, self.samples, self.world = controller, samples, world
        self.deadline_s = np.inf if deadline_s is None else deadline_s
        rows = len(samples.records)
        self.plan, self.exit = np.zeros(rows, np.intp), np.zeros(rows, np.intp)
        self.done_s, self.sent = np.full(rows, np.inf), np.zeros(rows)
        self.degraded = np.zeros(rows, bool)

    def send(self, sample: int) -> None:
        """Start a sample now."""
        planned = self.samples.of(self.controller.plan_at(self.world.events.now_s))
        self.plan[sample] = planned.index
        self.exit[sample] = planned.exit[sample]
        _Sample(self, sample, planned).on()

    def result(self, arrival_s: NDArray[np.float64]) -> SimulatedControl:
        """Everything, once all samples are back."""
        samples, world = self.samples, self.world
        span_s = float(self.done_s.max() - arrival_s[0]) or 1.0
        network = samples.network
        energy_j = samples.energy_j(self.plan, self.exit)
        return SimulatedControl(
            exit=self.exit,
            correct=samples.records.correct[self.exit, np.arange(len(arrival_s))],
            arrival_s=arrival_s,
            latency_s=self.done_s - arrival_s,
            sent_bytes=self.sent,
            energy_j=energy_j,
            busy_share={t: s.busy_s / span_s for t, s in zip(network.tier_names, world.tiers, strict=True)},
            plans=samples.plans,
            plan=self.plan,
            degraded=self.degraded,
        )


class _Sample:
    """One sample on its way."""

    __slots__ = ("begun_s", "index", "planned", "run", "stages", "until_s")

    def __init__(self, run: _Run, index: int, planned: Planned) -> None:
        self.run, self.index, self.planned = run, index, planned
        self.stages = iter(planned.ways[planned.exit[index]])
        self.until_s = run.world.events.now_s + run.deadline_s
        self.begun_s = np.inf  # of the first tier's work

    def on(self) -> None:
        """The next stage, or the end."""
        world = self.run.world
        if world.events.now_s > self.until_s and self._fallback() >= 0:
            self._give_up()
            return
        match next(self.stages, None):
            case Compute(tier, seconds):
                world.tiers[tier].serve(lambda start_s: self._work(tier, start_s, seconds), self.on)
            case Transfer(link, up, message_bytes):
                self._transfer(link, up, message_bytes)
            case Wait(seconds):
                world.events.after(seconds, self.on)
            case None:
                self.run.done_s[self.index] = world.events.now_s

    def _work(self, tier: int, start_s: float, seconds: float) -> float:
        if tier == 0:
            self.begun_s = start_s
        return seconds

    def _transfer(self, link: int, up: bool, message_bytes: float) -> None:
        world = self.run.world
        given_up = False
        took_s = 0.0

        def seconds(start_s: float) -> float:
            nonlocal given_up, took_s
            try:
                took_s = world.transfer_s(link, message_bytes, start_s)
            except LinkDown:
                if self._fallback() < 0 or not np.isfinite(self.until_s):
                    raise
                took_s = np.inf
            if start_s + took_s > self.until_s and self._fallback() >= 0:
                given_up, took_s = True, max(0.0, self.until_s - start_s)
            return took_s

        def then() -> None:
            now_s = world.events.now_s
            through = message_bytes
            if given_up:
                through = min(message_bytes, world.rates[link].bytes_between(now_s - took_s, now_s))
            if up and took_s > 0:
                self.run.controller.observe(Sent(link, through, took_s, now_s, done=not given_up))
            if up and link == 0:
                self.run.sent[self.index] += through
            if given_up:
                self._give_up()
            else:
                self.on()

        world.links[link, up].serve(seconds, then)

    def _fallback(self) -> int:
        """The deepest exit the first tier has computed by the deadline; -1 without one."""
        return self.planned.local_exit(self.until_s - self.begun_s)

    def _give_up(self) -> None:
        """The answer of the first tier, at the deadline."""
        run, index = self.run, self.index
        run.exit[index], run.degraded[index], run.done_s[index] = self._fallback(), True, self.until_s
