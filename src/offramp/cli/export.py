"""``offramp export``: tails of a cascade for other model servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from offramp.cli.common import print_json, say

if TYPE_CHECKING:
    from offramp.cascade.repository import Repository

__all__ = ["export"]

Format = Literal["triton", "kserve", "openvino", "mlserver"]
TritonBackend = Literal["onnxruntime", "python"]


def export(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    format: Format = typer.Option(..., help="Whose model repository to write."),
    output: Path = typer.Option(..., help="Folder of the repository; models of other names in it stay."),
    from_cut: list[int] = typer.Option([], help="Cut the tail begins at; repeatable. Default: every cut."),
    precision: str = typer.Option("fp32", help="fp32, int8, or a plan's precision such as int8:2."),
    triton_backend: TritonBackend = typer.Option(
        "onnxruntime", help="python for a Triton without the ONNX Runtime backend."
    ),
    max_batch_rows: int = typer.Option(64, min=1, help="The most rows Triton takes in one request."),
    storage_uri: str | None = typer.Option(None, help="Where KServe finds the folders; default: pvc://models/NAME."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace models that are already there."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write tails of a cascade as plain ONNX models for another server.

    Such a server can then be the upper tier: 'protocol = "oip"' in the network file."""
    from offramp.cascade.onnx_extra import require_onnx
    from offramp.cascade.store import open_cascade

    require_onnx()
    from offramp.cascade.exporting import export_tails

    opened = open_cascade(cascade)
    repository = _repository(opened.name, format, triton_backend, max_batch_rows, storage_uri)
    exported = export_tails(opened, repository, output, from_cut, precision=precision, overwrite=overwrite)
    if json:
        print_json(
            [{"cut": t.cut, "name": t.name, "folder": str(t.folder), "difference": t.difference} for t in exported]
        )
        return
    for tail in exported:
        say(f"cut {tail.cut} -> {tail.folder} (differs from the chain by {tail.difference:.1g})")


def _repository(
    name: str, format: Format, backend: TritonBackend, max_batch_rows: int, storage_uri: str | None
) -> Repository:
    from offramp.cascade.repository_kserve import KServeRepository
    from offramp.cascade.repository_mlserver import MLServerRepository
    from offramp.cascade.repository_openvino import OpenVinoRepository
    from offramp.cascade.repository_triton import TritonRepository

    triton = TritonRepository(backend, max_batch_rows)
    if format == "triton":
        return triton
    if format == "kserve":
        return KServeRepository(name, storage_uri or f"pvc://models/{name}", triton)
    return OpenVinoRepository() if format == "openvino" else MLServerRepository()
