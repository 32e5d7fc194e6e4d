"""Single operators as small ONNX models, of many sizes, for measuring what operators cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.onnx_extra import require_onnx

__all__ = ["operator_models"]

Array = NDArray[Any]
Model = tuple[bytes, dict[str, Array]]

_CHANNELS = (1, 3, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SIDES = (2, 4, 7, 8, 14, 16, 28, 32, 56)
_WIDTHS = (10, 16, 64, 100, 192, 384, 512, 768, 1024, 1536)
_LENGTHS = (1, 1, 8, 16, 16, 32, 64, 128)
#: larger models than this take too long to repeat
_MAX_MACS = 6e7
_OPSET, _IR_VERSION = 20, 9


def operator_models(seed: int = 0, count: int = 40) -> Iterator[Model]:
    """Convolutions, matrix products, pools, activations and the like, each a model of its own.

    Parameters
    ----------
    seed : of the sizes and weights
    count : so many matrix products, half as many again convolutions, and fewer of the rest

    Yields
    ------
    The bytes of an ONNX model with the output ``y``, and one row for its inputs

    Raises
    ------
    ConfigError : onnx is not installed

    Examples
    --------
    >>> content, feed = next(operator_models())
    >>> sorted(feed), len(content) > 100
    (['x'], True)
    """
    require_onnx()
    rng = np.random.default_rng(seed)
    makers = (_convolution, _depthwise, _int8_convolution, _product, _pool, _elementwise, _function, _normalise, _copy)
    shares = (1.5, 0.5, 1.0, 1.0, 0.25, 0.5, 0.5, 1.0, 0.5)
    for make, share in zip(makers, shares, strict=True):
        for _ in range(max(1, round(share * count))):
            yield make(rng)


def _model(nodes: list[Any], feed: dict[str, Array], weights: dict[str, Array]) -> Model:
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "operator",
        [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in feed.items()],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    return bytes(model.SerializeToString()), feed


def _node(operator: str, inputs: list[str], output: str = "y", **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(operator, inputs, [output], **attributes)


def _normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.normal(0, 1, shape).astype(np.float32)


def _filters(rng: np.random.Generator) -> tuple[int, int, int, int, int]:
    """Channels in and out, side, filter size, stride: none too large to repeat."""
    while True:
        channels, filters, side = int(rng.choice(_CHANNELS)), int(rng.choice(_CHANNELS[2:])), int(rng.choice(_SIDES))
        size, stride = int(rng.choice((1, 3, 3, 3, 5))), int(rng.choice((1, 1, 2)))
        if channels * filters * (size * side / stride) ** 2 < _MAX_MACS:
            return channels, filters, side, size, stride


def _convolution(rng: np.random.Generator) -> Model:
    channels, filters, side, size, stride = _filters(rng)
    window: dict[str, Any] = {"pads": [size // 2] * 4, "strides": [stride] * 2}
    nodes = [_node("Conv", ["x", "w", "b"], "c", **window), _node("Relu", ["c"])]
    weights = {"w": _normal(rng, filters, channels, size, size), "b": _normal(rng, filters)}
    return _model(nodes, {"x": _normal(rng, 1, channels, side, side)}, weights)


def _depthwise(rng: np.random.Generator) -> Model:
    channels, side, stride = int(rng.choice(_CHANNELS[2:])), int(rng.choice(_SIDES)), int(rng.choice((1, 1, 2)))
    window: dict[str, Any] = {"pads": [1] * 4, "strides": [stride] * 2, "group": channels}
    nodes = [_node("Conv", ["x", "w", "b"], "c", **window), _node("Relu", ["c"])]
    weights = {"w": _normal(rng, channels, 1, 3, 3), "b": _normal(rng, channels)}
    return _model(nodes, {"x": _normal(rng, 1, channels, side, side)}, weights)


def _int8_convolution(rng: np.random.Generator) -> Model:
    """Of 8-bit data to 8-bit data, as quantised segments have them, between the ways in and out of 8 bits."""
    channels, filters, side, size, stride = _filters(rng)
    group = 1
    if rng.random() < 0.3:
        group = channels = filters
    window: dict[str, Any] = {"pads": [size // 2] * 4, "strides": [stride] * 2, "group": group}
    scales = ["s", "z", "w", "ws", "wz", "s", "z"]
    nodes = [
        _node("QuantizeLinear", ["x", "s", "z"], "q"),
        _node("QLinearConv", ["q", *scales], "c", **window),
        _node("DequantizeLinear", ["c", "s", "z"]),
    ]
    weights = {
        "s": np.float32(0.1),
        "z": np.uint8(128),
        "w": rng.integers(-127, 128, (filters, channels // group, size, size)).astype(np.int8),
        "ws": np.full(filters, 1e-3, np.float32),
        "wz": np.zeros(filters, np.int8),
    }
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    return _model(nodes, {"x": _normal(rng, 1, channels, side, side)}, arrays)


def _product(rng: np.random.Generator) -> Model:
    while True:
        rows, width, outputs = (int(rng.choice(sizes)) for sizes in (_LENGTHS, _WIDTHS, _WIDTHS))
        if rows * width * outputs < _MAX_MACS:
            break
    weights = {"w": _normal(rng, width, outputs), "b": _normal(rng, outputs)}
    if rows == 1:
        return _model([_node("Gemm", ["x", "w", "b"])], {"x": _normal(rng, 1, width)}, weights)
    nodes = [_node("MatMul", ["x", "w"], "c"), _node("Add", ["c", "b"])]
    return _model(nodes, {"x": _normal(rng, 1, rows, width)}, weights)


def _pool(rng: np.random.Generator) -> Model:
    feed = {"x": _normal(rng, 1, int(rng.choice(_CHANNELS)), *[int(rng.choice(_SIDES))] * 2)}
    if rng.random() < 0.4:
        return _model([_node("GlobalAveragePool", ["x"])], feed, {})
    kind = str(rng.choice(("MaxPool", "AveragePool")))
    return _model([_node(kind, ["x"], kernel_shape=[2, 2], strides=[2, 2])], feed, {})


def _elementwise(rng: np.random.Generator) -> Model:
    shape = (1, int(rng.choice(_CHANNELS)), *[int(rng.choice(_SIDES))] * 2)
    kind = str(rng.choice(("Relu", "Add", "Mul", "Clip")))
    if kind in ("Relu", "Clip"):
        return _model([_node(kind, ["x"])], {"x": _normal(rng, *shape)}, {})
    other = _normal(rng, *shape) if rng.random() < 0.5 else _normal(rng, 1, shape[1], 1, 1)
    return _model([_node(kind, ["x", "other"])], {"x": _normal(rng, *shape), "other": other}, {})


def _function(rng: np.random.Generator) -> Model:
    shape = (1, int(rng.choice(_LENGTHS)), int(rng.choice(_WIDTHS)))
    kind = str(rng.choice(("Gelu", "Gelu", "BiasGelu", "Sigmoid", "Tanh")))
    if kind == "BiasGelu":  # what ONNX Runtime makes of the two
        nodes = [_node("Add", ["x", "b"], "a"), _node("Gelu", ["a"])]
        return _model(nodes, {"x": _normal(rng, *shape)}, {"b": _normal(rng, shape[-1])})
    return _model([_node(kind, ["x"])], {"x": _normal(rng, *shape)}, {})


def _normalise(rng: np.random.Generator) -> Model:
    width = int(rng.choice(_WIDTHS))
    feed = {"x": _normal(rng, 1, int(rng.choice(_LENGTHS)), width)}
    if rng.random() < 0.3:
        return _model([_node("Softmax", ["x"], axis=-1)], feed, {})
    weights = {"scale": _normal(rng, width), "shift": _normal(rng, width)}
    if rng.random() < 0.5:
        return _model([_node("LayerNormalization", ["x", "scale", "shift"])], feed, weights)
    nodes = [_node("Add", ["x", "skip"], "a"), _node("LayerNormalization", ["a", "scale", "shift"])]
    return _model(nodes, feed | {"skip": _normal(rng, *feed["x"].shape)}, weights)


def _copy(rng: np.random.Generator) -> Model:
    shape = (1, int(rng.choice(_CHANNELS)), *[int(rng.choice(_SIDES))] * 2)
    kind = str(rng.choice(("Transpose", "Concat", "Cast", "ReduceMean", "Flatten")))
    if kind == "Transpose":
        return _model([_node(kind, ["x"], perm=[0, 2, 3, 1])], {"x": _normal(rng, *shape)}, {})
    if kind == "Concat":
        feed = {"x": _normal(rng, *shape), "other": _normal(rng, *shape)}
        return _model([_node(kind, ["x", "other"], axis=1)], feed, {})
    if kind == "Cast":
        return _model([_node(kind, ["x"], to=1)], {"x": rng.integers(0, 256, shape).astype(np.uint8)}, {})
    if kind == "ReduceMean":
        axes = {"axes": np.array([2, 3])}
        return _model([_node(kind, ["x", "axes"], keepdims=0)], {"x": _normal(rng, *shape)}, axes)
    return _model([_node(kind, ["x"])], {"x": _normal(rng, *shape)}, {})
