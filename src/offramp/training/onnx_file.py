"""One segment with its exit as an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from offramp.cascade.segment import CONFIDENCE, LABEL, LOGITS, PROBABILITIES, TEMPERATURE
from offramp.errors import TrainingError
from offramp.training.attach import MultiExit, apply_head, as_tuple
from offramp.training.cut import first_line

__all__ = ["ExitSegment", "segment_to_onnx"]


class ExitSegment(nn.Module):
    """Segment ``index`` of a network with all that its file computes.

    ``forward`` returns the hand-over (not in the last segment), then logits (n, K), probabilities
    (n, K), confidence (n,) and label (n,).
    """

    def __init__(self, network: MultiExit, index: int) -> None:
        super().__init__()
        self.inputs = network.inputs if index == 0 else nn.Identity()
        self.segment = network.segments[index]
        self.head = network.exit_head(index)
        self.last = index == len(network.segments) - 1
        self.sequences = network.sequences

    def features(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """What the segment hands over; in the last segment, the logits."""
        return as_tuple(self.segment(self.inputs(tensors[0]), *tensors[1:]))

    def forward(self, *tensors: Tensor, temperature: Tensor) -> tuple[Tensor, ...]:
        """(n, ...) of every input and the scalar temperature to the outputs of the file."""
        features = self.features(*tensors)
        logits = apply_head(self.head, features)
        probabilities = torch.softmax(logits / temperature, dim=-1)
        exit_outputs = (logits, probabilities, probabilities.amax(dim=-1), probabilities.argmax(dim=-1))
        return exit_outputs if self.last else (*features, *exit_outputs)


def segment_to_onnx(
    segment: ExitSegment, example: Sequence[Tensor], input_names: Sequence[str], hand_over: Sequence[str]
) -> bytes:
    """The bytes of the ONNX file, weights inside, dynamic batch, and dynamic length for sequences.

    ``temperature`` is an input with a default (an initializer of the same name): a runtime that does
    not know of it computes with 1.0.

    Parameters
    ----------
    example : (2, ...) rows of every input
    input_names, hand_over : names of the tensors that come in and of those passed on, if any

    Raises
    ------
    TrainingError : torch cannot export the segment
    """
    dynamic = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC} if segment.sequences else {0: Dim("batch")}
    try:
        with _quiet():
            program = torch.onnx.export(
                segment,
                tuple(example),
                kwargs={"temperature": torch.tensor(1.0)},
                dynamo=True,
                input_names=[*input_names, TEMPERATURE],
                output_names=[*hand_over, LOGITS, PROBABILITIES, CONFIDENCE, LABEL],
                dynamic_shapes={"tensors": tuple(dynamic for _ in example), "temperature": None},
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds
        raise TrainingError(
            f"the segment that takes {', '.join(map(repr, input_names))} cannot be exported to ONNX: "
            f"{first_line(error)}"
        ) from error
    assert program is not None
    model = program.model_proto
    _strip(model)
    default = numpy_helper.from_array(torch.tensor(1.0).numpy(), TEMPERATURE)
    model.graph.initializer.append(default)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _strip(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes about source files of this machine."""
    graph = model.graph
    del model.metadata_props[:]
    parts: tuple[Any, ...] = (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info)
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter remarks on packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch|onnxscript|copyreg")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch|onnxscript|onnx_ir|copyreg")
            yield
    finally:
        logger.setLevel(level)
