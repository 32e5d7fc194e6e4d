"""The device's part of a request, and what of it goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.walk import NO_EXIT
from offramp.errors import ConfigError
from offramp.runtime.failover import Failover
from offramp.runtime.first_exit import FirstExit
from offramp.runtime.following import Following
from offramp.runtime.modes import Mode
from offramp.runtime.offload import Offload
from offramp.runtime.policy_hook import PolicyHook
from offramp.runtime.route import Route
from offramp.runtime.rows import Rows
from offramp.runtime.tier import Tier, TierRun

__all__ = ["Asking"]

Array = NDArray[Any]
#: what the device has made of a request, and what of it is on its way
Asked = tuple[TierRun, Offload | None]


class Asking:
    """Computes the device's part and sends on what the mode and the gates want sent.

    Parameters
    ----------
    tier : the device
    stamped : have the tiers beyond say when they did what
    """

    def __init__(self, tier: Tier, stamped: bool) -> None:
        self.upstream: Failover | None = None
        #: where a policy decides at the exits
        self.hook: PolicyHook | None = None
        self.now = tier.clock.now
        self._tier = tier
        self._stamped = stamped

    def ask(
        self, following: Following, inputs: tuple[Array, ...], mode: Mode, deadline_s: float, *, blocking: bool = False
    ) -> Asked:
        """Begin n rows; ``blocking`` says how the caller will wait for them.

        Raises
        ------
        ConfigError : the mode needs a next tier, and there is none
        """
        tier, route, rows = self._tier, following.route, len(inputs[0])
        if mode in ("prefer-cloud", "only-cloud"):
            return self._ask_beyond(route, inputs, mode, deadline_s, blocking)
        if mode == "only-device":
            route = following.local
        elif mode == "prefer-device":
            seconds = tier.expected_s(following.local, 0, following.local.stop, rows)
            if tier.clock.now() + seconds <= deadline_s:
                route = following.local
        run = tier.run(route, 0, inputs, deadline_s)
        if self.hook is not None:
            run.samples = self.hook.taken()
        return run, self.send(route, run, deadline_s, blocking=blocking)

    def send(self, route: Route, run: TierRun, deadline_s: float, *, blocking: bool = False) -> Offload | None:
        """Send the survivors, if there are any."""
        if not len(run.survivors):
            return None
        return Offload(self._tier, route, run, deadline_s, self.upstream, self._stamped, blocking).begin()

    def _ask_beyond(
        self, route: Route, inputs: tuple[Array, ...], mode: Mode, deadline_s: float, blocking: bool
    ) -> Asked:
        """Send the sample as it is; what the device answers meanwhile is for the case that nobody else does."""
        tier, rows = self._tier, len(inputs[0])
        if self.upstream is None:
            raise ConfigError(f"mode {mode!r} sends samples on, but no upstream was given; pass its HOST:PORT")
        everyone = np.arange(rows, dtype=np.intp)
        run = TierRun(Rows.unanswered(rows, tier.classes), everyone, inputs, 0)
        offload = self.send(route, run, deadline_s, blocking=blocking)
        assert offload is not None
        if mode == "prefer-cloud" and route.stop:
            found = tier.run(route, 0, inputs, deadline_s).rows
            if self.hook is not None:
                self.hook.taken()  # what the device would have done decided nothing
            answered = np.flatnonzero(found.exit != NO_EXIT)
            if len(answered) == rows:
                run.rows.put(everyone, found)
                offload.fall_back()
        return run, offload

    def go_on(self, first: FirstExit, values: list[Array], seconds: float, deadline_s: float) -> TierRun:
        """The rest of the device's part for a sample that did not leave at the first exit."""
        tier, route = self._tier, first.route
        for index in range(first.cut):
            tier.counters.rows_executed[index] += 1
        rows, tensors = first.as_rows(values, tier.name, seconds), tuple(values[3:])
        labels = values[0][None] if first.keeps_label else None
        run = TierRun(rows, np.zeros(1, np.intp), tensors, first.cut, labels)
        if self.hook is not None:
            run.samples = self.hook.taken()
        if first.cut >= route.stop:
            return run
        if not tier.in_time(route, first.cut, route.stop, 1, deadline_s):
            run.rows.mark("deadline")
            run.survivors = np.empty(0, np.intp)
            return run
        deeper = tier.run(route, first.cut, tensors, deadline_s, labels)
        if deeper.rows.exit[0] == NO_EXIT:
            rows.add_seconds(deeper.rows)
            deeper.rows = rows
        else:
            deeper.rows.add_seconds(rows)
        deeper.samples = run.samples
        return deeper
