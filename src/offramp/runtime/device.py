"""The device: ask it, and it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError
from offramp.planning.plan import Plan
from offramp.policies.base import Policy
from offramp.runtime.access import OPEN, Access
from offramp.runtime.accounts import Accounts
from offramp.runtime.adapting import Adaptation
from offramp.runtime.answer import Answer
from offramp.runtime.asking import Asking
from offramp.runtime.audit import Audit
from offramp.runtime.companions import Companions
from offramp.runtime.failover import Failover
from offramp.runtime.following import Following
from offramp.runtime.loop import run_in_background
from offramp.runtime.modes import Mode, mode_named
from offramp.runtime.observed import Observed
from offramp.runtime.pipeline import Pipeline
from offramp.runtime.policy_hook import PolicyHook
from offramp.runtime.reading import Sample, SampleReader
from offramp.runtime.route import Route
from offramp.runtime.spool import Spool
from offramp.runtime.spooler import LateAnswer
from offramp.runtime.tier import Tier
from offramp.runtime.tolerance import FaultTolerance
from offramp.runtime.upstreams import upstream_to

__all__ = ["Device"]

Array = NDArray[Any]

#: seconds within which every sample is answered unless the caller says otherwise
DEFAULT_DEADLINE_S = 30.0
#: seconds to wait for the next tier at the start; without it the device answers alone
CONNECT_S = 2.0


class Device(Observed):
    """The first tier: runs its part of the plan and asks the next tier for the rest.

    It always answers. When the link is down, the peer refuses or the deadline comes near, the caller
    gets the best exit computed so far (or the first one, computed then), with ``degraded`` saying why.

    `infer` and `infer_batch` compute in the caller's thread, for one thread at a time. `submit`, `infer_many` and
    `infer_async` compute in a thread of the device, and the next sample's compute goes on while answers are
    awaited; at most ``max_in_flight`` samples are under way, who wants more waits to be accepted.

    Parameters
    ----------
    cascade : the opened cascade
    plan : what to follow; `switch` changes it
    upstream : ``HOST:PORT`` of the next tier, or several, the preferred first; needed if the plan goes beyond the
        device
    tier : this tier's name in the plan; default: the plan's first
    slow_down : run that many times slower than this machine
    deadline_s : seconds from accepting a sample to its answer, unless said otherwise when asking; default: 30
    stamped : have every answer say when each tier did what; costs some bytes of every message
    mode : where the work is done, unless said otherwise when asking
    tolerance : when to stop asking a server of the next tier, how much to ask twice
    access : what the next tier asks of its clients
    max_in_flight : samples under way at a time
    spool : keeps samples that were answered degraded, and delivers them later; a folder, or a `Spool`
    on_late_answer : called in a thread with every `SpooledSample` delivered later and its answer
    adaptation : follow what its controller chooses while the links change
    audit : have a share of the samples answered again by the last exit, for the alarm
    policy : decides at the device's exits, in the place of the plan's gates

    Raises
    ------
    ConfigError : the plan needs an upstream and none was given, or a setting is out of range
    RecordMismatch : the plan belongs to another cascade

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> cascade = open_cascade(getfixture("tiny_cascade"))
    >>> plan = Plan(cascade="tiny", cascade_fingerprint=cascade.manifest.fingerprint, tiers=("device",),
    ...             placement=("device", "device"), gates=[{"threshold": 0.0}], temperatures=(1.0, 1.0))
    >>> with Device(cascade, plan) as device:
    ...     answer = device.infer(np.zeros(4, np.float32))
    >>> answer.exit, answer.tier, answer.degraded
    (0, 'device', None)
    """

    def __init__(
        self,
        cascade: Cascade,
        plan: Plan,
        upstream: str | Sequence[str] | None = None,
        *,
        tier: str | None = None,
        slow_down: float = 1.0,
        deadline_s: float | None = None,
        stamped: bool = False,
        mode: Mode = "plan",
        tolerance: FaultTolerance | None = None,
        access: Access = OPEN,
        max_in_flight: int = 64,
        spool: Spool | str | Path | None = None,
        on_late_answer: LateAnswer | None = None,
        adaptation: Adaptation | None = None,
        audit: Audit | None = None,
        policy: Policy | None = None,
    ) -> None:
        if not slow_down >= 1:
            raise ConfigError(f"slow_down must be at least 1, not {slow_down}")
        self.deadline_s = DEFAULT_DEADLINE_S if deadline_s is None else _positive(deadline_s)
        self.mode = mode_named(mode)
        self.manifest = cascade.manifest
        self._tier = Tier(cascade, tier or plan.tiers[0], [plan], slow_down=slow_down)
        self._reader = SampleReader(cascade, self._tier.pace)
        self._now = self._tier.clock.now
        self._addresses = (upstream,) if isinstance(upstream, str) else tuple(upstream or ())
        self._stamped = stamped
        self._asking = Asking(self._tier, stamped or adaptation is not None)
        self._accounts = Accounts(self._tier, stamped)
        self._hook = None if policy is None else PolicyHook(policy)
        self._asking.hook = self._accounts.hook = self._hook
        self._left_first = self._accounts.left_first
        self._pipeline = Pipeline(self._asking, self._accounts, self._reader.one, max_in_flight)
        if self.mode in ("prefer-cloud", "only-cloud") and not self._addresses:
            raise ConfigError(f"mode {mode!r} sends samples on, but no upstream was given; pass its HOST:PORT")
        self.switch(plan)
        self._companions = Companions(
            self._tier,
            plan,
            self._learn,
            self._accounts,
            adaptation=adaptation,
            audit=audit,
            spool=spool,
            on_late_answer=on_late_answer,
        )
        if self._companions.need_upstream and not self._addresses:
            raise ConfigError("to adapt or to audit the device needs a next tier, but no upstream was given")
        if self._addresses:
            self._asking.upstream = run_in_background(self._connect(tolerance, access))
            self._companions.start(self._asking.upstream)

    async def _connect(self, tolerance: FaultTolerance | None, access: Access) -> Failover:
        upstreams = [upstream_to(address, self._tier, access=access) for address in self._addresses]
        upstream = Failover(upstreams, self._now, tolerance)
        upstream.start()
        await upstream.wait_connected(CONNECT_S)
        if self._companions.spooler is not None:
            self._companions.spooler.start(upstream)
        return upstream

    def switch(self, plan: Plan) -> None:
        """Follow another plan from the next sample on; those under way end as they began.

        Raises
        ------
        ConfigError, RecordMismatch : the plan does not fit
        """
        self._follow(self._tier.add(plan))

    def _learn(self, plan: Plan) -> None:
        self._follow(self._tier.learn(plan))

    def _follow(self, route: Route) -> None:
        if route.next_tier is not None and not self._addresses and self.mode != "only-device":
            raise ConfigError(
                f"the plan goes on to tier {route.next_tier!r}, but no upstream was given; pass its HOST:PORT"
            )
        asked = route if self._hook is None else self._hook.on(route)
        self._following = Following.of(self._tier, asked, self.mode, quick=not self._stamped)

    def infer(self, sample: Sample, *, mode: Mode | None = None, deadline_s: float | None = None) -> Answer:
        """Answer one sample.

        Parameters
        ----------
        sample : what the cascade takes, without the row dimension; several arrays if it takes several;
            a text, or two, if it reads text
        mode, deadline_s : instead of the device's own

        Raises
        ------
        SampleError : wrong dtype or shape, NaN or infinity
        ConfigError : the mode or the deadline is none
        """
        begin_s = self._now()
        following = self._following
        first = following.first
        if first is None or mode is not None or deadline_s is not None:
            return self._ask(following, self._reader.one(sample), begin_s, mode, deadline_s)[0]
        row = first.row(sample)  # type: ignore[arg-type]  # anything else is refused there
        ran_s = self._now()
        values = first.run(row)
        confidence = values[2].item()
        end_s = self._now()
        if confidence >= first.threshold:
            return self._left_first(first, row, values, confidence, ran_s, begin_s, end_s)
        if first.asks_gate and first.leaves(values):
            return self._left_first(first, row, values, confidence, ran_s, begin_s, self._now())
        until_s = begin_s + self.deadline_s
        run = self._asking.go_on(first, values, end_s - ran_s, until_s)
        offload = self._asking.send(first.route, run, until_s, blocking=True)
        if offload is not None:
            offload.wait()
            offload.finish()
        return self._accounts.answers(run, offload, begin_s, (row,), first.route.plan_id)[0]

    def infer_batch(
        self, samples: Array | Sequence[Array], *, mode: Mode | None = None, deadline_s: float | None = None
    ) -> list[Answer]:
        """Answer n rows together: one array (n, ...), or one for each input; one request for all survivors.

        Text comes as arrays (n,) of ``str`` with dtype object.

        Raises
        ------
        SampleError : wrong dtype or shape, no row, NaN or infinity
        ConfigError : the mode or the deadline is none
        """
        begin_s = self._now()
        return self._ask(self._following, self._reader.rows(samples), begin_s, mode, deadline_s)

    def _ask(
        self,
        following: Following,
        inputs: tuple[Array, ...],
        begin_s: float,
        mode: Mode | None,
        deadline_s: float | None,
    ) -> list[Answer]:
        until_s = begin_s + (self.deadline_s if deadline_s is None else _positive(deadline_s))
        run, offload = self._asking.ask(following, inputs, self._mode(mode), until_s, blocking=True)
        if offload is not None:
            offload.wait()
            offload.finish()
        return self._accounts.answers(run, offload, begin_s, inputs, following.route.plan_id)

    def submit(self, sample: Sample, *, mode: Mode | None = None, deadline_s: float | None = None) -> Future[Answer]:
        """Ask for one sample and go on; blocks only while ``max_in_flight`` samples are under way.

        The future raises what `infer` raises.

        Raises
        ------
        ConfigError : the mode or the deadline is none
        """
        budget_s = self.deadline_s if deadline_s is None else _positive(deadline_s)
        return self._pipeline.submit(self._following, sample, self._mode(mode), budget_s)

    def infer_many(self, samples: Iterable[Sample]) -> Iterator[Answer]:
        """Answer sample after sample, in order, with up to ``max_in_flight`` of them under way.

        Raises
        ------
        SampleError : wrong dtype or shape, NaN or infinity
        """
        pending: deque[Future[Answer]] = deque()
        for sample in samples:
            pending.append(self.submit(sample))
            while pending and (len(pending) >= self._pipeline.slots.count or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    async def infer_async(self, sample: Sample, *, mode: Mode | None = None, deadline_s: float | None = None) -> Answer:
        """Answer one sample without blocking the event loop.

        Several may be under way, but the device computes and encodes one after the other, first come first served.

        Raises
        ------
        SampleError : wrong dtype or shape, NaN or infinity
        ConfigError : the mode or the deadline is none
        """
        budget_s = self.deadline_s if deadline_s is None else _positive(deadline_s)
        return await self._pipeline.infer(self._following, sample, self._mode(mode), budget_s)

    def _mode(self, mode: Mode | None) -> Mode:
        return self.mode if mode is None else mode_named(mode)

    def close(self) -> None:
        """Answer what was submitted, then close the link and the spool; may be called twice."""
        self._pipeline.close()
        self._companions.stop()
        upstream, self._asking.upstream = self._asking.upstream, None
        self._companions.close(upstream)

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        plan_id, upstream = self._following.route.plan_id, ", ".join(self._addresses)
        return f"Device({self.manifest.name!r}, plan={plan_id!r}, upstream={upstream!r}, mode={self.mode!r})"


def _positive(deadline_s: float) -> float:
    if not deadline_s > 0:
        raise ConfigError(f"deadline_s must be a positive number of seconds, not {deadline_s}")
    return deadline_s
