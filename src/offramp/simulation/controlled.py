"""A controller in virtual time: it chooses the plan of every sample, and sees every transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
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
from offramp.simulation.world import World, never_arrives

__all__ = ["SimulatedControl", "simulate_controlled"]


@dataclass(frozen=True)
class SimulatedControl(Simulated):
    """With the plan of every sample, ``plans[plan[i]]``, and ``degraded`` (n,): the answer is that of an earlier exit,
    computed by the first tier, because the planned one was not there in time."""

    plans: tuple[Plan, ...]
    plan: NDArray[np.intp]
    degraded: NDArray[np.bool_]

    def failed(self, deadline_s: float) -> NDArray[np.bool_]:
        """(n,) whether the planned answer was not there at the deadline: late, or degraded."""
        return np.asarray(self.degraded | self.late(deadline_s))


def simulate_controlled(
    controller: Controller,
    records: Records | Sequence[Records],
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

    With a deadline, samples are answered as `offramp.runtime.device.Device` answers them. One whose answer is not there
    in time takes that of the deepest exit the first tier has computed, and its message is given up. Where there is no
    such exit yet, the first tier computes the next one, and the message is given up early enough for that, or, where
    that cannot be in time anyway, at the deadline. Without a deadline every sample waits for its answer.

    Parameters
    ----------
    records : n rows, one per arrival; of several variants, the same rows of each, the reference first
    profiles, network, arrival_s, traces : as for `simulate`
    deadline_s : from arrival to answer; default none
    monitor_s : tell the controller also, every so many seconds, the mean bandwidth each link had since, as a
        monitor of the link would that costs nothing; default never

    Raises
    ------
    RecordMismatch, ConfigError, LinkDown : as `simulate`; with a deadline no link makes an error
    PlanInfeasible : the controller has no plan
    """
    samples = PlannedSamples(records, profiles, network)
    rows = len(samples.records)
    check_arrivals(arrival_s, rows)
    for name, value in (("deadline_s", deadline_s), ("monitor_s", monitor_s)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be a positive number of seconds, not {value}")
    rates = rates_of(network, traces or {})
    run = _Run(controller, samples, World(network, rates), deadline_s)
    monitor = None if monitor_s is None else Monitor(rates, monitor_s)
    events = run.world.events

    def arrive(sample: int) -> None:
        if monitor is not None:
            for sent in monitor.until(events.now_s):
                controller.observe(sent)
        run.send(sample)
        if sample + 1 < rows:
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
        _Sample(self, sample, planned).on()

    def result(self, arrival_s: NDArray[np.float64]) -> SimulatedControl:
        """Everything, once all samples are back."""
        samples, world = self.samples, self.world
        span_s = float(self.done_s.max() - arrival_s[0]) or 1.0
        network = samples.network
        energy_j = samples.energy_j(self.plan, self.exit)
        return SimulatedControl(
            exit=self.exit,
            correct=samples.correct(self.plan, self.exit, self.degraded),
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

    __slots__ = ("begun_s", "deadline_s", "index", "over", "planned", "run", "stages", "until_s")

    def __init__(self, run: _Run, index: int, planned: Planned) -> None:
        self.run, self.index, self.planned = run, index, planned
        self.stages = iter(planned.ways[planned.exit[index]])
        self.deadline_s = run.world.events.now_s + run.deadline_s
        self.until_s = np.inf  # when to give up the message
        self.begun_s = np.inf  # of the first tier's work
        self.over = False  # given up

    def on(self) -> None:
        """The next stage, or the end."""
        world = self.run.world
        if self.over:
            return
        match next(self.stages, None):
            case Compute(0, seconds):
                world.tiers[0].serve(lambda start_s: self._work(start_s, seconds), self.on)
            case Compute(tier, seconds):
                world.tiers[tier].serve(lambda _: seconds, self.on)
            case Transfer(link, up, message_bytes):
                if self.until_s == np.inf:
                    self._set_limit()
                self._transfer(link, up, message_bytes)
            case Wait(seconds):
                world.events.after(seconds, self.on)
            case None:
                self._answer(self.planned.exit[self.index], degraded=False)

    def _work(self, start_s: float, seconds: float) -> float:
        """Seconds of the first tier's work: no further than the last exit in time, or the first, if it has any."""
        self.begun_s = start_s
        local_s = self.planned.local_s
        if start_s + seconds <= self.deadline_s or not local_s:
            return seconds
        reached = max(0, self.planned.local_exit(self.deadline_s - start_s))
        if local_s[reached] >= seconds:
            return seconds
        self.over = True
        self.run.world.events.at(start_s + local_s[reached], lambda: self._answer(reached, degraded=True))
        return local_s[reached]

    def _set_limit(self) -> None:
        """From now on a message is under way: when to give it up."""
        events = self.run.world.events
        if self.deadline_s == np.inf:
            return
        early_s = self.deadline_s - (0.0 if self.planned.local_s else self.planned.rescue_s)
        self.until_s = early_s if early_s > events.now_s else max(self.deadline_s, events.now_s)
        events.at(self.until_s, self._give_up)

    def _give_up(self) -> None:
        """Answer from the first tier, with what it has or computes now."""
        if self.over:
            return
        self.over = True
        exits = len(self.planned.local_s)
        if exits:
            self._answer(exits - 1, degraded=True)
        else:
            then = lambda: self._answer(0, degraded=True)  # noqa: E731  # a name for the line's sake
            self.run.world.tiers[0].serve(lambda _: self.planned.rescue_s, then)

    def _transfer(self, link: int, up: bool, message_bytes: float) -> None:
        world = self.run.world
        took_s = 0.0

        def seconds(start_s: float) -> float:
            nonlocal took_s
            if not self.over:
                took_s = min(world.transfer_s(link, message_bytes, start_s), self.until_s - start_s)
                if took_s == np.inf:
                    raise never_arrives(link, start_s)
            return took_s

        def then() -> None:
            now_s = world.events.now_s
            if up and took_s > 0:
                through = message_bytes
                if self.over:
                    through = min(message_bytes, world.rates[link].bytes_between(now_s - took_s, now_s))
                self.run.controller.observe(Sent(link, through, took_s, now_s, done=not self.over))
                if link == 0:
                    self.run.sent[self.index] += through
            self.on()

        world.links[link, up].serve(seconds, then)

    def _answer(self, exit_index: int, degraded: bool) -> None:
        run, index = self.run, self.index
        self.over = True
        run.exit[index], run.degraded[index] = exit_index, degraded
        run.done_s[index] = run.world.events.now_s
