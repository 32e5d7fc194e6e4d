"""From the raw sample to what a model wants, inside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from offramp.cascade.graph import OnnxGraph
from offramp.errors import ConfigError

__all__ = ["Layout", "Preprocess"]

Layout = Literal["nhwc", "nchw"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """``(raw * scale - mean) / std``, then the model's layout; the cascade's input becomes uint8.

    Parameters
    ----------
    scale : multiplies the raw bytes first, 1/255 for values in 0..1
    mean, std : after scaling; one number, or one per channel
    layout : of the raw images
    model_layout : of the images the model takes

    Raises
    ------
    ConfigError : a layout that is neither, a zero scale or std, or lengths that do not fit

    Examples
    --------
    >>> str(Preprocess(mean=(0.5,), std=(0.25,)))
    'uint8 nhwc * 0.00392157 - (0.5) / (0.25), to nchw'
    """

    scale: float = 1 / 255
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Layout = "nhwc"
    model_layout: Layout = "nchw"

    def __post_init__(self) -> None:
        for name in (self.layout, self.model_layout):
            if name not in ("nhwc", "nchw"):
                raise ConfigError(f"unknown layout {name!r}; write nhwc or nchw")
        if self.scale == 0 or 0 in self.std or not np.isfinite((self.scale, *self.mean, *self.std)).all():
            raise ConfigError("scale and std must be finite numbers other than 0, mean must be finite")
        if len({len(v) for v in (self.mean, self.std) if len(v) > 1}) > 1:
            raise ConfigError(f"mean has {len(self.mean)} channels, but std has {len(self.std)}")

    @classmethod
    def parse(cls, text: str) -> Preprocess:
        """Read ``key=value`` pairs joined by ``;``; numbers are joined by ``,`` and may be fractions.

        Raises
        ------
        ConfigError : an unknown key, or a value that is no number

        Examples
        --------
        >>> Preprocess.parse("scale=1/255; mean=0.5; std=0.25; layout=nchw").layout
        'nchw'
        """
        settings: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(";"))):
            key, _, value = (piece.strip() for piece in part.partition("="))
            if key in ("layout", "model_layout"):
                settings[key] = value
            elif key in ("scale", "mean", "std"):
                numbers = tuple(_number(number, part) for number in value.split(","))
                settings[key] = numbers[0] if key == "scale" else numbers
            else:
                raise ConfigError(f"preprocessing {part!r}: unknown; set scale, mean, std, layout or model_layout")
        return cls(**settings)

    def __str__(self) -> str:
        parts = [f"uint8 {self.layout}"]
        for sign, values in (("*", (self.scale,)), ("-", self.mean), ("/", self.std)):
            if values and not (sign == "*" and self.scale == 1):
                text = ", ".join(f"{v:.6g}" for v in values)
                parts.append(f"{sign} {text}" if sign == "*" else f"{sign} ({text})")
        return " ".join(parts) + ("" if self.layout == self.model_layout else f", to {self.model_layout}")

    def prepend(self, graph: OnnxGraph) -> None:
        """Put the arithmetic in front of a model with one image input.

        Raises
        ------
        ConfigError : several inputs, no images (n, ., ., .), or mean and std of another length
        """
        if len(graph.inputs) != 1:
            names = ", ".join(graph.name_of(value) for value in graph.inputs)
            raise ConfigError(f"{graph.where}: preprocessing needs a model with one input; it has {names}")
        image = graph.inputs[0]
        if image.shape is None or len(image.shape) != 4:
            raise ConfigError(
                f"{graph.where}: input {graph.name_of(image)!r} of shape {image.shape} is no image; "
                "preprocessing needs (n, height, width, channels) or (n, channels, height, width)"
            )
        self._check_channels(graph, image.shape[1 if self.model_layout == "nchw" else 3])
        dtype = image.dtype or ir.DataType.FLOAT
        raw = ir.Value(name=image.name, type=ir.TensorType(ir.DataType.UINT8))
        raw.shape = _reorder(image.shape, self.model_layout, self.layout)
        nodes = self._nodes(raw, dtype)
        image.replace_all_uses_with(nodes[-1].outputs[0])
        inside = graph.model.graph
        inside.inputs[0] = raw
        inside.insert_before(inside[0], nodes)
        for node in nodes:
            for value in node.inputs[1:]:
                assert value is not None
                inside.register_initializer(value)

    def _check_channels(self, graph: OnnxGraph, channels: int | ir.SymbolicDim) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) > 1 and isinstance(channels, int) and len(values) != channels:
                raise ConfigError(
                    f"{graph.where}: {name} has {len(values)} numbers, but the images have {channels} channels"
                )

    def _nodes(self, raw: ir.Value, dtype: ir.DataType) -> list[ir.Node]:
        nodes = [ir.node("Cast", [raw], {"to": int(ir.DataType.FLOAT)})]
        for op, values in (("Mul", (self.scale,)), ("Sub", self.mean), ("Div", self.std)):
            if values:
                constant = np.array(values, np.float32)
                if self.layout == "nchw" and len(values) > 1:
                    constant = constant.reshape(-1, 1, 1)
                nodes.append(ir.node(op, [nodes[-1].outputs[0], _initializer(f"preprocess_{op.lower()}", constant)]))
        if self.layout != self.model_layout:
            order = [0, 3, 1, 2] if self.layout == "nhwc" else [0, 2, 3, 1]
            nodes.append(ir.node("Transpose", [nodes[-1].outputs[0]], {"perm": order}))
        if dtype != ir.DataType.FLOAT:
            nodes.append(ir.node("Cast", [nodes[-1].outputs[0]], {"to": int(dtype)}))
        for index, node in enumerate(nodes):
            node.name = node.outputs[0].name = f"preprocess_{index}"
        return nodes


def _number(text: str, where: str) -> float:
    try:
        return float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"preprocessing {where!r}: {text.strip()!r} is no number") from error


def _initializer(name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name), shape=ir.Shape(array.shape))
    value.type = ir.TensorType(ir.DataType.FLOAT)
    return value


def _reorder(shape: ir.Shape, have: Layout, want: Layout) -> ir.Shape:
    if have == want:
        return shape
    order = (0, 2, 3, 1) if have == "nchw" else (0, 3, 1, 2)
    return ir.Shape([shape[i] for i in order])
