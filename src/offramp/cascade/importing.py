"""A cascade from any ONNX classifier, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from offramp.cascade.cuts import CutPoint, cuts_by_name, even_cuts, useful_cuts
from offramp.cascade.manifest import Calibration, DataSpec, Manifest, Provenance, SegmentSpec
from offramp.cascade.onnx_extra import require_onnx
from offramp.cascade.store import Cascade, save_cascade
from offramp.errors import CascadeError, ConfigError

if TYPE_CHECKING:
    import onnx_ir as ir

    from offramp.cascade.anatomy import Anatomy
    from offramp.cascade.graph import OnnxGraph
    from offramp.cascade.preprocess import Preprocess

__all__ = ["check_labels", "cut_points", "import_model", "make_manifest"]

#: name of the exit the model ends in
FINAL = "final"


def cut_points(
    model: str | Path, *, max_crossing: int = 1, logits: str | None = None, preprocess: Preprocess | None = None
) -> tuple[CutPoint, ...]:
    """All valid cut points of an ONNX classifier, in order.

    Parameters
    ----------
    model : the ``.onnx`` file
    max_crossing : at most so many tensors may cross
    logits : the output that classifies, needed where the model has several
    preprocess : put in front of the model

    Raises
    ------
    CascadeError : the file cannot be read or run
    ConfigError : onnx is not installed, or the model has several outputs
    """
    require_onnx()
    from offramp.cascade.classifier import choose_outputs, prepare

    graph = prepare(model, preprocess)
    final, _ = choose_outputs(graph, logits, ())
    return _dissect(graph, final, (), max_crossing).cuts


def import_model(
    model: str | Path,
    output: str | Path,
    *,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    max_crossing: int = 1,
    cuts: Sequence[str] | None = None,
    segments: int | None = None,
    logits: str | None = None,
    exits: Sequence[str] = (),
    preprocess: Preprocess | None = None,
    data: DataSpec | None = None,
    overwrite: bool = False,
    command: str = "",
) -> Cascade:
    """Cut an ONNX classifier into segments and save them as a cascade.

    The chain of segments is run against the whole model on random rows before anything is saved; the
    difference is written into ``provenance.notes``.

    Parameters
    ----------
    model : the ``.onnx`` file; a fixed batch is made dynamic where that is possible
    output : the folder to make, by custom ``NAME.cascade``
    name : of the cascade; default: the folder's
    labels : of the classes; default: 0, 1, ...
    max_crossing : at most so many tensors may cross a cut
    cuts : where to cut, by `CutPoint.name`; early exits add theirs
    segments : how many segments of about equal compute; default: as fine as useful
    logits : the output that classifies, needed where the model has several
    exits : outputs of the model that are logits of early exits
    preprocess : put in front of the model, so that the cascade takes raw images
    data : the held-out data it will be recorded on, and how its rows are split
    overwrite : replace a cascade that is already there
    command : for the provenance

    Raises
    ------
    CascadeError : the file cannot be read or run, is no classifier, has no valid cut, or the chain
        differs from the whole
    ConfigError : onnx is not installed, an unknown output or cut, too many segments, wrong number of
        labels
    """
    require_onnx()
    from offramp.cascade.assembly import assemble, place_exits
    from offramp.cascade.chain_check import chain_difference
    from offramp.cascade.classifier import choose_outputs, count_classes, prepare

    graph = prepare(model, preprocess)
    final, early = choose_outputs(graph, logits, exits)
    anatomy = _dissect(graph, final, tuple(early.values()), max_crossing)
    classes = count_classes(anatomy, [*early.values(), final])
    placed = place_exits(anatomy, early)
    chosen = _choose(anatomy, list(placed), cuts, segments, max_crossing)
    files = assemble(anatomy, chosen, placed, FINAL, classes)
    ordered = [str(placed[cut].logits.name) for cut in chosen if cut in placed] + [str(final.name)]
    difference = chain_difference(anatomy, files, ordered)
    manifest = make_manifest(
        name or Path(output).stem,
        check_labels(labels, classes, graph.where),
        [file.spec for file in files],
        preprocessing="" if preprocess is None else str(preprocess),
        data=data,
        command=command or f"import_model({Path(model).name!r})",
        notes=f"the chain equals {Path(model).name} to {difference:.1e} on random rows",
    )
    return save_cascade(output, manifest, {file.spec.file: file.content for file in files}, overwrite=overwrite)


def _dissect(graph: OnnxGraph, final: ir.Value, early: Sequence[ir.Value], max_crossing: int) -> Anatomy:
    from offramp.cascade.anatomy import dissect

    if max_crossing < 1:
        raise ConfigError(f"at least 1 tensor crosses a cut, not {max_crossing}")
    return dissect(graph, final, early, max_crossing)


def _choose(
    anatomy: Anatomy, forced: list[CutPoint], names: Sequence[str] | None, segments: int | None, max_crossing: int
) -> list[CutPoint]:
    if names is not None and segments is not None:
        raise ConfigError("name the cuts or ask for a number of segments, not both")
    if names is not None:
        return sorted({*cuts_by_name(anatomy.cuts, names), *forced}, key=lambda cut: cut.index)
    if not anatomy.cuts and segments != 1:
        raise CascadeError(
            f"{anatomy.graph.where}: has no valid cut with at most {max_crossing} crossing tensor(s); "
            "allow more of them, or ask for 1 segment"
        )
    useful = useful_cuts(anatomy.cuts, anatomy.total_flops, anatomy.inputs, keep=forced)
    if segments is None:
        return useful
    pool = useful if segments - 1 <= len(useful) else list(anatomy.cuts)
    return even_cuts(pool, segments, anatomy.total_flops, keep=forced)


def check_labels(labels: Sequence[str] | None, classes: int, where: str) -> tuple[str, ...]:
    """The labels given, or 0, 1, ...

    Raises
    ------
    ConfigError : not one label per class
    """
    if labels is None:
        return tuple(str(i) for i in range(classes))
    if len(labels) != classes:
        raise ConfigError(f"{where}: has {classes} classes, but {len(labels)} labels were given; give one per class")
    return tuple(labels)


def make_manifest(
    name: str,
    labels: tuple[str, ...],
    segments: Sequence[SegmentSpec],
    *,
    preprocessing: str,
    data: DataSpec | None,
    command: str,
    notes: str,
) -> Manifest:
    """The manifest of imported segments.

    Raises
    ------
    ConfigError : a name that is none
    """
    try:
        return Manifest(
            name=name,
            labels=labels,
            inputs=segments[0].inputs,
            preprocessing=preprocessing,
            segments=tuple(segments),
            data=data,
            calibration=Calibration(temperatures=(1.0,) * sum(spec.exit is not None for spec in segments)),
            provenance=Provenance(
                created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
                command=command,
                versions={package: version(package) for package in ("onnx", "onnx-ir", "onnxruntime")},
                notes=notes,
            ),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{first['loc'][0] if first['loc'] else 'cascade'}: {first['msg']}") from error
