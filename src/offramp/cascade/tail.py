"""Tails of a cascade: what is left of the network behind a cut, its exits on the way left out."""

from __future__ import annotations

from offramp.cascade.manifest import Manifest
from offramp.errors import ConfigError

__all__ = ["require_tail", "tail_name", "tail_segments", "tails"]


def tail_name(cascade: str, cut: int) -> str:
    """The name under which a model server has the tail from a cut.

    Examples
    --------
    >>> tail_name("resnet8", 2)
    'resnet8-from-2'
    """
    return f"{cascade}-from-{cut}"


def tail_segments(manifest: Manifest, cut: int) -> range:
    """The segments the last exit needs when the tensors at ``cut`` are given.

    Where a segment hands over the input, nothing before it counts. Empty if the tail would need the sample, but is
    handed features.
    """
    stop = len(manifest.segments)
    restarts = [i for i in range(cut, stop - 1) if manifest.segments[i].hand_over == "input"]
    if not restarts:
        return range(cut, stop)
    return range(restarts[-1] + 1, stop) if manifest.tensors_at(cut) == manifest.inputs else range(0)


def tails(manifest: Manifest) -> tuple[int, ...]:
    """Every cut that has a tail: 0 is the whole network."""
    return tuple(cut for cut in range(len(manifest.segments)) if tail_segments(manifest, cut))


def require_tail(manifest: Manifest, cut: int) -> range:
    """The segments of the tail from a cut.

    Raises
    ------
    ConfigError : there is no such cut, or the tail needs the sample and not what crosses there
    """
    if not 0 <= cut < len(manifest.segments):
        raise ConfigError(
            f"{manifest.name!r} has the cuts 0..{len(manifest.segments) - 1}, not {cut}; choose --from-cut among them"
        )
    found = tail_segments(manifest, cut)
    if not found:
        raise ConfigError(
            f"the tail of {manifest.name!r} from cut {cut} starts again from the sample, which does not cross there; "
            f"choose --from-cut among {', '.join(map(str, tails(manifest)))}"
        )
    return found
