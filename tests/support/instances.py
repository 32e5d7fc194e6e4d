"""Small planning problems made up from a seed: records, profiles, a network."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from offramp.links.network import Link, Network, Tier
from offramp.profiles.profile import MachineInfo, PayloadCost, Profile, SegmentCost, TransportCost
from offramp.records.records import RecordProvenance, Records

FINGERPRINT = "ab" * 32
TIER_NAMES = ("device", "edge", "cloud", "far")


@dataclass(frozen=True)
class Instance:
    """What a search needs."""

    records: Records
    profiles: dict[str, Profile]
    network: Network
    temperatures: tuple[float, ...]


def make_records(rng: np.random.Generator, rows: int, exits: int, classes: int = 3, levels: int = 0) -> Records:
    """Later exits are better; half the rows are tune rows, half calibrate. ``levels`` > 0 makes ties."""
    labels = rng.integers(0, classes, rows)
    logits = rng.normal(0, 1, (exits, rows, classes))
    logits[:, np.arange(rows), labels] += np.linspace(2.0, 4.0, exits)[:, None]
    if levels:
        logits = np.round(logits * levels) / levels
    split = np.where(np.arange(rows) % 2 == 0, "tune", "calibrate").astype("<U9")
    provenance = RecordProvenance("made-up", FINGERPRINT, "none", "cd" * 32, 0, "tests", "2026-01-01T00:00:00Z")
    names = tuple(f"exit{i}" for i in range(exits))
    return Records(logits.astype(np.float32), labels, split, np.arange(rows), names, provenance)


def make_profile(
    rng: np.random.Generator,
    tier: str,
    exit_segments: tuple[int, ...],
    scale: float,
    sizes: dict[str, list[float]],
) -> Profile:
    """Random costs; segment seconds around ``scale``, payload bytes as in ``sizes``."""
    segments = exit_segments[-1] + 1
    seconds = rng.uniform(0.1, 2.0, segments) * scale * np.logspace(-0.5, 1.0, segments)
    return Profile(
        cascade="made-up",
        cascade_fingerprint=FINGERPRINT,
        tier=tier,
        slow_down=1.0,
        how="modelled",
        created_utc="2026-01-01T00:00:00Z",
        machine=MachineInfo(cpu="none", cores=1, system="none", versions={}),
        exit_segments=exit_segments,
        segments=tuple(
            SegmentCost(segment=i, median_s=s, mean_s=s, p95_s=s, repeats=1) for i, s in enumerate(seconds.tolist())
        ),
        payloads=tuple(
            PayloadCost(
                cut=cut,
                codec=codec,
                payload_bytes=size,
                encode_s=float(rng.uniform(0, 0.2) * scale),
                decode_s=float(rng.uniform(0, 0.2) * scale),
            )
            for codec, per_cut in sizes.items()
            for cut, size in enumerate(per_cut)
        ),
        transport=TransportCost(
            hop_s=float(rng.uniform(0, 1e-3)),
            request_overhead_bytes=float(rng.integers(0, 200)),
            answer_bytes=float(rng.integers(0, 200)),
        ),
    )


def make_instance(
    seed: int,
    segments: int = 3,
    tiers: int = 3,
    exits: int = 3,
    rows: int = 60,
    codecs: tuple[str, ...] = ("raw",),
    levels: int = 0,
) -> Instance:
    """A problem with a slow first tier and ever faster ones behind ever longer links."""
    rng = np.random.default_rng(seed)
    early = sorted(rng.choice(segments - 1, exits - 1, replace=False).tolist()) if exits > 1 else []
    exit_segments = (*early, segments - 1)
    sizes = {codec: rng.uniform(100, 5000, segments).tolist() for codec in codecs}
    names = TIER_NAMES[:tiers]
    scales = 10 ** rng.uniform(-3, -2, tiers) / 10.0 ** np.arange(tiers)
    links = tuple(
        Link(a, b, float(rng.uniform(1e6, 5e7)), float(rng.uniform(0, 0.01))) for a, b in itertools.pairwise(names)
    )
    return Instance(
        records=make_records(rng, rows, exits, levels=levels),
        profiles={n: make_profile(rng, n, exit_segments, s, sizes) for n, s in zip(names, scales, strict=True)},
        network=Network(tuple(Tier(name) for name in names), links, "made-up"),
        temperatures=tuple(rng.uniform(0.5, 2.0, exits).tolist()),
    )
