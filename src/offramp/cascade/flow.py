"""Where a graph may be cut: the tensors alive between two steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Step", "crossing_sets"]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a graph: the tensors it reads and the tensors it makes."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def crossing_sets(
    steps: Sequence[Step], inputs: Sequence[str], output: str, max_crossing: int = 1
) -> dict[int, tuple[str, ...]]:
    """Every position at which a graph may be cut, with the tensors that cross there.

    A tensor crosses position p when it is an input or made by one of the first p steps, and is read
    by a later one. So whatever comes after depends on the crossing tensors and nothing else.

    With ``max_crossing`` 1 the result does not depend on the order of the steps and is complete: all
    paths to the output run through the one tensor, so what is before it are its ancestors and what is
    after it are its descendants, in every topological order. With more, the positions are those of
    the order given.

    Parameters
    ----------
    steps : in topological order; each is needed for ``output``
    inputs : tensors given from outside; an input still read after the cut crosses too
    output : the result
    max_crossing : at most so many tensors at a cut

    Returns
    -------
    position -> names of the tensors, in the order they are made; position p is after the first p
        steps, 0 < p < len(steps)

    Examples
    --------
    >>> residual = [Step(("x",), ("a",)), Step(("a",), ("b",)), Step(("a", "b"), ("c",)), Step(("c",), ("y",))]
    >>> crossing_sets(residual, ["x"], "y")
    {1: ('a',), 3: ('c',)}
    >>> crossing_sets(residual, ["x"], "y", max_crossing=2)
    {1: ('a',), 2: ('a', 'b'), 3: ('c',)}
    """
    last_read = {name: position for position, step in enumerate(steps) for name in step.inputs}
    last_read[output] = len(steps)
    alive = [name for name in inputs if name in last_read]
    found = {}
    for position, step in enumerate(steps[:-1], start=1):
        alive = [name for name in (*alive, *step.outputs) if last_read.get(name, -1) >= position]
        if len(alive) <= max_crossing and output not in alive:
            found[position] = tuple(alive)
    return found
