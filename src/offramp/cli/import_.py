"""``offramp import``: a cascade from ONNX models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offramp.cli.common import command_line, console, print_json, say

if TYPE_CHECKING:
    from rich.table import Table

    from offramp.cascade.cuts import CutPoint
    from offramp.cascade.manifest import DataSpec, Manifest

__all__ = ["import_"]


def import_(
    model: Path = typer.Argument(..., help="The .onnx file; of a pair, the small model."),
    large: Path | None = typer.Argument(None, help="The large model of a hierarchical pair."),
    output: Path | None = typer.Option(None, help="Folder to make; default: NAME.cascade beside you."),
    name: str | None = typer.Option(None, help="Name of the cascade; default: the folder's."),
    labels: Path | None = typer.Option(None, help="Text file with one label per line; default: 0, 1, ..."),
    cuts: str | None = typer.Option(None, help="Where to cut: tensor names joined by commas."),
    segments: int | None = typer.Option(None, help="How many segments; default: as fine as useful."),
    max_crossing: int = typer.Option(1, help="How many tensors may cross a cut."),
    logits: str | None = typer.Option(None, help="The output that classifies, if the model has several."),
    exits: list[str] = typer.Option([], "--exit", help="An output that is the logits of an early exit; repeatable."),
    preprocess: str | None = typer.Option(
        None, help="Take raw uint8 images: 'scale=1/255; mean=0.5; std=0.25; layout=nhwc; model_layout=nchw'."
    ),
    preprocess_large: str | None = typer.Option(None, help="The same for the large model; default: as the small one."),
    data: str | None = typer.Option(None, help="Held-out data the cascade will be recorded on."),
    split: str = typer.Option("0.25,0.25,0.49", help="Shares of tune, calibrate and test rows of --data."),
    split_seed: int = typer.Option(0, help="Seed of that split."),
    list_cuts: bool = typer.Option(False, "--list-cuts", help="Show the valid cuts and stop."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a cascade that is already there."),
    json: bool = typer.Option(False, "--json", help="Print the cuts or the segments as JSON."),
) -> None:
    """Make a cascade of one ONNX model, or of a pair; no torch."""
    from offramp.cascade.importing import cut_points, import_model
    from offramp.cascade.onnx_extra import require_onnx
    from offramp.cascade.pairing import import_pair
    from offramp.errors import ConfigError

    require_onnx()
    from offramp.cascade.preprocess import Preprocess

    first = None if preprocess is None else Preprocess.parse(preprocess)
    second = first if preprocess_large is None else Preprocess.parse(preprocess_large)
    if list_cuts:
        found = cut_points(model, max_crossing=max_crossing, logits=logits, preprocess=first)
        print_json(_cuts_json(found)) if json else console.print(_cuts_table(found))
        return
    target = output or Path(f"{name or model.stem}.cascade")
    names = None if labels is None else _read_labels(labels)
    spec = None if data is None else _data_spec(data, split, split_seed)
    if large is None:
        cascade = import_model(
            model,
            target,
            name=name,
            labels=names,
            max_crossing=max_crossing,
            cuts=None if cuts is None else [cut.strip() for cut in cuts.split(",") if cut.strip()],
            segments=segments,
            logits=logits,
            exits=exits,
            preprocess=first,
            data=spec,
            overwrite=overwrite,
            command=command_line(),
        )
    elif cuts is not None or segments is not None or exits or logits is not None:
        raise ConfigError("a pair is two whole models: --cuts, --segments, --logits and --exit do not go with it")
    else:
        cascade = import_pair(
            model,
            large,
            target,
            name=name,
            labels=names,
            preprocess_small=first,
            preprocess_large=second,
            data=spec,
            overwrite=overwrite,
            command=command_line(),
        )
    manifest = cascade.manifest
    if json:
        print_json([segment.model_dump(mode="json") for segment in manifest.segments])
        return
    console.print(_segments_table(manifest))
    say(f"imported {target}: {len(manifest.segments)} segments, exits {', '.join(manifest.exit_names)}")
    say(f"verified: {manifest.provenance.notes}")


def _read_labels(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]


def _data_spec(name: str, split: str, seed: int) -> DataSpec:
    """Which rows of a data set are for what; rows its publisher set aside are the test rows."""
    from offramp.cascade.manifest import DataSpec
    from offramp.data.dataset import split_rows
    from offramp.data.registry import load_dataset
    from offramp.errors import ConfigError

    try:
        tune, calibrate, test = (float(share) for share in split.split(","))
    except ValueError as error:
        raise ConfigError(f"--split must be three shares such as 0.25,0.25,0.49, not {split!r}") from error
    dataset = load_dataset(name)
    test = 0.0 if dataset.fixed_test.any() else test
    split_rows(dataset, seed, tune, calibrate, test)  # refuses shares that make no sense
    return DataSpec(name=name, sha256=dataset.sha256, split_seed=seed, tune=tune, calibrate=calibrate, test=test)


def _cuts_json(cuts: tuple[CutPoint, ...]) -> list[dict[str, object]]:
    return [
        {
            "name": cut.name,
            "tensors": [tensor.model_dump(mode="json") for tensor in cut.tensors],
            "payload_bytes": cut.payload_bytes,
            "flops_before": cut.flops_before,
        }
        for cut in cuts
    ]


def _cuts_table(cuts: tuple[CutPoint, ...]) -> Table:
    from offramp.reporting.terminal import plain_table

    table = plain_table("Valid cuts", ["cut", "tensors", "kB", "MFLOP before"], text_columns=(0, 1))
    for cut in cuts:
        shapes = " ".join(_shape(tensor.row_shape) for tensor in cut.tensors)
        table.add_row(cut.name, shapes, _scaled(cut.payload_bytes, 1e3), _scaled(cut.flops_before, 1e6))
    return table


def _segments_table(manifest: Manifest) -> Table:
    from offramp.cascade.cuts import row_bytes
    from offramp.reporting.terminal import plain_table

    table = plain_table(
        "Segments", ["segment", "exit", "hands over", "kB", "MFLOP", "weights kB"], text_columns=(0, 1, 2)
    )
    for index, segment in enumerate(manifest.segments):
        last = index == len(manifest.segments) - 1
        crossing = () if last else manifest.tensors_at(index + 1)
        table.add_row(
            str(index),
            "" if segment.exit is None else segment.exit.name,
            "the input" if segment.hand_over == "input" else "+".join(tensor.name for tensor in crossing),
            "" if last else _scaled(row_bytes(crossing), 1e3),
            _scaled(segment.flops, 1e6),
            _scaled(segment.file_bytes, 1e3),
        )
    return table


def _shape(row: tuple[int | None, ...]) -> str:
    return "x".join("?" if size is None else str(size) for size in row) or "1"


def _scaled(number: int | None, unit: float) -> str:
    return "?" if number is None else f"{number / unit:,.2f}"
