"""Writing tails of a cascade into the model repository of another server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from offramp.cascade.repository import Repository, TailModel
from offramp.cascade.store import Cascade, write_bytes_atomic
from offramp.cascade.tail import require_tail, tail_name, tails
from offramp.cascade.tail_onnx import tail_difference, tail_model
from offramp.errors import ConfigError

__all__ = ["ExportedTail", "export_tails"]


class ExportedTail(NamedTuple):
    """A tail that was written: the cut it begins at, its name and folder, and how far it lies from the chain."""

    cut: int
    name: str
    folder: Path
    difference: float


def export_tails(
    cascade: Cascade,
    repository: Repository,
    output: Path,
    cuts: Sequence[int] = (),
    *,
    precision: str = "fp32",
    overwrite: bool = False,
) -> list[ExportedTail]:
    """Write the tails from ``cuts`` (default: from every cut that has one), each checked against the chain.

    Parameters
    ----------
    cascade : the opened cascade
    repository : how the server wants its models
    output : the repository's folder; other models in it are left alone
    precision : a plan's, such as ``int8:2``
    overwrite : replace models that are there

    Raises
    ------
    ConfigError : there is no such tail, or a model of that name is there already
    CascadeError : a tail differs from the chain
    """
    chosen = tuple(dict.fromkeys(cuts)) or tails(cascade.manifest)
    for cut in chosen:
        require_tail(cascade.manifest, cut)
        folder = output / tail_name(cascade.name, cut)
        if folder.exists() and not overwrite:
            raise ConfigError(f"{folder}: already exists; choose another --output or pass --overwrite")
    exported = []
    for cut in chosen:
        content = tail_model(cascade, cut, precision)
        difference = tail_difference(cascade, cut, content, precision)
        name = tail_name(cascade.name, cut)
        inputs, classes = cascade.manifest.tensors_at(cut), len(cascade.manifest.labels)
        _write(output / name, repository.model_files(TailModel(name, inputs, classes, content)))
        exported.append(ExportedTail(cut, name, output / name, difference))
    for path, data in repository.shared_files(_models_in(output)).items():
        write_bytes_atomic(output / path, data)
    return exported


def _models_in(output: Path) -> list[str]:
    return sorted(folder.name for folder in output.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """All files in a new folder first, then one rename: a server that watches sees a model whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for path, data in files.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(data)
        new.chmod(0o755)
        if folder.exists():
            aside = folder.with_name(f".{folder.name}.old-{os.getpid()}")
            folder.rename(aside)
            new.rename(folder)
            shutil.rmtree(aside)
        else:
            new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
