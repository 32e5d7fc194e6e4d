"""Carrying a profile from the machine it was measured on to the one that plans."""

from __future__ import annotations

from pathlib import Path

from offramp.cascade.manifest import Manifest
from offramp.cascade.store import open_cascade
from offramp.errors import RecordMismatch
from offramp.profiles.profile import Profile, load_profile

__all__ = ["check_profile", "export_profile", "import_profile", "profile_file"]


def profile_file(cascade_path: str | Path, tier: str) -> Path:
    """Where a cascade keeps the profile of a tier."""
    return Path(cascade_path) / "profiles" / f"{tier}.json"


def export_profile(cascade_path: str | Path, tier: str, file: str | Path) -> Profile:
    """Write the stored profile of a tier to one JSON file, to be carried to another machine.

    Raises
    ------
    CascadeError : the cascade cannot be opened
    ConfigError : the tier has no profile
    RecordMismatch : it is one of another build of the cascade
    """
    profile = load_profile(profile_file(cascade_path, tier))
    check_profile(profile, open_cascade(cascade_path).manifest)
    profile.save(file)
    return profile


def import_profile(cascade_path: str | Path, file: str | Path, tier: str | None = None) -> Profile:
    """Store a profile that was measured on another machine, if it is one of this cascade.

    Parameters
    ----------
    cascade_path : the folder ``NAME.cascade``
    file : as `export_profile` wrote it there
    tier : call it so here; default the name it was measured under

    Raises
    ------
    CascadeError : the cascade cannot be opened
    ConfigError : no such file, or a damaged one
    RecordMismatch : the profile belongs to another build, or to another int8 variant
    """
    profile = load_profile(file)
    check_profile(profile, open_cascade(cascade_path).manifest)
    if tier is not None:
        profile = profile.model_copy(update={"tier": tier})
    profile.save(profile_file(cascade_path, profile.tier))
    return profile


def check_profile(profile: Profile, manifest: Manifest) -> None:
    """Refuse a profile that does not fit a cascade.

    The fingerprint leaves out int8 variants, so that making one keeps what is known of the rest; a variant is
    recognised by its size.

    Raises
    ------
    RecordMismatch : another build, a segment without cost or beyond the last, or another int8 variant
    """
    profile.require(manifest.fingerprint)
    whose, count = f"the profile of tier {profile.tier!r}", len(manifest.segments)
    plain = {cost.segment for cost in profile.segments if cost.precision == "fp32" and cost.batch == 1}
    if plain != set(range(count)):
        wrong = min(plain ^ set(range(count)))
        raise RecordMismatch(
            f"{whose} {'has a' if wrong in plain else 'lacks the'} cost of segment {wrong} in fp32, "
            f"but {manifest.name!r} has the segments 0 to {count - 1}; run 'offramp profile' again"
        )
    for cost in profile.segments:
        if cost.precision == "fp32" or cost.segment >= count:
            continue
        variant = manifest.segments[cost.segment].variant(cost.precision)
        if variant is None or (cost.model_bytes is not None and cost.model_bytes != variant.file_bytes):
            has = "none" if variant is None else "another one"
            raise RecordMismatch(
                f"{whose} has the cost of segment {cost.segment} in {cost.precision}, but {manifest.name!r} has "
                f"{has}; run 'offramp profile' again on the build that was measured"
            )
