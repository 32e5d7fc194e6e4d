"""A user's ONNX classifier: read, prepared, and its outputs told apart."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import onnx_ir as ir

from offramp.cascade.anatomy import Anatomy
from offramp.cascade.batch import make_batch_symbolic
from offramp.cascade.exits_onnx import logits_before_exit, logits_behind
from offramp.cascade.graph import OnnxGraph, read_graph
from offramp.cascade.preprocess import Preprocess
from offramp.cascade.segment import CONFIDENCE, LABEL, LOGITS, PROBABILITIES
from offramp.errors import CascadeError, ConfigError

__all__ = ["choose_outputs", "count_classes", "prepare"]


def prepare(model: str | Path, preprocess: Preprocess | None) -> OnnxGraph:
    """Read a model, put the preprocessing in front and make its batch dynamic.

    Raises
    ------
    CascadeError : the file cannot be read
    ConfigError : the preprocessing does not fit the model
    """
    graph = read_graph(model)
    if preprocess is not None:
        preprocess.prepend(graph)
    make_batch_symbolic(graph)
    return graph


def choose_outputs(graph: OnnxGraph, logits: str | None, exits: Sequence[str]) -> tuple[ir.Value, dict[str, ir.Value]]:
    """The logits of the model, and those of its early exits by name.

    A segment of offramp's own gives what it computes from the logits as well; its logits need not be named.

    Raises
    ------
    ConfigError : an unknown output, one named twice, or several left to choose from
    """
    outputs = {graph.name_of(value): value for value in graph.outputs}
    for name in (*exits, *(() if logits is None else (logits,))):
        if name not in outputs:
            near = get_close_matches(name, outputs, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{graph.where}: has no output {name!r}; the nearest is {near!r}")
    if logits is None and not exits and set(outputs) == {LOGITS, PROBABILITIES, CONFIDENCE, LABEL}:
        return logits_before_exit(outputs[LOGITS]), {}
    left = [name for name in outputs if name not in exits] if logits is None else [logits]
    if len(left) != 1 or left[0] in exits or len(set(exits)) != len(exits):
        raise ConfigError(
            f"{graph.where}: gives the outputs {', '.join(outputs)}; name the one that classifies (logits) "
            "and, if there are any, those of early exits (exits), each once"
        )
    return logits_behind(outputs[left[0]]), {name: logits_behind(outputs[name]) for name in exits}


def count_classes(anatomy: Anatomy, logits: Sequence[ir.Value]) -> int:
    """K of logits (n, K) or (n, K, 1, 1), the same for every exit.

    Raises
    ------
    CascadeError : another shape, K < 2, or a K that differs
    """
    found = {}
    for value in logits:
        name, where = anatomy.graph.name_of(value), anatomy.graph.where
        spec = anatomy.probe.rowwise.get(str(value.name))
        shape = anatomy.probe.single.get(str(value.name))
        row = () if spec is None or "float" not in spec.dtype else spec.row_shape
        if not row or row[0] is None or row[0] < 2 or any(size != 1 for size in row[1:]):
            raise CascadeError(
                f"{where}: {name!r} gives {shape} for one row; a classifier gives (n, K) numbers, K >= 2, one row each"
            )
        found[name] = row[0]
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {classes}" for name, classes in found.items())
        raise CascadeError(f"{anatomy.graph.where}: its exits have different numbers of classes: {told}")
    return next(iter(found.values()))
