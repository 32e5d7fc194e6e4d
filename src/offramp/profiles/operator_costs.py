"""What operators cost on one machine: measurements, and the regressions fitted to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from offramp.cascade.store import write_text_atomic
from offramp.errors import ConfigError, RecordMismatch
from offramp.files import read_model
from offramp.profiles.measurements import CascadeMeasurement, CodecMeasurement, SegmentMeasurement
from offramp.profiles.operators import FEATURES, HEAVY_KINDS, Operator
from offramp.profiles.profile import MachineInfo, Seconds
from offramp.profiles.regression import relative_nnls

__all__ = [
    "Features",
    "OperatorCosts",
    "fit_operator_costs",
    "fit_operators",
    "load_operator_costs",
    "predicted_seconds",
    "traced_seconds",
]

#: fewer operators of a type are left to the regression of their kind
_MIN_OF_A_TYPE = 8

Floats = NDArray[np.float64]
Features = dict[str, tuple[str, ...]]


class OperatorCosts(BaseModel):
    """Regressions of one machine, with the measurements they were fitted to.

    ``operator_s`` holds for every group of operators, and for types measured often, the seconds for a constant
    (``1``) and for each feature, ``codec_s`` the same for ``encode NAME`` and ``decode NAME``. A segment costs
    ``call_s``, ``node_s`` for each operator, and ``in_place`` times its operators, which find the caches as others
    left them. ``traced_s`` is what the profiler adds to an operator for each tensor it
    reads or gives, taken off before fitting. ``mean_ratio`` and ``p95_ratio`` are to the median.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    machine: MachineInfo
    operator_s: dict[str, dict[str, Seconds]]
    codec_s: dict[str, dict[str, Seconds]]
    call_s: Seconds
    node_s: Seconds
    in_place: Seconds
    traced_s: Seconds
    mean_ratio: Seconds
    p95_ratio: Seconds
    hop_s: Seconds | None
    measured: Annotated[tuple[CascadeMeasurement, ...], Field(min_length=1)]

    def operator_seconds(self, operator: Operator) -> float:
        """Predicted seconds of one operator.

        Raises
        ------
        RecordMismatch : no operator of its group was measured
        """
        found = self.operator_s.get(operator.type) or self.operator_s.get(operator.group)
        if found is None:
            raise RecordMismatch(
                f"no operator of the kind {operator.group!r} ({operator.type}) was measured; "
                "run 'offramp profile CASCADE --fit COSTS.json' on a cascade that has one"
            )
        return predicted_seconds(found, operator)

    def segment_seconds(self, operators: Sequence[Operator]) -> float:
        """Predicted median seconds of a segment on a machine that does nothing else.

        Raises
        ------
        RecordMismatch : an operator is of a kind that was never measured
        """
        alone = sum(map(self.operator_seconds, operators))
        return self.call_s + self.node_s * len(operators) + self.in_place * alone

    def codec_seconds(self, verb: Literal["encode", "decode"], codec: str, sizes: tuple[float, float]) -> float:
        """Predicted seconds to encode or decode tensors.

        Parameters
        ----------
        sizes : bytes of the tensors, and of the payload

        Raises
        ------
        RecordMismatch : the codec was not measured
        """
        found = self.codec_s.get(f"{verb} {codec}")
        if found is None:
            raise RecordMismatch(
                f"codec {codec!r} was not measured; run 'offramp profile CASCADE --fit COSTS.json --codec {codec}'"
            )
        return found["1"] + found["tensor_bytes"] * sizes[0] + found["payload_bytes"] * sizes[1]

    def to_json(self) -> str:
        """The text of a costs file."""
        return self.model_dump_json() + "\n"

    def save(self, path: str | Path) -> None:
        """Write the costs file, atomically."""
        write_text_atomic(Path(path), self.to_json())


def fit_operator_costs(measured: Sequence[CascadeMeasurement], features: Features = FEATURES) -> OperatorCosts:
    """Fit one linear regression per group of operators, with coefficients that cannot be negative.

    Parameters
    ----------
    measured : at least one cascade, all on one kind of machine
    features : what each kind of operator is linear in, besides a constant

    Raises
    ------
    ConfigError : nothing was measured
    RecordMismatch : the measurements are of different machines

    Source: Neurosurgeon (Kang et al., ASPLOS 2017) and Edgent (Li et al., IEEE TWC 2020), which fit signed
    coefficients to features without the product of input and filters and clamp at zero.
    """
    if not measured:
        raise ConfigError("fitting needs the measurements of at least one cascade")
    machine = measured[0].machine
    for other in measured:
        if (other.machine.cpu, other.machine.system) != (machine.cpu, machine.system):
            raise RecordMismatch(
                f"cascade {other.cascade!r} was measured on {other.machine.cpu} ({other.machine.system}), "
                f"{measured[0].cascade!r} on {machine.cpu} ({machine.system}); fit each machine's costs apart"
            )
    segments = [segment for each in measured for segment in each.segments]
    traced_s = _traced_s(segments)
    operators = [operator for segment in segments for operator in segment.operators]
    operator_s = fit_operators(operators, traced_s, features)
    codec_s = _codecs([codec for each in measured for codec in each.codecs])
    ratios = {
        name: float(np.median([getattr(segment.cost, name) / segment.cost.median_s for segment in segments]))
        for name in ("mean_s", "p95_s")
    }
    hops = [each.hop_s for each in measured if each.hop_s is not None]
    bare = OperatorCosts(
        machine=machine,
        operator_s=operator_s,
        codec_s=codec_s,
        call_s=0.0,
        node_s=0.0,
        in_place=1.0,
        traced_s=traced_s,
        mean_ratio=ratios["mean_s"],
        p95_ratio=ratios["p95_s"],
        hop_s=float(np.median(hops)) if hops else None,
        measured=tuple(measured),
    )
    return bare.model_copy(update=_in_segments(bare))


