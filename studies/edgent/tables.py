"""What both parts of the study plan with: records, the two tiers' costs, the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from offramp.codecs.registry import get_codec
from offramp.confidence.temperature import fit_temperature
from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import Plan
from offramp.profiles.profile import PayloadCost, Profile, load_profile
from offramp.records.records import Records, load_records

__all__ = ["CODING_SLOW_DOWN", "DEVICE_S", "RTT_S", "Tables", "everywhere", "float_input", "load_tables", "slower"]

RECORDS = Path(__file__).parents[2] / "examples" / "balexnet" / "records"
#: made through a codec that changes a tensor: the image as JPEG
LOSSY = ("fp32+jpeg@0",)
PROFILE = Path(__file__).parent / "profile.json"
#: the whole network on the device, as on the Raspberry Pi 3 of the paper
DEVICE_S = 2.3
#: coding and protocol take so many times longer on a Raspberry Pi 3 than here; declared
CODING_SLOW_DOWN = 20.0
RTT_S = 0.002
#: bytes of a tensor a codec cannot hold: no plan wants to send that
_NEVER_BYTES = 1e12


@dataclass(frozen=True)
class Tables:
    """Records, one temperature per exit (fitted on tune rows), and the profiles of device and edge.

    ``lossy`` are records made through codecs that change a tensor.
    """

    records: Records
    profiles: Mapping[str, Profile]
    lossy: tuple[Records, ...] = ()

    @cached_property
    def temperatures(self) -> tuple[float, ...]:
        """(E,)."""
        tune = self.records.on("tune")
        return tuple(fit_temperature(logits, tune.labels) for logits in tune.logits)

    @property
    def variants(self) -> tuple[Records, ...]:
        """The reference, then the lossy ones."""
        return (self.records, *self.lossy)

    @cached_property
    def test(self) -> Records:
        """The rows that report."""
        return self.records.on("test")

    def rows_of(self, plan: Plan) -> Records:
        """Test rows of the variant a plan runs."""
        for each in self.lossy:
            if each.provenance.variant == plan.variant:
                return each.on("test")
        return self.test

    def network(self, bandwidth_bps: float) -> Network:
        """Device and edge at a bandwidth."""
        link = Link("device", "edge", bandwidth_bps, RTT_S)
        return Network((Tier("device"), Tier("edge")), (link,), "edgent")

    def of_floats(self) -> Tables:
        """The same, with the image sent as 32-bit floats."""
        return Tables(self.records, {tier: float_input(profile) for tier, profile in self.profiles.items()})


def load_tables(records: Path = RECORDS, profile: Path = PROFILE) -> Tables:
    """Records and profile as committed; the device's costs are those measured here, slowed down.

    Raises
    ------
    RecordMismatch : no records, or those of another build than the profile
    ConfigError : no profile
    """
    evidence = load_records(records / "fp32.parquet")
    lossy = tuple(load_records(records / f"{name}.parquet") for name in LOSSY)
    edge = everywhere(load_profile(profile)).model_copy(update={"tier": "edge"})
    for each in (evidence, *lossy):
        edge.require(each.provenance.cascade_fingerprint)
    return Tables(evidence, {"device": slower(edge, "device", DEVICE_S), "edge": edge}, lossy)


def slower(profile: Profile, tier: str, total_s: float) -> Profile:
    """A tier that takes ``total_s`` for all segments, and `CODING_SLOW_DOWN` times as long for coding and protocol."""
    factor = total_s / sum(cost.median_s for cost in profile.segments)
    segments = [
        cost.model_copy(update={name: factor * getattr(cost, name) for name in ("median_s", "mean_s", "p95_s")})
        for cost in profile.segments
    ]
    coding = CODING_SLOW_DOWN
    payloads = [
        cost.model_copy(update={"encode_s": coding * cost.encode_s, "decode_s": coding * cost.decode_s})
        for cost in profile.payloads
    ]
    return profile.model_copy(
        update={
            "tier": tier,
            "slow_down": factor,
            "how": "modelled",
            "segments": tuple(segments),
            "payloads": tuple(payloads),
        }
    )


def everywhere(profile: Profile) -> Profile:
    """Every lossless codec at every cut: where it cannot hold the tensor, with bytes no plan wants."""
    cuts = sorted({cost.cut for cost in profile.payloads})
    missing = [
        PayloadCost(cut=cut, codec=codec, payload_bytes=_NEVER_BYTES, encode_s=0.0, decode_s=0.0)
        for codec in dict.fromkeys(cost.codec for cost in profile.payloads)
        for cut in cuts
        if get_codec(codec).lossless and codec not in profile.codecs_at(cut)
    ]
    return profile.model_copy(update={"payloads": (*profile.payloads, *missing)})


def float_input(profile: Profile) -> Profile:
    """The image as 32-bit floats, four bytes for each of ours, sent as it is: what the paper's framework sends."""
    return profile.model_copy(
        update={
            "payloads": tuple(
                cost.model_copy(update={"payload_bytes": 4 * cost.payload_bytes}) if cost.cut == 0 else cost
                for cost in profile.payloads
                if cost.codec == "raw"
            )
        }
    )
