"""Cut points of an ONNX model: finding all of them, and choosing among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from offramp.cascade.manifest import TensorSpec
from offramp.errors import ConfigError

__all__ = ["CutPoint", "cuts_by_name", "even_cuts", "useful_cuts"]

#: compute between two cuts that is too little to tell them apart, as a share of the whole
NEGLIGIBLE = 0.01


@dataclass(frozen=True, slots=True)
class CutPoint:
    """A place where the graph may be cut.

    ``index`` counts the operations before it, ``tensors`` cross it, ``flops_before`` are the
    floating point operations before it for one row (``None`` where shapes are dynamic).
    """

    index: int
    tensors: tuple[TensorSpec, ...]
    flops_before: int | None

    @property
    def name(self) -> str:
        """Names of the crossing tensors, joined by ``+``."""
        return "+".join(tensor.name for tensor in self.tensors)

    @property
    def payload_bytes(self) -> int | None:
        """Bytes that cross per row, uncompressed; ``None`` where shapes are dynamic.

        Examples
        --------
        >>> CutPoint(1, (TensorSpec(name="h", dtype="float32", shape=(None, 16, 8, 8)),), 0).payload_bytes
        4096
        """
        return row_bytes(self.tensors)


def row_bytes(tensors: Iterable[TensorSpec]) -> int | None:
    """Bytes of one row of all ``tensors``; ``None`` where a shape is dynamic."""
    total = 0
    for tensor in tensors:
        sizes = [size for size in tensor.row_shape if size is not None]
        if len(sizes) != len(tensor.row_shape):
            return None
        total += int(np.prod(sizes)) * np.dtype(tensor.dtype).itemsize
    return total


def useful_cuts(
    cuts: Sequence[CutPoint],
    total_flops: int | None,
    input_bytes: int | None,
    keep: Collection[CutPoint] = (),
) -> list[CutPoint]:
    """Drop the cuts that another one makes pointless.

    Cuts with next to no compute between them (1 % of the whole) form a group, and only the one with
    the smallest payload stays; of equals the last, so that a convolution keeps its normalisation and
    activation. The raw input belongs to the first group and the answer, which weighs nothing, to the
    last one. Cuts in ``keep`` stay, and stand for their group.

    Parameters
    ----------
    cuts : in order
    total_flops : of the whole model; without it only groups of one payload are thinned
    input_bytes : of one raw row
    keep : cuts that must stay, for example because an exit follows
    """
    if not total_flops or any(cut.flops_before is None for cut in cuts):
        return [c for c, after in zip(cuts, [*cuts[1:], None], strict=True) if c in keep or not _repeated(c, after)]
    chosen: list[CutPoint] = []
    for number, group in enumerate(_groups(cuts, NEGLIGIBLE * total_flops)):
        wanted = [cut for cut in group if cut in keep]
        candidates = [cut for cut in group if (cut.flops_before or 0) < (1 - NEGLIGIBLE) * total_flops]
        if number == 0:
            candidates = [cut for cut in candidates if _beats_input(cut, input_bytes, NEGLIGIBLE * total_flops)]
        if wanted:
            chosen += wanted
        elif candidates:
            chosen.append(min(candidates, key=lambda cut: (_size(cut), -cut.index)))
    return chosen


def _size(cut: CutPoint) -> float:
    return float("inf") if cut.payload_bytes is None else cut.payload_bytes


def _repeated(cut: CutPoint, after: CutPoint | None) -> bool:
    """Whether the very next operation gives a cut of the same tensors' shape."""
    return (
        after is not None
        and after.index == cut.index + 1
        and [(t.dtype, t.shape) for t in after.tensors] == [(t.dtype, t.shape) for t in cut.tensors]
    )


def _beats_input(cut: CutPoint, input_bytes: int | None, negligible: float) -> bool:
    return (cut.flops_before or 0) > negligible or input_bytes is None or _size(cut) < input_bytes


def _groups(cuts: Sequence[CutPoint], negligible: float) -> list[list[CutPoint]]:
    """Runs of cuts with at most ``negligible`` flops from the first to the last; the first run begins at 0."""
    groups: list[list[CutPoint]] = [[]]
    begin = 0
    for cut in cuts:
        flops = cut.flops_before or 0
        if flops - begin > negligible:
            groups.append([])
            begin = flops
        groups[-1].append(cut)
    return groups


def even_cuts(
    cuts: Sequence[CutPoint], segments: int, total_flops: int | None, keep: Collection[CutPoint] = ()
) -> list[CutPoint]:
    """Choose cuts for ``segments`` segments of about equal compute.

    Parameters
    ----------
    cuts : all that may be chosen, in order
    segments : wanted; ``segments - 1`` cuts
    total_flops : of the whole model; without it the operations are counted instead
    keep : cuts that must be among them

    Raises
    ------
    ConfigError : there are not enough cuts, or more in ``keep`` than wanted

    Examples
    --------
    >>> cuts = [CutPoint(i, (), 10 * i) for i in range(1, 10)]
    >>> [cut.index for cut in even_cuts(cuts, 3, 100)]
    [3, 7]
    """
    if segments < 1:
        raise ConfigError(f"a cascade has at least 1 segment, not {segments}")
    if segments - 1 > len(cuts):
        raise ConfigError(
            f"{segments} segments need {segments - 1} cuts, but only {len(cuts)} are valid; "
            "ask for fewer segments or allow more crossing tensors"
        )
    if len(keep) > segments - 1:
        raise ConfigError(f"{len(keep)} early exits need at least {len(keep) + 1} segments, not {segments}")
    place = [cut.index if total_flops is None else cut.flops_before or 0 for cut in cuts]
    whole = total_flops or (max(place, default=0) + 1)
    chosen = {cuts.index(cut) for cut in keep}
    targets = sorted((whole * j / segments for j in range(1, segments)), key=lambda t: abs(t - whole / 2), reverse=True)
    for position in chosen:  # a kept cut takes the target next to it
        targets.remove(min(targets, key=lambda t: abs(t - place[position])))
    for target in targets:
        free = [i for i in range(len(cuts)) if i not in chosen]
        chosen.add(min(free, key=lambda i: (abs(place[i] - target), -i)))
    return [cuts[i] for i in sorted(chosen)]


def cuts_by_name(cuts: Sequence[CutPoint], names: Sequence[str]) -> list[CutPoint]:
    """The cuts of the given names, in the order of the graph.

    Raises
    ------
    ConfigError : no valid cut has that name; the nearest name is told

    Examples
    --------
    >>> spec = TensorSpec(name="block1", dtype="float32", shape=(None, 4))
    >>> cuts_by_name([CutPoint(1, (spec,), 0)], ["block2"])
    Traceback (most recent call last):
    offramp.errors.ConfigError: no valid cut 'block2'; the nearest is 'block1'
    """
    known = {cut.name: cut for cut in cuts}
    chosen = set()
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f"the nearest is {near[0]!r}" if near else "the model has none"
            raise ConfigError(f"no valid cut {name!r}; {hint}")
        chosen.add(known[name])
    return sorted(chosen, key=lambda cut: cut.index)
