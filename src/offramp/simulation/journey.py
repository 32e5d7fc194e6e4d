"""The way of one sample through tiers and links, as a list of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offramp.cascade.precision import precision_at
from offramp.errors import RecordMismatch
from offramp.links.network import Network
from offramp.planning.costs import by_tier, exit_segments_of, segments_of
from offramp.planning.plan import Plan
from offramp.profiles.profile import Profile

__all__ = ["Compute", "Stage", "Transfer", "Wait", "journeys", "rescue_s", "sent_bytes"]


@dataclass(frozen=True, slots=True)
class Compute:
    """Seconds of work on a tier (its index), in that tier's queue."""

    tier: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes over a link (its index), up or down, in the queue of that direction."""

    link: int
    up: bool
    message_bytes: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Delay in which nothing is occupied."""

    seconds: float


Stage = Compute | Transfer | Wait


def journeys(
    plan: Plan, profiles: Mapping[str, Profile] | Sequence[Profile], network: Network
) -> list[tuple[Stage, ...]]:
    """The stages of a sample that leaves by each exit, there and back.

    They add up to the plan's row of `offramp.planning.costs.cost_table`.

    Raises
    ------
    RecordMismatch : plan, profiles and network do not belong together
    """
    chosen = by_tier(profiles, network)
    chosen[0].require(plan.cascade_fingerprint)
    if plan.tiers != network.tier_names or len(plan.placement) != segments_of(chosen[0]):
        raise RecordMismatch(
            f"the plan places {len(plan.placement)} segments on {', '.join(plan.tiers)}, but there are "
            f"{segments_of(chosen[0])} segments and the tiers {', '.join(network.tier_names)}"
        )
    placement = [plan.tiers.index(tier) for tier in plan.placement]
    exit_segments = exit_segments_of(chosen[0], len(plan.temperatures))
    codecs = [plan.codec_at(cut) for cut in range(len(placement))]
    return [_journey(placement, last, codecs, plan.precision, chosen, network) for last in exit_segments]


def sent_bytes(way: Sequence[Stage]) -> float:
    """Bytes a sample sends over the first link."""
    return sum(stage.message_bytes for stage in way if isinstance(stage, Transfer) and stage.up and stage.link == 0)


def rescue_s(plan: Plan, profiles: Mapping[str, Profile] | Sequence[Profile], network: Network) -> float:
    """Seconds the first tier needs from where it hands over to the first exit behind that."""
    profile = by_tier(profiles, network)[0]
    cut = plan.placement.count(network.tier_names[0])
    stop = next(
        (last for last in exit_segments_of(profile, len(plan.temperatures)) if last >= cut), len(plan.placement) - 1
    )
    return sum(_seconds(profile, plan.precision)[segment] for segment in range(cut, stop + 1))


def _seconds(profile: Profile, precision: str) -> dict[int, float]:
    return {
        c.segment: c.median_s
        for c in profile.segments
        if c.precision == precision_at(precision, c.segment) and c.batch == 1
    }


def _journey(
    placement: list[int], last: int, codecs: list[str], precision: str, profiles: list[Profile], network: Network
) -> tuple[Stage, ...]:
    seconds = [_seconds(profile, precision) for profile in profiles]
    stages: list[Stage] = []
    here, work_s = 0, 0.0
    for segment in range(last + 1):
        tier = placement[segment]
        if tier > here:
            codec = codecs[segment]
            stages.append(Compute(here, work_s + profiles[here].payload(segment, codec).encode_s))
            payload_bytes = profiles[0].payload(segment, codec).payload_bytes
            for link in range(here, tier):
                stages += _upwards(link, payload_bytes, profiles[link], network)
            here, work_s = tier, profiles[tier].payload(segment, codec).decode_s
        work_s += seconds[tier][segment]
    stages.append(Compute(here, work_s))
    for link in reversed(range(here)):
        answer = Transfer(link, up=False, message_bytes=profiles[link].transport.answer_bytes)
        stages += [answer, Wait(network.links[link].rtt_s / 2)]
    return tuple(stages)


def _upwards(link: int, payload_bytes: float, profile: Profile, network: Network) -> tuple[Stage, ...]:
    message_bytes = payload_bytes + profile.transport.request_overhead_bytes
    delay_s = network.links[link].rtt_s / 2 + profile.transport.hop_s
    return Transfer(link, up=True, message_bytes=message_bytes), Wait(delay_s)
