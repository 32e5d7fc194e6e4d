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
    Manifest,
    Provenance,
    SegmentSpec,
    TensorSpec,
)
from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade, save_cascade
from offramp.errors import TrainingError
from offramp.training.attach import MultiExit
from offramp.training.recipe import set_memory_format
from offramp.training.onnx_file import ExitSegment, segment_to_onnx

__all__ = ["TOLERANCE", "Origin", "export_cascade", "export_segments", "max_logit_difference"]

#: largest difference of a logit between the ONNX segments and the torch model that an export may have
TOLERANCE = 1e-4
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
    network: MultiExit, rows: Tensor, path: str | Path, origin: Origin, *, overwrite: bool = False
) -> tuple[Cascade, float]:
    """Export ``network``, verify the files against it on real rows, and only then save the folder.

    Parameters
    ----------
    network : trained
    rows : (n, ...) raw inputs as the data has them, at least 2; the first 256 are verified on
    path : folder to make, by custom ``NAME.cascade``
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
    files, specs = export_segments(network, rows[:2])
    manifest = _manifest(network, rows, specs, origin)
    checked = rows[:VERIFIED_ROWS]
    with tempfile.TemporaryDirectory() as folder:
        draft = save_cascade(Path(folder) / "draft.cascade", manifest, files)
        difference = max_logit_difference(network, draft.load_segments(), checked)
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"{path}: the exported segments differ from the torch model by {difference:.1e} in a logit, "
            f"above {TOLERANCE:.0e}; an operator of the model exports wrongly, replace it"
        )
    notes = f"chained ONNX segments equal the torch model to {difference:.1e} on {len(checked)} rows"
    provenance = manifest.provenance.model_copy(update={"notes": notes})
    manifest = manifest.model_copy(update={"provenance": provenance})
    return save_cascade(path, manifest, files, overwrite=overwrite), difference


def export_segments(network: MultiExit, example: Tensor) -> tuple[dict[str, bytes], tuple[SegmentSpec, ...]]:
    """ONNX file and description of every segment.

    The first takes ``input``, cut i is called ``cut{i}``, and the batch is dynamic.

    Parameters
    ----------
    network : as trained
    example : (2, ...) raw rows

    Raises
    ------
    TrainingError : torch cannot export a segment
    """
    network.eval()
    files: dict[str, bytes] = {}
    specs: list[SegmentSpec] = []
    name, value = "input", example
    for index, exit_name in enumerate(network.exit_names):
        last = index == len(network.segments) - 1
        segment = ExitSegment(network, index).eval()
        hand_over = None if last else f"cut{index + 1}"
        content = segment_to_onnx(segment, value, name, hand_over)
        file = f"segment-{index:02d}.onnx"
        files[file] = content
        with torch.no_grad():
            features = segment.features(value)
        specs.append(
            SegmentSpec(
                file=file,
                sha256=hashlib.sha256(content).hexdigest(),
                file_bytes=len(content),
                inputs=(_tensor_spec(name, value),),
                outputs=() if hand_over is None else (_tensor_spec(hand_over, features),),
                exit=ExitSpec(name=exit_name, module=network.exit_modules[index]),
                flops=_flops(segment, value[:1]),
            )
        )
        name, value = hand_over or "", features
    return files, tuple(specs)


def max_logit_difference(network: MultiExit, segments: Sequence[Segment], rows: Tensor) -> float:
    """Largest absolute difference of any logit, chained segments against ``network``.

    All rows at once and the first row alone, so that a batch frozen into a file shows.
    """
    worst = 0.0
    tensors: tuple[NDArray[Any], ...]
    for batch in (rows, rows[:1]):
        with torch.no_grad():
            expected = [logits.numpy() for logits in network(batch)]
        tensors = (batch.numpy(),)
        for segment, wanted in zip(segments, expected, strict=True):
            tensors, logits = segment.run_with_logits(tensors)
            assert logits is not None
            worst = float(np.fmax(worst, np.abs(logits - wanted).max(initial=0.0)))
    return worst


def _tensor_spec(name: str, value: Tensor) -> TensorSpec:
    dtype = str(value.dtype).removeprefix("torch.")
    return TensorSpec(name=name, dtype=cast("DType", dtype), shape=(None, *value.shape[1:]))


def _flops(segment: nn.Module, row: Tensor) -> int:
    """Two per multiply-add, for one row."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        segment(row, torch.tensor(1.0))
    return int(counter.get_total_flops())


def _manifest(network: MultiExit, rows: Tensor, specs: tuple[SegmentSpec, ...], origin: Origin) -> Manifest:
    versions = {name: version(name) for name in ("numpy", "offramp", "onnx", "onnxruntime", "torch")}
    return Manifest(
        name=origin.name,
        labels=origin.labels,
        inputs=(_tensor_spec("input", rows),),
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
