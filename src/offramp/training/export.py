"""From a trained network to a cascade folder: one ONNX file per segment."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.cascade.manifest import (
    Calibration,
    DataSpec,
    DType,
    ExitSpec,
    KernelSpec,
    Manifest,
    Provenance,
    SegmentSpec,
    TensorSpec,
)
from offramp.cascade.packed import pack_weights
from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade, save_cascade
from offramp.errors import TrainingError
from offramp.training.attach import MultiExit, as_tuple
from offramp.training.lowbit.account import low_bit_part
from offramp.training.lowbit.convert import freeze
from offramp.training.lowbit.kernel import kernel_program
from offramp.training.onnx_file import ExitSegment, segment_to_onnx
from offramp.training.recipe import set_memory_format
from offramp.training.text.tokenizer import StoredTokenizer

__all__ = ["TOLERANCE", "VERIFIED_ROWS", "Origin", "export_cascade", "export_segments", "max_logit_difference"]

#: largest difference of a logit between the ONNX segments and the torch model that an export may have
TOLERANCE = 1e-4
#: so many rows an export is verified on
VERIFIED_ROWS = 256


@dataclass(frozen=True)
class Origin:
    """What a cascade's manifest says of where it comes from."""

    name: str
    labels: tuple[str, ...]
    data: DataSpec | None = None
    command: str = ""
    seed: int | None = None
    commit: str | None = None


def export_cascade(
    network: MultiExit,
    rows: Tensor | Sequence[Tensor],
    path: str | Path,
    origin: Origin,
    tokenizer: StoredTokenizer | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Cascade, float]:
    """Export ``network``, verify the files against it on real rows, and only then save the folder.

    Parameters
    ----------
    network : trained
    rows : (n, ...) of every input as the data has them, at least 2; the first 256 are verified on
    path : folder to make, by custom ``NAME.cascade``
    tokenizer : goes into the folder, where rows are tokenised text
    overwrite : replace a cascade that is already there

    Returns
    -------
    The cascade, and the largest difference of any logit.

    Raises
    ------
    TrainingError : a segment cannot be exported, or the logits differ by more than ``TOLERANCE``
    CascadeError : the folder exists and ``overwrite`` is off
    """
    set_memory_format(network.eval(), torch.contiguous_format)
    freeze(network)
    checked = tuple(each[:VERIFIED_ROWS] for each in as_tuple(rows))
    files, specs = export_segments(network, tuple(each[:2] for each in checked))
    manifest = _manifest(network, specs, origin)
    if tokenizer is not None:
        files[tokenizer.spec.file] = tokenizer.content
        manifest = manifest.model_copy(update={"tokenizer": tokenizer.spec})
    with tempfile.TemporaryDirectory() as folder:
        draft = save_cascade(Path(folder) / "draft.cascade", manifest, files)
        ways = (draft.load_segments(kernels=kernels) for kernels in (False, True))
        difference = max(max_logit_difference(network, segments, checked) for segments in ways)
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"{path}: the exported segments differ from the torch model by {difference:.1e} in a logit, "
            f"above {TOLERANCE:.0e}; an operator of the model exports wrongly, replace it"
        )
    notes = f"chained ONNX segments equal the torch model to {difference:.1e} on {len(checked[0])} rows"
    provenance = manifest.provenance.model_copy(update={"notes": notes})
    manifest = manifest.model_copy(update={"provenance": provenance})
    return save_cascade(path, manifest, files, overwrite=overwrite), difference


