"""One segment, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from offramp.cascade.manifest import SegmentSpec
from offramp.errors import CascadeError

__all__ = ["CONFIDENCE", "LABEL", "LOGITS", "PROBABILITIES", "TEMPERATURE", "Segment", "SegmentOutput"]

#: names of the exit's tensors inside every segment file
LOGITS, PROBABILITIES, CONFIDENCE, LABEL = "logits", "probabilities", "confidence", "label"
#: an overridable initializer (default 1.0): any ONNX runtime may ignore it, offramp feeds the calibrated value
TEMPERATURE = "temperature"

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class SegmentOutput:
    """What a segment computed for n rows.

    ``hand_over`` are the tensors for the next segment; the rest belongs to the exit and is ``None``
    where the segment has none: ``label`` (n,) int64, ``probabilities`` (n, K) float32,
    ``confidence`` (n,) float32, the highest probability at the exit's temperature.
    """

    hand_over: tuple[Array, ...]
    label: NDArray[np.int64] | None
    probabilities: NDArray[np.float32] | None
    confidence: NDArray[np.float32] | None


def session_options(threads: int = 1) -> ort.SessionOptions:
    """ONNX Runtime options used everywhere: few threads, no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class Segment:
    """An ONNX Runtime session for one segment.

    Parameters
    ----------
    path : the segment's file
    spec : what the manifest says of it
    threads : ONNX Runtime threads (1 unless measured otherwise)

    Raises
    ------
    CascadeError : the file is no ONNX model, or its tensors differ from the manifest
    """

    def __init__(self, path: Path, spec: SegmentSpec, threads: int = 1) -> None:
        self.spec = spec
        self.path = path
        try:
            self.session = ort.InferenceSession(str(path), session_options(threads), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own, undocumented classes
            raise CascadeError(f"{path}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from error
        self._check()
        self._names_from_spec()

    def _names_from_spec(self) -> None:
        spec = self.spec
        self.input_names = tuple(tensor.name for tensor in spec.inputs)
        self._carried = tuple(tensor.name for tensor in spec.outputs) if spec.hand_over == "features" else ()
        self._exit_names = (LABEL, PROBABILITIES, CONFIDENCE) if spec.exit is not None else ()
        self.output_names = [*self._carried, *self._exit_names]
        self._n_carried = len(self._carried)

    def _check(self) -> None:
        found = {t.name: t for t in self.session.get_inputs()}
        outputs = {t.name for t in self.session.get_outputs()}
        wanted = [t.name for t in self.spec.inputs]
        if sorted(found) != sorted(wanted):
            raise CascadeError(f"{self.path}: takes {sorted(found)}, but the manifest says {sorted(wanted)}")
        for tensor in self.spec.inputs:
            if len(found[tensor.name].shape) != len(tensor.shape):
                raise CascadeError(
                    f"{self.path}: input {tensor.name!r} has shape {found[tensor.name].shape}, "
                    f"but the manifest says {tensor.shape}"
                )
        needed = {t.name for t in self.spec.outputs}
        if self.spec.exit is not None:
            needed |= {LOGITS, PROBABILITIES, CONFIDENCE, LABEL}
        if missing := sorted(needed - outputs):
            raise CascadeError(f"{self.path}: gives no output {missing[0]!r}; build the cascade again")

    def run(self, tensors: Sequence[Array], temperature: float = 1.0) -> SegmentOutput:
        """Run n rows; ``tensors`` in the order of ``spec.inputs``."""
        feed: dict[str, Array] = dict(zip(self.input_names, tensors, strict=True))
        if self._exit_names:
            feed[TEMPERATURE] = np.asarray(temperature, np.float32)
        values = self.session.run(self.output_names, feed)
        carried = tuple(values[: self._n_carried])
        if not self._exit_names:
            return SegmentOutput(carried, None, None, None)
        label, probabilities, confidence = values[self._n_carried :]
        return SegmentOutput(carried, label, probabilities, confidence)

    def run_with_logits(self, tensors: Sequence[Array]) -> tuple[tuple[Array, ...], Array | None]:
        """Run n rows and return the hand-over and the raw logits (n, K), or ``None`` without an exit."""
        names = [*self._carried, *((LOGITS,) if self._exit_names else ())]
        values = self.session.run(names, dict(zip(self.input_names, tensors, strict=True)))
        return tuple(values[: self._n_carried]), values[self._n_carried] if self._exit_names else None

    def __repr__(self) -> str:
        return f"Segment({self.path.name!r}, exit={self.spec.exit.name if self.spec.exit else None!r})"
