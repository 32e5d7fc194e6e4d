"""Multiply-accumulates of a segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offramp.cascade.manifest import SegmentSpec
from offramp.profiles.operators import Operator

__all__ = ["segment_macs"]


def segment_macs(spec: SegmentSpec, operators: Sequence[Operator] | Callable[[], Sequence[Operator]]) -> int:
    """Multiply-accumulates of one row: what the manifest says, or what ran where that hangs on the row.

    A manifest counts the FLOPs of a text for one as long as the model's example, and does not count those of
    an imported model whose rows differ in size.

    Parameters
    ----------
    spec : of the segment
    operators : as they ran for a typical row, or a function that gives them if they are asked for
    """
    fixed = not any(None in tensor.row_shape for tensor in spec.inputs)
    if fixed and spec.flops is not None:
        return spec.flops // 2
    return sum(operator.macs for operator in (operators() if callable(operators) else operators))
