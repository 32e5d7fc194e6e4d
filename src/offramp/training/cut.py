"""Cutting a module's graph behind named modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from torch import fx, nn

from offramp.errors import ConfigError, TrainingError

__all__ = ["cut_after", "first_line", "places_to_cut"]


#: a module with this attribute set is one step of the graph; its own code is not looked into
WHOLE = "traced_whole"


class _Tracer(fx.Tracer):
    """Notes what the wanted modules return, leaf or not."""

    def __init__(self, wanted: Sequence[str]) -> None:
        super().__init__()
        self.returned: dict[str, list[Any]] = {path: [] for path in wanted}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return bool(getattr(m, WHOLE, False)) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        path = self.path_of_module(m)
        if path in self.returned:
            self.returned[path].append(result)
        return result


def cut_after(module: nn.Module, paths: Sequence[str]) -> list[fx.GraphModule]:
    """Split ``module`` into ``len(paths) + 1`` segments, each ending in the output of a named module.

    The segments share parameters and submodules with ``module``; run one after another they compute
    what it computes. Modules are torch's own layers or anything made of them, so residual
    connections inside a block do not matter. A module that cannot be traced may stand as one step:
    set its attribute ``traced_whole`` to True.

    A segment returns the output of the named module, and behind it those inputs of the network that
    are still needed, such as a mask; the next one takes them in this order. One tensor is returned
    as it is, several as a tuple.

    Parameters
    ----------
    module : takes one or several tensors, returns one tensor
    paths : as in ``module.named_modules()``, in the order of the network

    Raises
    ------
    ConfigError : unknown path, wrong order, module not called exactly once, or more than its one
        output and the inputs behind the first crosses the cut
    TrainingError : the graph depends on the data (``if`` on a tensor's values), or on the training mode

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [len(list(segment.children())) for segment in cut_after(net, ["1"])]
    [2, 1]
    """
    known = [name for name, _ in module.named_modules() if name]
    for path in paths:
        if path not in known:
            near = get_close_matches(path, known, n=1, cutoff=0.0)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            raise ConfigError(f"exit after {path!r}: the model has no such module{hint}")
    if len(set(paths)) != len(paths):
        raise ConfigError(f"two exits after {max(paths, key=list(paths).count)!r}; give each its own module")
    tracer = _Tracer(paths)
    graph = _trace(tracer, module)
    cuts = [_cut_node(path, tracer.returned[path]) for path in paths]
    segment_of = _assign(graph, cuts, paths)
    _check_crossings(graph, cuts, paths, segment_of)
    return [_extract(module, graph, cuts, segment_of, index) for index in range(len(cuts) + 1)]


def places_to_cut(module: nn.Module) -> tuple[fx.Graph, list[tuple[str, set[fx.Node]]]]:
    """The traced graph and every module path `cut_after` accepts alone, front to back.

    Beside each path stand the nodes that its output needs. Of modules that end at the same node,
    only the outermost is named. Any of the places may be combined, in this order.

    Raises
    ------
    ConfigError, TrainingError : as `cut_after` for the model as a whole
    """
    paths = [name for name, _ in module.named_modules() if name]  # outer modules come before inner ones
    tracer = _Tracer(paths)
    graph = _trace(tracer, module)
    found: dict[fx.Node, str] = {}
    for path in paths:
        try:
            cut = _cut_node(path, tracer.returned[path])
            _check_crossings(graph, [cut], [path], _assign(graph, [cut], [path]))
        except ConfigError:
            continue
        found.setdefault(cut, path)
    return graph, [(found[node], _ancestors(node)) for node in graph.nodes if node in found]


def first_line(error: Exception) -> str:
    """What an error of somebody else's code says, in one line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _trace(tracer: _Tracer, module: nn.Module) -> fx.Graph:
    name = type(module).__name__
    try:
        graph = tracer.trace(module)
    except Exception as error:  # whatever user code raises when it meets a symbolic value
        raise TrainingError(
            f"{name}: its forward() cannot be traced ({first_line(error)}); keep decisions that depend on a "
            "tensor's values or shape out of forward()"
        ) from error
    if any(node.kwargs.get("training") is True for node in graph.nodes):
        raise TrainingError(
            f"{name}: calls a function with training=self.training, which would be frozen; use nn.Dropout instead"
        )
    (output,) = (node for node in graph.nodes if node.op == "output")
    if not isinstance(output.args[0], fx.Node):
        raise ConfigError(f"{name}: forward() must return one tensor of logits, not several values")
    return graph


def _cut_node(path: str, returned: list[Any]) -> fx.Node:
    if len(returned) != 1:
        often = "never" if not returned else f"{len(returned)} times"
        raise ConfigError(f"exit after {path!r}: the module is called {often} in forward(); it must be called once")
    if not isinstance(returned[0], fx.Proxy):
        raise ConfigError(
            f"exit after {path!r}: the module returns a {type(returned[0]).__name__}, not one tensor; "
            "attach the exit to another module"
        )
    return returned[0].node


def _assign(graph: fx.Graph, cuts: list[fx.Node], paths: Sequence[str]) -> dict[fx.Node, int]:
    """Segment of every node: the first cut that needs it; what no cut needs is the last segment."""
    segment_of: dict[fx.Node, int] = {}
    for index, cut in enumerate(cuts):
        needed = _ancestors(cut)
        if cut in segment_of or (index and cuts[index - 1] not in needed):
            raise ConfigError(
                f"exits after {paths[index - 1]!r} and {paths[index]!r}: the second does not follow from the "
                "first; list exits in the order of the network"
            )
        for node in needed:
            segment_of.setdefault(node, index)
    for node in graph.nodes:
        if node.op == "placeholder":
            segment_of[node] = 0
        segment_of.setdefault(node, len(cuts))
    if cuts and all(node.op in {"output", "get_attr"} for node, at in segment_of.items() if at == len(cuts)):
        raise ConfigError(f"exit after {paths[-1]!r}: that is the end of the model, which has its own exit already")
    return segment_of


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found, waiting = {node}, [node]
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found


def _check_crossings(
    graph: fx.Graph, cuts: list[fx.Node], paths: Sequence[str], segment_of: dict[fx.Node, int]
) -> None:
    sides = _side_inputs(graph)
    for node in graph.nodes:
        if node.op == "get_attr" or node in sides:  # parameters are copied into each segment that reads them
            continue
        here = segment_of[node]
        is_cut = here < len(cuts) and cuts[here] is node
        furthest = max((segment_of[user] for user in node.users), default=here)
        if furthest > here + (1 if is_cut else 0):
            path = paths[here + 1 if is_cut else here]
            raise ConfigError(
                f"exit after {path!r}: besides its output, {node.name!r} is still needed behind the cut; "
                "attach the exit where everything flows through one tensor, such as the end of a block"
            )


def _side_inputs(graph: fx.Graph) -> list[fx.Node]:
    """Every input but the first: what may be handed from segment to segment."""
    return [node for node in graph.nodes if node.op == "placeholder"][1:]


def _extract(
    module: nn.Module, graph: fx.Graph, cuts: list[fx.Node], segment_of: dict[fx.Node, int], index: int
) -> fx.GraphModule:
    part = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    if index:
        copied[cuts[index - 1]] = part.placeholder("features")
        for side in _needed_from(graph, segment_of, index):
            copied[side] = part.placeholder(side.name)

    def source(node: fx.Node) -> fx.Node:
        if node not in copied:  # only parameters come from elsewhere
            copied[node] = part.node_copy(node)
        return copied[node]

    for node in graph.nodes:
        if segment_of[node] == index and node.op != "output":
            copied[node] = part.node_copy(node, source)
    (output,) = (node for node in graph.nodes if node.op == "output")
    last = cuts[index] if index < len(cuts) else output.args[0]
    assert isinstance(last, fx.Node)
    handed = (copied[last], *(copied[side] for side in _needed_from(graph, segment_of, index + 1)))
    part.output(handed if len(handed) > 1 else handed[0])
    part.lint()
    return fx.GraphModule(module, part, class_name=f"Segment{index}")


def _needed_from(graph: fx.Graph, segment_of: dict[fx.Node, int], index: int) -> list[fx.Node]:
    """The side inputs that segment ``index`` or a later one reads."""
    return [node for node in _side_inputs(graph) if any(segment_of[user] >= index for user in node.users)]