def export_segments(
    network: MultiExit, example: Tensor | Sequence[Tensor]
) -> tuple[dict[str, bytes], tuple[SegmentSpec, ...]]:
    """ONNX file and description of every segment.

    The first takes the network's inputs, cut i hands over ``cut{i}``, and behind it the inputs still
    needed, as ``{name}{i}``. The batch is dynamic.

    Parameters
    ----------
    network : as trained
    example : (2, ...) raw rows of every input

    Raises
    ------
    TrainingError : torch cannot export a segment
    """
    network.eval()
    files: dict[str, bytes] = {}
    specs: list[SegmentSpec] = []
    names, tensors = network.input_names, as_tuple(example)
    for index, exit_name in enumerate(network.exit_names):
        segment = ExitSegment(network, index).eval()
        with torch.no_grad():
            features = segment.features(*tensors)
        hand_over = _hand_over_names(network, index)
        content = segment_to_onnx(segment, tensors, names, hand_over)
        low_bit = low_bit_part(segment, tuple(each[:1] for each in tensors))
        if low_bit is not None:
            content = pack_weights(content)
            program = kernel_program(segment, features)
            if program is not None:
                kernel_file = f"segment-{index:02d}.kernel"
                files[kernel_file] = program
                low_bit = low_bit.model_copy(update={"kernel": _kernel_spec(kernel_file, program)})
        file = f"segment-{index:02d}.onnx"
        files[file] = content
        specs.append(
            SegmentSpec(
                file=file,
                sha256=hashlib.sha256(content).hexdigest(),
                file_bytes=len(content),
                inputs=_tensor_specs(network, names, tensors),
                outputs=_tensor_specs(network, hand_over, features),
                exit=ExitSpec(name=exit_name, module=network.exit_modules[index]),
                flops=_flops(segment, tuple(each[:1] for each in tensors)),
                low_bit=low_bit,
            )
        )
        names, tensors = hand_over, features
    return files, tuple(specs)


def max_logit_difference(network: MultiExit, segments: Sequence[Segment], rows: Tensor | Sequence[Tensor]) -> float:
    """Largest absolute difference of any logit, chained segments against ``network``.

    All rows at once and the first row alone (of sequences also its first half), so that a batch or a
    length frozen into a file shows.
    """
    tensors = as_tuple(rows)
    batches = [tensors, tuple(each[:1] for each in tensors)]
    if network.sequences:
        batches.append(tuple(each[:1, : max(2, each.shape[1] // 2)] for each in tensors))
    return max(_difference(network, segments, batch) for batch in batches)


def _difference(network: MultiExit, segments: Sequence[Segment], batch: tuple[Tensor, ...]) -> float:
    worst = 0.0
    with torch.no_grad():
        expected = [logits.numpy() for logits in network(*batch)]
    tensors: tuple[NDArray[Any], ...] = tuple(each.numpy() for each in batch)
    for segment, wanted in zip(segments, expected, strict=True):
        tensors, logits = segment.run_with_logits(tensors)
        assert logits is not None
        worst = float(np.fmax(worst, np.abs(logits - wanted).max(initial=0.0)))
    return worst


def _hand_over_names(network: MultiExit, index: int) -> tuple[str, ...]:
    if index == len(network.segments) - 1:
        return ()
    return (f"cut{index + 1}", *(f"{name}{index + 1}" for name in network.handed_inputs(index + 1)))


def _tensor_specs(network: MultiExit, names: Sequence[str], tensors: Sequence[Tensor]) -> tuple[TensorSpec, ...]:
    free = 2 if network.sequences else 1
    return tuple(
        TensorSpec(
            name=name,
            dtype=cast("DType", str(each.dtype).removeprefix("torch.")),
            shape=(*([None] * free), *each.shape[free:]),
        )
        for name, each in zip(names, tensors, strict=False)  # the last segment hands nothing over
    )


def _kernel_spec(file: str, content: bytes) -> KernelSpec:
    return KernelSpec(file=file, sha256=hashlib.sha256(content).hexdigest(), file_bytes=len(content))


def _flops(segment: nn.Module, row: tuple[Tensor, ...]) -> int:
    """Two per multiply-add, for one row; of sequences for one as long as the example."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        segment(*row, temperature=torch.tensor(1.0))
    return int(counter.get_total_flops())


def _manifest(network: MultiExit, specs: tuple[SegmentSpec, ...], origin: Origin) -> Manifest:
    versions = {name: version(name) for name in ("numpy", "offramp", "onnx", "onnxruntime", "torch")}
    return Manifest(
        name=origin.name,
        labels=origin.labels,
        inputs=specs[0].inputs,
        preprocessing="" if isinstance(network.inputs, nn.Identity) else repr(network.inputs),
        segments=specs,
        calibration=Calibration(temperatures=(1.0,) * len(network.exit_names)),
        data=origin.data,
        provenance=Provenance(
            created_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            command=origin.command,
            seed=origin.seed,
            commit=origin.commit,
            versions={"python": platform.python_version(), **versions},
        ),
    )