def _in_segments(bare: OperatorCosts) -> dict[str, float]:
    """What a call costs, from the smallest segments, then how operators fare among others, from cascades."""
    segments = [segment for each in bare.measured for segment in each.segments]
    whole = np.array([segment.cpu_s for segment in segments])
    alone = np.array([bare.segment_seconds(segment.operators) for segment in segments])
    call_s = _relative_to(whole, np.ones((len(whole), 1)), whole - alone)[0]
    among = np.array([each.is_cascade for each in bare.measured for _ in each.segments])
    if not among.any():
        return {"call_s": call_s}
    counts = np.array([float(len(segment.operators)) for segment in segments])
    table = np.column_stack([counts, alone])[among]
    node_s, in_place = _relative_to(whole[among], table, (whole - call_s)[among])
    return {"call_s": call_s, "node_s": node_s, "in_place": in_place}


def _traced_s(segments: Sequence[SegmentMeasurement]) -> float:
    """Seconds the profiler adds per tensor: the operators of a segment add up to more than it takes unobserved."""
    whole = np.array([segment.cpu_s for segment in segments])
    surplus = np.array([sum(operator.seconds for operator in segment.operators) for segment in segments]) - whole
    tensors = [[float(sum(operator.tensors for operator in segment.operators)), -1.0] for segment in segments]
    return _relative_to(whole, np.array(tensors), surplus)[0]


def predicted_seconds(coefficients: Mapping[str, float], operator: Operator) -> float:
    """Seconds of an operator from the coefficients of its group."""
    return sum(each * (1.0 if name == "1" else operator.feature(name)) for name, each in coefficients.items())


def traced_seconds(operator: Operator, traced_s: float) -> float:
    """Seconds of an operator without what the profiler added."""
    return max(0.0, operator.seconds - traced_s * operator.tensors)


def _relative_to(whole: Floats, features: Floats, part: Floats) -> list[float]:
    """Coefficients >= 0 for a part, with errors relative to the whole."""
    from scipy.optimize import nnls

    return [float(each) for each in nnls(features / whole[:, None], part / whole)[0]]


def fit_operators(
    operators: Sequence[Operator], traced_s: float, features: Features = FEATURES
) -> dict[str, dict[str, float]]:
    """Seconds for a constant and for each feature, for every group of operators, and for every type within the cheap
    kinds that was measured often enough: a group stands in for its rarer types."""
    groups: dict[str, list[Operator]] = {}
    for operator in operators:
        groups.setdefault(operator.group, []).append(operator)
        if operator.kind not in HEAVY_KINDS:
            groups.setdefault(operator.type, []).append(operator)
    kinds = {operator.group for operator in operators}
    fitted = {}
    for group, members in sorted(groups.items()):
        if group not in kinds and len(members) < _MIN_OF_A_TYPE:
            continue
        names = features[members[0].kind]
        table = np.array([[1.0, *(member.feature(name) for name in names)] for member in members])
        seconds = np.array([traced_seconds(member, traced_s) for member in members])
        fitted[group] = dict(zip(("1", *names), map(float, relative_nnls(table, seconds)), strict=True))
    return fitted


def _codecs(codecs: Sequence[CodecMeasurement]) -> dict[str, dict[str, float]]:
    fitted = {}
    for name in dict.fromkeys(codec.codec for codec in codecs):
        chosen = [codec for codec in codecs if codec.codec == name]
        table = np.array([[1.0, codec.tensor_bytes, codec.payload_bytes] for codec in chosen])
        for verb in ("encode", "decode"):
            seconds = np.array([getattr(codec, f"{verb}_s") for codec in chosen])
            found = map(float, relative_nnls(table, seconds))
            fitted[f"{verb} {name}"] = dict(zip(("1", "tensor_bytes", "payload_bytes"), found, strict=True))
    return fitted


def load_operator_costs(path: str | Path) -> OperatorCosts:
    """Read a costs file.

    Raises
    ------
    ConfigError : missing, damaged, negative or NaN costs, or of a newer version
    """
    missing = f"no such costs; 'offramp profile CASCADE --fit {Path(path).name}' makes them"
    return read_model(OperatorCosts, path, missing=missing, again="run 'offramp profile --fit' again")
