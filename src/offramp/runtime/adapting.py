"""A device that follows what its links give."""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from offramp.errors import ConfigError, LinkError, OfframpError, PeerRefused, PlanInfeasible
from offramp.links.network import Network
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.plan import Plan
from offramp.runtime.announcer import Announcer
from offramp.runtime.control import PROBE, ask
from offramp.runtime.loop import run_in_background
from offramp.runtime.offload import Offload
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.tier import Tier, TierRun
from offramp.runtime.transfers import Crossing, Transfers, link_bytes_of, stamps_of

__all__ = ["Adaptation", "Adapter"]

_log = logging.getLogger(__name__)

#: bytes of a probe; the next larger one is sent when the one before was too quick to tell
PROBE_BYTES = (1024, 8192, 65536)
#: seconds for the answer to a probe
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How a device adapts.

    Parameters
    ----------
    controller : chooses; the same object as in virtual time
    network : the chain of tiers its observations speak of
    probe_s : a link of which nothing was heard for so long is tried with a few kilobytes
    hop_s : work of the protocol for one message there and back, as in a profile

    Raises
    ------
    ConfigError : a time is out of range
    """

    controller: Controller
    network: Network
    probe_s: float = 1.0
    hop_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.probe_s) and self.probe_s > 0):
            raise ConfigError(f"adaptation: probe_s must be a positive number of seconds, not {self.probe_s}")
        if not (math.isfinite(self.hop_s) and self.hop_s >= 0):
            raise ConfigError(f"adaptation: hop_s must be a number of seconds, zero or more, not {self.hop_s}")


class Adapter:
    """Shows the controller what the links did, and has the device follow the plan it chooses.

    It does so in a thread of its own: answers wait neither for the controller nor for tiers that are told of a plan.
    A plan that goes beyond the device is followed as soon as the tiers beyond have it; until then the old one is.
    Samples under way end as they began.

    Parameters
    ----------
    adaptation : whom to ask
    tier : the device
    plan : followed now
    follow : has the device follow a plan from the next sample on
    """

    def __init__(self, adaptation: Adaptation, tier: Tier, plan: Plan, follow: Callable[[Plan], None]) -> None:
        if adaptation.network.tier_names[0] != tier.name:
            raise ConfigError(
                f"the device is tier {tier.name!r}, but the chain adapted to begins with "
                f"{adaptation.network.tier_names[0]!r}; give the network of the plan"
            )
        self.adaptation = adaptation
        #: plans followed since the first
        self.switches = 0
        self.plan = plan
        self.transfers = Transfers(adaptation.network, adaptation.hop_s)
        self._controller = adaptation.controller
        self._tier = tier
        self._follow = follow
        self._announcer: Announcer | None = None
        self._news: queue.SimpleQueue[tuple[TierRun, Offload] | None] = queue.SimpleQueue()
        self._heard_s = [tier.clock.now()] * len(adaptation.network.links)
        self._tried_s = -math.inf
        self._told: str | None = None
        self._thread = threading.Thread(target=self._work, name="adapting", daemon=True)

    def start(self, announcer: Announcer) -> None:
        """Adapt from now on."""
        self._announcer = announcer
        self._thread.start()

    def close(self) -> None:
        """Adapt no more; may be called twice."""
        if self._thread.is_alive():
            self._news.put(None)
            self._thread.join()

    def observe(self, run: TierRun, offload: Offload) -> None:
        """Take note of a finished offload; any thread may, and nobody waits."""
        self._news.put((run, offload))

    def _work(self) -> None:
        while True:
            news = self._wait()
            if None in news:
                return
            try:
                self.step([one for one in news if one is not None])
            except Exception:  # a device that no longer adapts is worse than one that tries again
                _log.exception("the device could not adapt to what its links do")

    def _wait(self) -> list[tuple[TierRun, Offload] | None]:
        """What has been noted; nothing when it is time to try a link."""
        due_s = min(self._heard_s) + self.adaptation.probe_s - self._tier.clock.now()
        try:
            news = [self._news.get(timeout=min(max(due_s, 0.001), self.adaptation.probe_s))]
        except queue.Empty:
            return []
        while not self._news.empty():
            news.append(self._news.get())
        return news

    def step(self, finished: list[tuple[TierRun, Offload]]) -> None:
        """Learn from finished offloads, try links of which too little is known, and follow what the controller says."""
        doubt = False
        for run, offload in finished:
            doubt |= self._learn(run, offload)
        now_s, probe_s = self._tier.clock.now(), self.adaptation.probe_s
        silent = [link for link, heard_s in enumerate(self._heard_s) if now_s - heard_s >= probe_s]
        if (doubt or silent) and now_s - self._tried_s >= probe_s / 2:
            self._tried_s = now_s
            self._probe(hops=max(silent, default=0))
        self._decide()

    def _learn(self, run: TierRun, offload: Offload) -> bool:
        """What one offload tells; whether that leaves a doubt."""
        if offload.reply is not None and not isinstance(offload.error, PeerRefused):
            crossed = offload.sent_bytes + offload.reply.ByteSize()
            first = Crossing(crossed, offload.sent_s, offload.heard_s)
            self._show(self.transfers.of(first, run.rows.stamps, link_bytes_of(offload.reply)))
            return False
        if isinstance(offload.error, PeerRefused):
            self._announce_again()
            return False
        if offload.sent_bytes and offload.heard_s > offload.sent_s and offload.error is not None:
            through = offload.sent_bytes if offload.error.reason == "deadline" else 0
            seconds = offload.heard_s - offload.sent_s
            self._show([self.transfers.failed(0, through, seconds, offload.heard_s)])
        return True

    def _show(self, observations: list[Sent]) -> None:
        for sent in observations:
            self._heard_s[sent.link] = self._tier.clock.now()
            self._controller.observe(sent)

    def _probe(self, hops: int) -> None:
        """Try the links up to ``hops`` beyond the first, with no more bytes than it takes to tell."""
        for size in PROBE_BYTES:
            try:
                if self._probe_with(size, hops):
                    break
            except PeerRefused as error:
                self._say_once(f"the link cannot be tried: {error}")
                break
            except LinkError:
                now_s = self._tier.clock.now()
                self._show([self.transfers.failed(0, 0, now_s - self._tried_s, now_s)])
                break
        now_s = self._tier.clock.now()
        for link in range(hops + 1):
            self._heard_s[link] = now_s

    def _probe_with(self, size: int, hops: int) -> bool:
        """Show the controller what one probe says; whether it took long enough to tell what the first link gives.

        Raises
        ------
        LinkError : no answer
        """
        assert self._announcer is not None
        failover, now = self._announcer.failover, self._tier.clock.now
        message = pb.ModelInferRequest(model_name=self._tier.manifest.name, raw_input_contents=[os.urandom(size)])
        message.parameters[PROBE].bool_param = True
        message.parameters["hops"].int64_param = hops
        upstream = next((peer.upstream for peer in failover.peers if peer.upstream.connected), None)
        if upstream is None:
            raise failover.peers[0].upstream.down()
        sent_s = now()
        reply = run_in_background(ask(failover, upstream, message, TIMEOUT_S))
        heard_s = now()
        stamps, crossed = stamps_of(reply), message.ByteSize() + reply.ByteSize()
        found = self.transfers.of(Crossing(crossed, sent_s, heard_s), stamps, link_bytes_of(reply))
        self._show(found)
        tiers = self.adaptation.network.tier_names
        for link in range(1, hops + 1):
            if tiers[link] in stamps and tiers[link + 1] not in stamps:
                self._show([self.transfers.failed(link, 0, heard_s - sent_s, heard_s)])
        return any(sent.link == 0 and self.transfers.tells(sent) for sent in found)

    def _decide(self) -> None:
        try:
            plan = self._controller.plan_at(self._tier.clock.now())
        except PlanInfeasible as error:
            self._say_once(f"no plan meets what was asked for, the last one stays: {error}")
            return
        if plan is self.plan:
            return
        if plan.plan_id == self.plan.plan_id:
            self.plan = plan
            return
        try:
            if plan.next_tier(self._tier.name) is not None and self._announcer is not None:
                self._announcer.announce(plan)
            self._follow(plan)
        except OfframpError as error:
            self._say_once(f"plan {plan.plan_id} cannot be followed yet: {error}")
            return
        rates = [round(rate) for rate in self.transfers.last_bps]
        fields = {"from": self.plan.plan_id, "to": plan.plan_id, "placement": plan.placement, "bandwidth_bps": rates}
        _log.info("plan switched", extra={"fields": fields})
        self.plan, self._told = plan, None
        self.switches += 1

    def _announce_again(self) -> None:
        """The tier may have forgotten the plan."""
        now_s = self._tier.clock.now()
        if self._announcer is None or now_s - self._tried_s < self.adaptation.probe_s / 2:
            return
        self._tried_s = now_s
        try:
            self._announcer.announce(self.plan)
        except OfframpError as error:
            self._say_once(f"plan {self.plan.plan_id} is refused: {error}")

    def _say_once(self, sentence: str) -> None:
        if sentence != self._told:
            self._told = sentence
            _log.warning(sentence)
