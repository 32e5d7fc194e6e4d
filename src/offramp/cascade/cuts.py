"""Cut points of an ONNX model: finding all of them, and choosing among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod

import numpy as np

from offramp.cascade.manifest import TensorSpec
from offramp.errors import ConfigError

__all__ = ["NOMINAL_SIZE", "CutPoint", "cuts_by_name", "even_cuts", "row_bytes", "useful_cuts"]

#: compute between two cuts that is too little to tell them apart, as a share of the whole
NEGLIGIBLE = 0.01
#: size that a dynamic dimension is taken to have when cuts are compared
NOMINAL_SIZE = 32


@dataclass(frozen=True, slots=True)
class CutPoint:
    """A place where the graph may be cut.

    ``index`` counts the operations before it, ``tensors`` cross it, ``flops_before`` are the
    floating point operations before it for one row (dynamic dimensions at `NOMINAL_SIZE`).
    """

    index: int
    tensors: tuple[TensorSpec, ...]
    flops_before: int

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


def row_bytes(tensors: Iterable[TensorSpec], dynamic: int | None = None) -> int | None:
    """Bytes of one row of all ``tensors``; ``None`` where a shape is dynamic and no size for it is given."""
    total = 0
    for tensor in tensors:
        sizes = [dynamic if size is None else size for size in tensor.row_shape]
        if None in sizes:
            return None
        total += prod(size for size in sizes if size is not None) * np.dtype(tensor.dtype).itemsize
    return total


def useful_cuts(
    cuts: Sequence[CutPoint], total_flops: int, inputs: Sequence[TensorSpec], keep: Collection[CutPoint] = ()
) -> list[CutPoint]:
    """Drop the cuts that another one makes pointless.

    Cuts with next to no compute between them (1 % of the whole) form a group, and only the one with
    the smallest payload stays; of equals the last, so that a convolution keeps its normalisation and
    activation. The raw input belongs to the first group and the answer, which weighs nothing, to the
    last one. Cuts in ``keep`` stay, and stand for their group.

    Parameters
    ----------
    cuts : in order
    total_flops : of the whole model
    inputs : the raw input
    keep : cuts that must stay, for example because an exit sits there
    """
    negligible = NEGLIGIBLE * total_flops
    chosen: list[CutPoint] = []
    for group in _groups(cuts, negligible):
        candidates = [cut for cut in group if total_flops - cut.flops_before > negligible]
        if group and group[0].flops_before <= negligible:
            candidates = [cut for cut in candidates if _size(cut.tensors) < _size(inputs)]
        if wanted := [cut for cut in group if cut in keep]:
            chosen += wanted
        elif candidates:
            chosen.append(min(candidates, key=lambda cut: (_size(cut.tensors), -cut.index)))
    return chosen


def _size(tensors: Sequence[TensorSpec]) -> int:
    return row_bytes(tensors, NOMINAL_SIZE) or 0


def _groups(cuts: Sequence[CutPoint], negligible: float) -> list[list[CutPoint]]:
    """Runs of cuts with at most ``negligible`` flops from the first to the last; the first run begins at 0."""
    groups: list[list[CutPoint]] = [[]]
    begin = 0
    for cut in cuts:
        if cut.flops_before - begin > negligible:
            groups.append([])
            begin = cut.flops_before
        groups[-1].append(cut)
    return groups


def even_cuts(
    cuts: Sequence[CutPoint], segments: int, total_flops: int, keep: Collection[CutPoint] = ()
) -> list[CutPoint]:
    """Choose cuts for ``segments`` segments of about equal compute.

    Parameters
    ----------
    cuts : all that may be chosen, in order
    segments : wanted; ``segments - 1`` cuts
    total_flops : of the whole model
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
    place = [cut.flops_before for cut in cuts]
    chosen = {cuts.index(cut) for cut in keep}
    targets = [total_flops * j / segments for j in range(1, segments)]
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
