"""Operators as ONNX Runtime runs them, fused and laid out, and the features their time is predicted from."""

from __future__ import annotations

from math import prod
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FEATURES", "HEAVY_KINDS", "PUBLISHED_FEATURES", "Operator", "SegmentTrace"]

_CONVOLUTIONS = ("Conv", "ConvInteger", "ConvTranspose", "FusedConv", "QLinearConv")
_PRODUCTS = (
    *("Attention", "DynamicQuantizeMatMul", "FusedGemm", "FusedMatMul", "Gemm", "MatMul", "MatMulInteger"),
    *("MatMulIntegerToFloat", "QGemm", "QLinearMatMul"),
)
_FUNCTIONS = (
    *("BiasGelu", "Cos", "Elu", "Erf", "Exp", "FastGelu", "Gelu", "HardSigmoid", "HardSwish", "Log", "Mish", "Pow"),
    *("QLinearSigmoid", "QuickGelu", "Selu", "Sigmoid", "Sin", "Softplus", "Sqrt", "Tanh"),
)
_NORMALISATIONS = (
    *("BatchNormalization", "EmbedLayerNormalization", "InstanceNormalization", "LRN", "LayerNormalization"),
    *("SimplifiedLayerNormalization", "SkipLayerNormalization"),
)
_SOFTMAXES = ("LogSoftmax", "QLinearSoftmax", "Softmax")
_VIEWS = ("Flatten", "Identity", "Reshape", "Shape", "Size", "Squeeze", "Unsqueeze")
_COPIES = (
    *("Cast", "Concat", "DequantizeLinear", "Expand", "Gather", "Pad", "QLinearConcat", "QuantizeLinear"),
    *("ReorderInput", "ReorderOutput", "Slice", "Split", "Tile", "Transpose"),
)

#: what the time of each kind is linear in, besides a constant
FEATURES: dict[str, tuple[str, ...]] = {
    "conv": ("input_values", "filter_work", "weight_values", "patch_values", "output_values", "macs"),
    "depthwise": ("input_values", "output_values", "macs"),
    "matmul": ("input_values", "weight_values", "output_values", "macs"),
    "pool": ("input_values", "output_values"),
    "reduce": ("input_values", "output_values"),
    "elementwise": ("input_values", "output_values"),
    "function": ("output_values",),
    "normalise": ("input_values", "output_values"),
    "softmax": ("output_values",),
    "copy": ("output_values",),
    "view": (),
    "other": ("input_values", "output_values"),
}
#: those whose types differ in name more than in work
HEAVY_KINDS = ("conv", "depthwise", "matmul")
#: the same in Neurosurgeon and Edgent: a convolution is linear in its input and its filters apart, not in its work
PUBLISHED_FEATURES: dict[str, tuple[str, ...]] = dict.fromkeys(FEATURES, ("input_values",)) | {
    "conv": ("input_values", "filter_work"),
    "depthwise": ("input_values", "filter_work"),
    "matmul": ("input_values", "output_values"),
    "pool": ("input_values", "output_values"),
}

Shape = tuple[int, ...]


class Operator(BaseModel):
    """One node of a segment as it ran for one row, and the seconds it took; 0 where nobody timed it.

    ``type`` is ONNX Runtime's name for it; ``integer`` whether its data is 8-bit; ``inputs`` are the shapes of
    what it reads, weights among them, and ``outputs`` of what it gives.

    Examples
    --------
    >>> conv = Operator(
    ...     type="Conv", integer=False, inputs=((1, 3, 32, 32), (16, 3, 3, 3), (16,)), outputs=((1, 16, 32, 32),)
    ... )
    >>> conv.kind, conv.macs, conv.feature("input_values"), conv.feature("filter_work")
    ('conv', 442368, 3072.0, 144.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    integer: bool
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @property
    def kind(self) -> str:
        """The regression it belongs to, without precision: a key of `FEATURES`."""
        if self.type in _CONVOLUTIONS:
            weights = self._weights()
            return "depthwise" if weights and weights[1] == 1 and self._channels() > 1 else "conv"
        if self.type in _PRODUCTS:
            return "matmul"
        if "Pool" in self.type:
            return "pool"
        if self.type.startswith(("Reduce", "Arg")):
            return "reduce"
        for kind, types in (
            ("function", _FUNCTIONS),
            ("normalise", _NORMALISATIONS),
            ("softmax", _SOFTMAXES),
            ("view", _VIEWS),
            ("copy", _COPIES),
        ):
            if self.type in types:
                return kind
        same = bool(self.inputs and self.outputs) and max(map(prod, self.inputs)) <= prod(self.outputs[0])
        return "elementwise" if same else "other"

    @property
    def group(self) -> str:
        """Its kind, and ``int8`` behind it where that makes another kernel."""
        return f"{self.kind} int8" if self.integer and self.kind in HEAVY_KINDS else self.kind

    @property
    def tensors(self) -> int:
        """How many it reads and gives."""
        return len(self.inputs) + len(self.outputs)

    @property
    def macs(self) -> int:
        """Multiply-accumulates; 0 unless it is a convolution or a matrix product."""
        if self.kind == "matmul":
            return prod(self.outputs[0]) * (self.inputs[0][-1] if self.inputs[0] else 1)
        weights = self._weights() if self.kind in ("conv", "depthwise") else None
        return 0 if weights is None else prod(self.outputs[0]) * prod(weights[1:])

    def feature(self, name: str) -> float:
        """One of the features named in `FEATURES`.

        ``filter_work`` is (filter size / stride)^2 times the number of filters, as published; the stride
        is what the shapes say. ``patch_values`` are those gathered for the filters of more than one pixel.
        """
        if name == "macs":
            return float(self.macs)
        if name == "patch_values":
            weights = self._weights()
            return 0.0 if weights is None or prod(weights[2:]) == 1 else self.macs / weights[0]
        if name == "filter_work":
            weights = self._weights()
            if weights is None:
                return 0.0
            steps = prod(self.inputs[0]) / self._channels()
            return weights[0] * prod(weights[2:]) * (prod(self.outputs[0]) / weights[0]) / max(1.0, steps)
        if name == "weight_values":
            return float(max((prod(shape) for shape in self.inputs[1:]), default=0))
        shapes = {"input_values": self._data(), "output_values": self.outputs}[name]
        return float(sum(map(prod, shapes)))

    def _data(self) -> tuple[Shape, ...]:
        return self.inputs[:1] if self.kind in ("conv", "depthwise", "matmul") else self.inputs

    def _weights(self) -> Shape | None:
        """(filters, channels of one group, height, width)."""
        rank = len(self.inputs[0]) if self.inputs else 0
        return next((shape for shape in self.inputs[1:] if len(shape) == rank and rank > 2), None)

    def _channels(self) -> int:
        """Channels of the data, which may stand first or last."""
        weights, data, output = self._weights(), self.inputs[0], self.outputs[0]
        if weights is None or output[-1] != weights[0]:
            return data[1]
        last = output[1] != weights[0] or (data[1] != weights[1] and data[-1] == weights[1])
        return data[-1 if last else 1]


class SegmentTrace(BaseModel):
    """The operators of a segment in the order they ran, and the median processor time of all without the profiler."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment: int
    precision: str
    cpu_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    operators: tuple[Operator, ...]
