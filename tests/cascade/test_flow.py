"""Cuts of random graphs, against brute-force reachability."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from offramp.cascade.flow import Step, crossing_sets


@st.composite
def graphs(draw: st.DrawFn, steps: int = 7) -> tuple[list[Step], list[str], str]:
    """A random DAG in which the last step is the result and everything is needed for it."""
    inputs = [f"x{i}" for i in range(draw(st.integers(1, 2)))]
    made: list[Step] = []
    for index in range(draw(st.integers(2, steps))):
        known = [*inputs, *(name for step in made for name in step.outputs)]
        read = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        outputs = tuple(f"v{index}_{i}" for i in range(draw(st.integers(1, 2))))
        made.append(Step(tuple(read), outputs))
    output = made[-1].outputs[0]
    needed, keep = {output}, []
    for step in reversed(made):
        if needed & set(step.outputs):
            needed |= set(step.inputs)
            keep.append(step)
    return keep[::-1], inputs, output


def _depends_on_more(after: list[Step], tensors: tuple[str, ...], output: str) -> bool:
    """Whether the steps after a cut need anything but ``tensors``: run them and see."""
    known = set(tensors)
    for step in after:
        if not set(step.inputs) <= known:
            return True
        known |= set(step.outputs)
    return output not in known


@given(graphs(), st.integers(1, 3))
def test_what_follows_a_cut_depends_on_the_crossing_tensors_alone(
    graph: tuple[list[Step], list[str], str], max_crossing: int
) -> None:
    steps, inputs, output = graph
    for position, tensors in crossing_sets(steps, inputs, output, max_crossing).items():
        assert 1 <= len(tensors) <= max_crossing
        assert not _depends_on_more(steps[position:], tensors, output)
        for left_out in tensors:  # and on every one of them
            rest = tuple(name for name in tensors if name != left_out)
            assert _depends_on_more(steps[position:], rest, output)


@given(graphs(), st.integers(1, 3))
def test_every_valid_prefix_is_found(graph: tuple[list[Step], list[str], str], max_crossing: int) -> None:
    steps, inputs, output = graph
    found = crossing_sets(steps, inputs, output, max_crossing)
    for position in range(1, len(steps)):
        known = [*inputs, *(name for step in steps[:position] for name in step.outputs)]
        sufficient = [
            chosen
            for size in range(1, max_crossing + 1)
            for chosen in combinations(known, size)
            if output not in chosen and not _depends_on_more(steps[position:], chosen, output)
        ]
        assert bool(sufficient) == (position in found)
        if sufficient:
            assert found[position] == sufficient[0]


@given(graphs(steps=6))
def test_single_tensor_cuts_do_not_depend_on_the_order(graph: tuple[list[Step], list[str], str]) -> None:
    steps, inputs, output = graph
    cuts = {frozenset(steps[:p]): t for p, t in crossing_sets(steps, inputs, output).items()}
    for size in range(1, len(steps)):
        for before in combinations(steps, size):
            made = {*inputs, *(name for step in before for name in step.outputs)}
            if any(not set(step.inputs) <= made for step in before):
                continue  # not closed under what it reads
            after = [step for step in steps if step not in before]
            crossing = {name for step in after for name in step.inputs if name in made} | ({output} & made)
            valid = len(crossing) == 1 and output not in crossing
            assert valid == (frozenset(before) in cuts)
            if valid:
                assert cuts[frozenset(before)] == tuple(crossing)
