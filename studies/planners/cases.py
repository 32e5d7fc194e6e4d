"""The cascades of the study: committed records, and a profile of this folder for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offramp.confidence.temperature import fit_temperature
from offramp.errors import NotEnoughSamples, OfframpError
from offramp.profiles.profile import Profile, load_profile
from offramp.records.records import Records, load_records

__all__ = [
    "EXAMPLES",
    "PROFILES",
    "TIER",
    "Case",
    "Skipped",
    "cases",
    "coded_files",
    "records_files",
    "tier_profile",
]

EXAMPLES = Path(__file__).parents[2] / "examples"
PROFILES = Path(__file__).parent / "profiles"
#: name under which the measuring machine is stored
TIER = "machine"


@dataclass(frozen=True)
class Case:
    """A cascade with all that a planner needs but the network; ``coded`` are records of variants, with coded cuts."""

    name: str
    records: Records
    profile: Profile
    temperatures: tuple[float, ...]
    coded: tuple[Records, ...] = ()

    def of_variant(self, name: str) -> Records:
        """The records of one variant."""
        return next(one for one in (self.records, *self.coded) if one.provenance.variant == name)


@dataclass(frozen=True)
class Skipped:
    """A cascade that cannot take part, and why."""

    name: str
    reason: str


def records_files(examples: Path = EXAMPLES) -> dict[str, Path]:
    """The committed fp32 records by the name of their example."""
    return {path.parents[1].name: path for path in sorted(examples.glob("*/records/fp32.parquet"))}


def coded_files(fp32: Path) -> list[Path]:
    """Records of variants with coded cuts, beside those of fp32."""
    return sorted(fp32.parent.glob("fp32+*@*.parquet"))


def cases(examples: Path = EXAMPLES, profiles: Path = PROFILES) -> Iterator[Case | Skipped]:
    """Every cascade with committed records: ready, or why it is left out."""
    for name, path in records_files(examples).items():
        try:
            coded = tuple(load_records(file) for file in coded_files(path))
            yield _case(name, load_records(path), profiles / f"{name}.json", coded)
        except NotEnoughSamples:
            yield Skipped(name, "its records have no tune or calibrate rows")
        except OfframpError as error:
            yield Skipped(name, str(error))


def _case(name: str, records: Records, file: Path, coded: tuple[Records, ...]) -> Case | Skipped:
    tune = records.on("tune")
    records.on("calibrate")
    if not file.is_file():
        return Skipped(name, "no profile; 'python -m studies.planners.measure' makes one where the cascade is")
    profile = load_profile(file)
    records.require(profile.cascade_fingerprint)
    temperatures = tuple(fit_temperature(logits, tune.labels) for logits in tune.logits)
    return Case(name, records, profile, temperatures, coded)


def tier_profile(profile: Profile, tier: str, slow_down: float) -> Profile:
    """What a tier declared so many times slower than the measured machine costs; the protocol's seconds stay."""
    segments = [
        cost.model_copy(
            update={name: slow_down * getattr(cost, name) for name in ("median_s", "mean_s", "p95_s")},
        )
        for cost in profile.segments
    ]
    payloads = [
        cost.model_copy(update={"encode_s": slow_down * cost.encode_s, "decode_s": slow_down * cost.decode_s})
        for cost in profile.payloads
    ]
    changed = {"tier": tier, "slow_down": slow_down, "segments": tuple(segments), "payloads": tuple(payloads)}
    return profile.model_copy(update={**changed, "how": "modelled"})
