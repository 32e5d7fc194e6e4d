"""A tier's part in what is about the tiers themselves: it learns plans, and helps to measure links."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from itertools import accumulate

from offramp.errors import LinkDown, LinkError
from offramp.runtime.answering import Answering
from offramp.runtime.control import ANNOUNCE, LINK_BYTES, announce_to_all, announced_plan, announcement, ask, greet_with
from offramp.runtime.parameters import integer_parameter
from offramp.runtime.plain_upstream import PlainUpstream
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import add_stamps
from offramp.runtime.stamps import Stamps
from offramp.runtime.status import UnknownModel

__all__ = ["Controlling"]

_log = logging.getLogger(__name__)

#: seconds the next tier gets for a control message
BEYOND_S = 2.0
#: plans the next tier is told of on every new stream, those used last
GREETED = 8


class Controlling:
    """Answers control messages; an announced plan is acknowledged when all tiers it goes on to have it.

    Parameters
    ----------
    answering : the tier and its upstream
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._tier = answering.tier
        self._tier.learned.most = answering.limits.max_plans
        if answering.upstream is not None:
            greet_with(answering.upstream, self.greeting)

    async def answer(self, message: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Take an announced plan in, or say when a probe was here; both go on to the next tier.

        Raises
        ------
        OfframpError : it cannot be answered
        """
        begin_s = self._tier.clock.now()
        if self._answering.draining:
            raise LinkDown(f"tier {self._tier.name!r} is shutting down")
        if message.model_name != self._tier.manifest.name:
            name = self._tier.manifest.name
            raise UnknownModel(f"no model {message.model_name[:80]!r} here; this server has {name!r}")
        response = pb.ModelInferResponse(model_name=message.model_name, id=message.id)
        if ANNOUNCE in message.parameters:
            await self._learn(message)
            self._stamp(response, begin_s, begin_s, begin_s)
        else:
            await self._probe(message, response, begin_s)
        return response

    async def _learn(self, message: pb.ModelInferRequest) -> None:
        plan = await asyncio.to_thread(announced_plan, message)
        new = not self._tier.knows(plan.plan_id)
        route = await asyncio.to_thread(self._tier.learn, plan)
        await asyncio.to_thread(self._tier.warm, route, route.start, route.stop)
        if new:
            _log.info("plan learned", extra={"fields": {"tier": self._tier.name, "plan_id": plan.plan_id}})
        if route.next_tier is not None and self._answering.upstream is not None:
            await announce_to_all(self._answering.upstream, announcement(message.model_name, plan), BEYOND_S)

    async def _probe(self, message: pb.ModelInferRequest, response: pb.ModelInferResponse, begin_s: float) -> None:
        """Say when it came, and when it had come back from the next tier, where it is to go further."""
        sent_s = heard_s = self._tier.clock.now()
        upstream, hops = self._answering.upstream, integer_parameter(message, "hops", 0)
        target = None if upstream is None else next((p.upstream for p in upstream.peers if p.upstream.connected), None)
        if hops > 0 and upstream is not None and target is not None and not isinstance(target, PlainUpstream):
            message.parameters["hops"].int64_param = hops - 1
            try:
                reply = await ask(upstream, target, message, BEYOND_S)
            except LinkError as error:
                _log.debug("a probe of the next link failed: %s", error)
            else:
                heard_s = self._tier.clock.now()
                for key, value in reply.parameters.items():
                    response.parameters[key].CopyFrom(value)
                crossed = message.ByteSize() + reply.ByteSize()
                response.parameters[f"{LINK_BYTES}.{self._tier.name}"].int64_param = crossed
        self._stamp(response, begin_s, sent_s, heard_s)

    def _stamp(self, response: pb.ModelInferResponse, begin_s: float, sent_s: float, heard_s: float) -> None:
        times_s = (begin_s, begin_s, begin_s, begin_s, sent_s, heard_s, self._tier.clock.now())
        add_stamps(response, self._tier.name, Stamps(*accumulate(times_s, max)))

    def greeting(self) -> Iterator[pb.ModelInferRequest]:
        """Announcements of the plans learned last that go on to the next tier."""
        for route in reversed(self._tier.learned.latest(GREETED)):
            if route.next_tier is not None:
                yield announcement(self._tier.manifest.name, route.plan)
