"""The queues of all tiers and links, event by event."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from offramp.errors import LinkDown
from offramp.links.network import Network
from offramp.links.trace import Trace
from offramp.simulation.events import Events, Server
from offramp.simulation.journey import Compute, Stage, Transfer, Wait

__all__ = ["World", "never_arrives"]


class World:
    """Tiers and links that take one job at a time; ``rates`` are the traces of the links, in their order."""

    def __init__(self, network: Network, rates: Sequence[Trace]) -> None:
        self.events = Events()
        self.rates = rates
        self.tiers = [Server(self.events) for _ in network.tiers]
        self.links = {(i, up): Server(self.events) for i in range(len(network.links)) for up in (True, False)}

    def send(self, stages: tuple[Stage, ...], then: Callable[[], None]) -> None:
        """Take a sample through its stages from now on, and call ``then`` at the end.

        Raises
        ------
        LinkDown : while the events run: a trace ends in an outage with a message under way
        """
        left = iter(stages)

        def on() -> None:
            stage = next(left, None)
            match stage:
                case Compute(tier, seconds):
                    self.tiers[tier].serve(lambda _: seconds, on)
                case Transfer(link, up, message_bytes):
                    self.links[link, up].serve(lambda now_s: self._sure_s(link, message_bytes, now_s), on)
                case Wait(seconds):
                    self.events.after(seconds, on)
                case None:
                    then()

        on()

    def transfer_s(self, link: int, message_bytes: float, now_s: float) -> float:
        """Seconds a message needs that starts over a link now; infinite if it never arrives."""
        return self.rates[link].finish_s(now_s, message_bytes) - now_s

    def _sure_s(self, link: int, message_bytes: float, now_s: float) -> float:
        seconds = self.transfer_s(link, message_bytes, now_s)
        if not math.isfinite(seconds):
            raise never_arrives(link, now_s)
        return seconds


def never_arrives(link: int, now_s: float) -> LinkDown:
    """The error for a message that no trace lets through."""
    return LinkDown(f"a message sent at {now_s:.3f} s over link {link} never arrives: its trace ends in an outage")
