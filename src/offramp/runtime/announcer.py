"""Tells the next tier of the device's plans."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from offramp.planning.plan import Plan
from offramp.runtime.control import announce_to_all, announcement, greet_with
from offramp.runtime.failover import Failover
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

__all__ = ["Announcer"]

#: seconds all tiers together get to take a plan
TIMEOUT_S = 5.0
#: plans a server is told of on every new stream
GREETED = 8


class Announcer:
    """Announces plans, and again on every new stream to a server of the next tier, which may have begun anew.

    Parameters
    ----------
    failover : the servers of the next tier, not started
    model : name of the cascade
    """

    def __init__(self, failover: Failover, model: str) -> None:
        self.failover = failover
        self.model = model
        self._announced: deque[Plan] = deque(maxlen=GREETED)
        greet_with(failover, self._greeting)

    def announce(self, plan: Plan) -> None:
        """Return when all connected servers, and the tiers beyond that the plan needs, have it; not for the event loop.

        Raises
        ------
        LinkError : none is connected, or one of them did not take it
        """
        run_in_background(announce_to_all(self.failover, announcement(self.model, plan), TIMEOUT_S))
        kept = [one for one in self._announced if one.plan_id != plan.plan_id]
        self._announced = deque([*kept, plan], maxlen=GREETED)

    def _greeting(self) -> Iterator[pb.ModelInferRequest]:
        for plan in list(self._announced):
            yield announcement(self.model, plan)
