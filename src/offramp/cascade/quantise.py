"""int8 variants of segments: static quantisation after cutting."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.onnx_extra import require_onnx
from offramp.cascade.segment import LOGITS, TEMPERATURE, Segment
from offramp.cascade.store import Cascade
from offramp.errors import CascadeError, ConfigError

if TYPE_CHECKING:
    import onnx

__all__ = ["quantise"]

#: what runs in int8; the exit's own arithmetic (division, softmax) and preprocessing stay in fp32
_OPERATORS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Relu", "LeakyRelu", "Clip"),
    *("AveragePool", "GlobalAveragePool", "MaxPool", "Concat", "Pad", "Resize", "Split"),
    *("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"),
)
#: what may stand between the classifier's matrix product and the logits
_AFTER_CLASSIFIER = ("Add", "Cast", "Flatten", "Identity", "Reshape", "Squeeze")
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_MIN_OPSET, _OPSET = 13, 17

Array = NDArray[Any]


def quantise(
    cascade: Cascade,
    rows: Sequence[Array],
    segments: Sequence[int],
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Cascade:
    """Make int8 variants of the first segments and store them in the cascade's folder.

    Activations become uint8, weights int8 with one scale per channel; ranges come from ``rows``,
    pushed through the segments before, in int8 as they will run. Two things stay in fp32: preprocessing,
    and the matrix product that gives an exit's logits, which costs little and would give 256 levels of
    logits that spoil the confidence.
    The fingerprint does not change, so what was recorded and measured in fp32 stays valid.

    Parameters
    ----------
    cascade : opened
    rows : one array per input, n >= 1 tune rows; a few hundred are enough
    segments : 0, 1, ... without gaps, because a plan runs the first N segments in int8
    batch : rows per calibration run
    progress : called with (segments done, segments in all)

    Raises
    ------
    ConfigError : onnx is not installed, no rows, or segments that are not the first ones
    CascadeError : a segment that cannot be quantised
    """
    require_onnx()
    chosen = sorted(set(segments))
    if not chosen or chosen != list(range(len(chosen))) or len(chosen) > len(cascade.manifest.segments):
        raise ConfigError(
            f"segments {', '.join(map(str, chosen)) or 'none'} cannot be int8: name the first ones without gaps, "
            f"out of 0..{len(cascade.manifest.segments) - 1}"
        )
    if not rows or not len(rows[0]):
        raise ConfigError("quantising needs rows to calibrate on; give it at least one")
    contents: dict[int, bytes] = {}
    raw = [tuple(array[i : i + batch] for array in rows) for i in range(0, len(rows[0]), batch)]
    batches = raw
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
        for index in chosen:
            spec = cascade.manifest.segments[index]
            file = Path(folder) / f"{index}.onnx"
            _quantise_file(cascade.path / spec.file, file, [t.name for t in spec.inputs], batches)
            contents[index] = file.read_bytes()
            segment = Segment(file, spec)  # loads and has the same inputs and outputs
            batches = raw if spec.hand_over == "input" else [segment.run(tensors).hand_over for tensors in batches]
            if progress is not None:
                progress(index + 1, len(chosen))
    return cascade.with_variants(contents)


def _quantise_file(source: Path, target: Path, inputs: Sequence[str], batches: Sequence[tuple[Array, ...]]) -> None:
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    plain, prepared = target.with_suffix(".plain.onnx"), target.with_suffix(".prepared.onnx")
    try:
        temperature = _take_temperature(source, plain)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        for index, node in enumerate(model.graph.node):
            node.name = node.name or f"node_{index}"
        quantization.quantize_static(
            model,
            str(target),
            _reader(inputs, batches, temperature is not None),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_OPERATORS),
            nodes_to_exclude=[*_classifier(model), *_before_products(model)],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    except Exception as error:  # onnxruntime.quantization raises many, undocumented classes
        raise CascadeError(
            f"{source}: cannot be quantised ({str(error).strip().splitlines()[0]}); leave it in fp32"
        ) from error
    _put_temperature(target, temperature)


def _take_temperature(source: Path, plain: Path) -> onnx.TensorProto | None:
    """Write a copy in which the temperature must be fed, so that nothing folds it away; returns its default.

    Models of an operator set that knows no scales per channel are converted.
    """
    import onnx
    from onnx import version_converter

    model = onnx.load(source)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), _OPSET)
    if opset < _MIN_OPSET:
        model = version_converter.convert_version(model, _OPSET)
    default = next((tensor for tensor in model.graph.initializer if tensor.name == TEMPERATURE), None)
    if default is not None:
        model.graph.initializer.remove(default)
    onnx.save(model, plain)
    return default


def _put_temperature(file: Path, default: onnx.TensorProto | None) -> None:
    """Make the temperature an initializer again that may be overridden."""
    import onnx

    model = onnx.load(file)
    if default is not None:
        model.graph.initializer.append(default)
    del model.metadata_props[:]
    onnx.save(model, file)


def _reader(inputs: Sequence[str], batches: Sequence[tuple[Array, ...]], with_temperature: bool) -> Any:
    """The calibration rows in the form that onnxruntime asks for them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the base has no types
        def __init__(self) -> None:
            always = {TEMPERATURE: np.array(1, np.float32)} if with_temperature else {}
            self._feeds: Iterator[dict[str, Array]] = (dict(zip(inputs, b, strict=True)) | always for b in batches)

        def get_next(self) -> dict[str, Array] | None:
            return next(self._feeds, None)

    return Reader()


def _classifier(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes from the last matrix product to the logits."""
    maker = {output: node for node in model.graph.node for output in node.output}
    names, stack = [], [LOGITS]
    while stack:
        made_by = maker.get(stack.pop())
        if made_by is None or made_by.op_type not in (*_AFTER_CLASSIFIER, "Gemm", "MatMul"):
            continue
        names.append(made_by.name)
        if made_by.op_type in _AFTER_CLASSIFIER:
            stack.extend(made_by.input)
    return names


def _before_products(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that no convolution or matrix product comes before: preprocessing, which int8 slows down."""
    behind: set[str] = set()
    names = []
    for node in model.graph.node:
        if node.op_type in _PRODUCTS or behind.intersection(node.input):
            behind.update(node.output)
        else:
            names.append(node.name)
    return names
