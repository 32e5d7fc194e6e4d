"""What the links did for one answer, from when every tier had it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from offramp.links.network import Network
from offramp.planning.controllers.base import Sent
from offramp.runtime.control import LINK_BYTES
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.stamps import STAMPS, Stamps

__all__ = ["Crossing", "Transfers", "link_bytes_of", "stamps_of"]

#: seconds that may be chance: a transfer quicker than that says only that the link gives at least so much. The fewer
#: bytes it has, the more chance may make of them
LARGE_BYTES, CHANCE_S, CHANCE_SMALL_S = 8192, 0.005, 0.02
#: no transfer is taken to be quicker
SHORT_S = 0.001


class Crossing(NamedTuple):
    """One message to the next tier and its answer: bytes there and back, when it was sent and the answer heard."""

    link_bytes: float
    sent_s: float
    heard_s: float


class Transfers:
    """Reads bandwidths off answers.

    What passed between sending a message and hearing the answer, less what the next tier had it for, less the round
    trip and the work of the protocol, is what the link was busy with. Each difference is one clock's.

    A few milliseconds may be chance: a process waits for its turn. So a transfer quicker than 5 ms, or 20 ms below
    8 KiB, tells only that the link gives at least so much. It is reported where that is more than the last report, and
    else left out.

    Parameters
    ----------
    network : the chain of tiers; its round trips are believed
    hop_s : work of the protocol for one message there and back, as in a profile

    Examples
    --------
    >>> from offramp.links.network import Link, Tier
    >>> network = Network((Tier("device"), Tier("edge")), (Link("device", "edge", 5e6, 0.01),))
    >>> edge = Stamps(7.0, 7.0, 7.0, 7.1, 7.1, 7.1, 7.1)
    >>> Transfers(network).of(Crossing(12500, 50.0, 50.21), {"edge": edge}, {})
    [Sent(link=0, payload_bytes=12500, seconds=0.1, ended_s=50.21, done=True)]
    """

    def __init__(self, network: Network, hop_s: float = 0.0) -> None:
        self._tiers = network.tier_names
        self._usual_s = [link.rtt_s + hop_s for link in network.links]
        #: (L,) last reported bits per second; at first as declared
        self.last_bps = [link.bandwidth_bps for link in network.links]

    def of(self, first: Crossing, stamps: Mapping[str, Stamps], link_bytes: Mapping[str, float]) -> list[Sent]:
        """What each link did that the message crossed.

        Parameters
        ----------
        first : over the first link, on the clock of the first tier
        stamps : of the tiers beyond it
        link_bytes : by tier, what it exchanged with the one after it for this message
        """
        found = []
        crossing: Crossing | None = first
        for link, usual_s in enumerate(self._usual_s):
            beyond = stamps.get(self._tiers[link + 1])
            if crossing is None or beyond is None or crossing.heard_s <= crossing.sent_s:
                break
            took_s = crossing.heard_s - crossing.sent_s - (beyond.left_s - beyond.arrived_s) - usual_s
            sent = self._sent(link, crossing.link_bytes, took_s, first.heard_s)
            if sent is not None:
                found.append(sent)
            crossed = link_bytes.get(self._tiers[link + 1])
            crossing = None if crossed is None else Crossing(crossed, beyond.sent_s, beyond.heard_s)
        return found

    @staticmethod
    def tells(sent: Sent) -> bool:
        """Whether it took long enough to say more than that the link gives at least so much."""
        return sent.seconds >= (CHANCE_S if sent.payload_bytes >= LARGE_BYTES else CHANCE_SMALL_S)

    def failed(self, link: int, link_bytes: float, seconds: float, ended_s: float) -> Sent:
        """A message that was given up: no more than its bytes came through."""
        sent = Sent(link, link_bytes, max(seconds, SHORT_S), ended_s, done=False)
        self.last_bps[link] = sent.bandwidth_bps
        return sent

    def _sent(self, link: int, payload_bytes: float, took_s: float, ended_s: float) -> Sent | None:
        sent = Sent(link, payload_bytes, round(max(took_s, SHORT_S), 9), ended_s)
        if not self.tells(sent) and sent.bandwidth_bps <= self.last_bps[link]:
            return None
        self.last_bps[link] = sent.bandwidth_bps
        return sent


def link_bytes_of(reply: pb.ModelInferResponse) -> dict[str, float]:
    """By tier, what it exchanged with the one after it."""
    prefix = f"{LINK_BYTES}."
    return {k.removeprefix(prefix): float(v.int64_param) for k, v in reply.parameters.items() if k.startswith(prefix)}


def stamps_of(reply: pb.ModelInferResponse) -> dict[str, Stamps]:
    """By tier, when it did what.

    Raises
    ------
    PeerRefused : they are no stamps
    """
    prefix = f"{STAMPS}."
    found = ((k.removeprefix(prefix), v.string_param) for k, v in reply.parameters.items() if k.startswith(prefix))
    return {tier: Stamps.from_text(text) for tier, text in found}
