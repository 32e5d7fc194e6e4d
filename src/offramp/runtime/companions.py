"""What goes along with a device and keeps no answer waiting: it adapts, audits, and keeps what was not delivered."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from offramp.planning.plan import Plan
from offramp.runtime.accounts import Accounts
from offramp.runtime.adapting import Adaptation, Adapter
from offramp.runtime.announcer import Announcer
from offramp.runtime.audit import Audit
from offramp.runtime.auditing import Auditor
from offramp.runtime.failover import Failover
from offramp.runtime.loop import run_in_background
from offramp.runtime.spool import Spool
from offramp.runtime.spooler import LateAnswer, Spooler
from offramp.runtime.tier import Tier

__all__ = ["Companions"]


class Companions:
    """The adapter, the auditor and the spooler of a device, those that were asked for.

    Parameters
    ----------
    tier : the device
    plan : followed first
    learn : has the device follow another plan
    accounts : tell them of answers and offloads
    adaptation, audit, spool, on_late_answer : as for `Device`

    Attributes
    ----------
    adapter, auditor, spooler : ``None`` where it was not asked for
    """

    def __init__(
        self,
        tier: Tier,
        plan: Plan,
        learn: Callable[[Plan], None],
        accounts: Accounts,
        *,
        adaptation: Adaptation | None,
        audit: Audit | None,
        spool: Spool | str | Path | None,
        on_late_answer: LateAnswer | None,
    ) -> None:
        self.spooler: Spooler | None = None
        if spool is not None:
            opened = spool if isinstance(spool, Spool) else Spool(spool)
            self.spooler = Spooler(opened, tier.manifest, tier.clock, time.time, on_late_answer)
        self.adapter = None if adaptation is None else Adapter(adaptation, tier, plan, learn)
        self.auditor = None if audit is None else Auditor(audit, tier, plan)
        self._accounts = accounts
        self._model = tier.manifest.name
        accounts.spooler = self.spooler

    @property
    def need_upstream(self) -> bool:
        """Whether one of them cannot do without a next tier."""
        return self.adapter is not None or self.auditor is not None

    def start(self, upstream: Failover) -> None:
        """Begin, with the servers of the next tier."""
        announcer = Announcer(upstream, self._model)
        if self.adapter is not None:
            self._accounts.observe = self.adapter.observe
            self.adapter.start(announcer)
        if self.auditor is not None:
            self._accounts.audit = self.auditor.consider
            self.auditor.start(announcer)

    def deliver(self, timeout_s: float, connected: bool) -> bool:
        """Wait until the spool is empty; False when it is not in time, or nobody can be asked."""
        if self.spooler is None:
            return True
        if not connected:
            self.spooler.flush()
            return not len(self.spooler.spool)
        return run_in_background(self.spooler.wait_empty(timeout_s))

    def stop(self) -> None:
        """Ask nobody any more; may be called twice."""
        for companion in (self.adapter, self.auditor):
            if companion is not None:
                companion.close()

    def close(self, upstream: Failover | None) -> None:
        """End the deliveries, the link, and then the spool."""
        if upstream is not None:
            if self.spooler is not None:
                run_in_background(self.spooler.stop())
            run_in_background(upstream.close())
        if self.spooler is not None:
            self.spooler.close()
