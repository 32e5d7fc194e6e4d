"""What can be seen of a device from outside."""

from __future__ import annotations

from offramp.planning.plan import Plan
from offramp.runtime.adapting import Adapter
from offramp.runtime.asking import Asking
from offramp.runtime.auditing import Auditor
from offramp.runtime.breaker import State
from offramp.runtime.companions import Companions
from offramp.runtime.counters import Counters
from offramp.runtime.failover import Failover
from offramp.runtime.following import Following
from offramp.runtime.spool import Spool
from offramp.runtime.tier import Tier

__all__ = ["Observed"]


class Observed:
    """The plan, the counts, the links and the companions of a device, to be read at any time from any thread."""

    _tier: Tier
    _following: Following
    _asking: Asking
    _companions: Companions

    @property
    def plan(self) -> Plan:
        """The plan it follows."""
        return self._following.route.plan

    @property
    def counters(self) -> Counters:
        """What it has counted."""
        return self._tier.counters

    @property
    def connected(self) -> bool:
        """Whether there is a link to the next tier right now."""
        upstream = self._asking.upstream
        return upstream is not None and upstream.connected

    @property
    def upstream(self) -> Failover | None:
        """The servers of the next tier."""
        return self._asking.upstream

    @property
    def breakers(self) -> dict[str, State]:
        """What the breaker of each server of the next tier is, by address."""
        upstream = self._asking.upstream
        return {} if upstream is None else upstream.breakers

    @property
    def adapter(self) -> Adapter | None:
        """Adapts the plan, where that was asked for."""
        return self._companions.adapter

    @property
    def auditor(self) -> Auditor | None:
        """Audits answers, where that was asked for."""
        return self._companions.auditor

    @property
    def spool(self) -> Spool | None:
        """What it keeps undelivered samples in."""
        spooler = self._companions.spooler
        return None if spooler is None else spooler.spool

    def deliver(self, timeout_s: float) -> bool:
        """Wait until the spool is empty; False when it is not in time, or nobody can be asked."""
        return self._companions.deliver(timeout_s, self._asking.upstream is not None)
