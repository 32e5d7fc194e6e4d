"""A hierarchical cascade from two ONNX classifiers: a small one, and a large one for when it is not sure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offramp.cascade.importing import check_labels, make_manifest
from offramp.cascade.manifest import DataSpec
from offramp.cascade.onnx_extra import require_onnx
from offramp.cascade.store import Cascade, save_cascade
from offramp.errors import CascadeError, ConfigError

if TYPE_CHECKING:
    from offramp.cascade.assembly import SegmentFile
    from offramp.cascade.preprocess import Preprocess

__all__ = ["import_pair"]

#: what both models call the raw sample
SAMPLE = "sample"


def import_pair(
    small: str | Path,
    large: str | Path,
    output: str | Path,
    *,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    preprocess_small: Preprocess | None = None,
    preprocess_large: Preprocess | None = None,
    data: DataSpec | None = None,
    overwrite: bool = False,
    command: str = "",
) -> Cascade:
    """Make a cascade of two models that both start from the sample.

    The small model is segment 0 and hands over the *input*: where its exit is not sure, the large
    model, segment 1, begins again. Both are checked like those of `import_model`.

    Parameters
    ----------
    small, large : the ``.onnx`` files, with the same classes in the same order
    output : the folder to make, by custom ``NAME.cascade``
    name : of the cascade; default: the folder's
    labels : of the classes; default: 0, 1, ...
    preprocess_small, preprocess_large : put in front of each, so that both take the same raw sample
    data : the held-out data it will be recorded on, and how its rows are split
    overwrite : replace a cascade that is already there
    command : for the provenance

    Raises
    ------
    CascadeError : a file cannot be read or run, or is no classifier
    ConfigError : onnx is not installed, or the models do not agree in classes or raw sample
    """
    require_onnx()
    early, classes, error_early = _whole(small, preprocess_small, "small", 0)
    late, classes_large, error_late = _whole(large, preprocess_large, "large", 1)
    if classes != classes_large:
        raise ConfigError(f"{small} has {classes} classes, but {large} has {classes_large}; a pair needs the same")
    ours, theirs = early.spec.inputs[0], late.spec.inputs[0]
    if ours != theirs:
        raise ConfigError(
            f"{small} takes {ours.dtype} rows of shape {ours.row_shape}, but {large} {theirs.dtype} rows of shape "
            f"{theirs.row_shape}; give each the preprocessing that lets it take the same raw sample"
        )
    told = [f"{which}: {p}" for which, p in (("small", preprocess_small), ("large", preprocess_large)) if p is not None]
    manifest = make_manifest(
        name or Path(output).stem,
        check_labels(labels, classes, str(small)),
        [early.spec.model_copy(update={"hand_over": "input"}), late.spec],
        preprocessing="; ".join(told),
        data=data,
        command=command or f"import_pair({Path(small).name!r}, {Path(large).name!r})",
        notes=f"the segments equal their models to {max(error_early, error_late):.1e} on random rows",
    )
    return save_cascade(output, manifest, {f.spec.file: f.content for f in (early, late)}, overwrite=overwrite)


def _whole(
    model: str | Path, preprocess: Preprocess | None, exit_name: str, index: int
) -> tuple[SegmentFile, int, float]:
    """A model as one segment, its number of classes, and the difference from the model."""
    from offramp.cascade.anatomy import dissect
    from offramp.cascade.assembly import assemble
    from offramp.cascade.chain_check import chain_difference
    from offramp.cascade.classifier import choose_outputs, count_classes, prepare

    graph = prepare(model, preprocess)
    if len(graph.inputs) != 1:
        raise CascadeError(f"{graph.where}: takes {len(graph.inputs)} inputs; a model of a pair takes the sample alone")
    graph.rename_input(SAMPLE)
    logits, _ = choose_outputs(graph, None, ())
    anatomy = dissect(graph, logits)
    classes = count_classes(anatomy, [logits])
    files = assemble(anatomy, [], {}, exit_name, classes, first=index)
    return files[0], classes, chain_difference(anatomy, files, [str(logits.name)])
