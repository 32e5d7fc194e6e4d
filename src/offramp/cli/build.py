"""``offramp build``: model -> exits -> trained -> NAME.cascade."""

from __future__ import annotations

from pathlib import Path

import typer

from offramp.cli.common import command_line, git_commit, say, status_console

__all__ = ["build"]


def build(
    config: Path = typer.Argument(..., help="CONFIG.toml: model, data, exits, training."),
    output: Path | None = typer.Option(None, help="Folder to make; default: NAME.cascade beside you."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a cascade that is already there."),
    exits: str | None = typer.Option(None, help="auto:N places N exits at equal shares of the FLOPs."),
    resume: bool = typer.Option(False, "--resume", help="Go on from the last checkpoint."),
) -> None:
    """Make a cascade of a torch model: exits, training, export."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        from offramp.errors import ConfigError

        raise ConfigError("building needs torch: pip install 'offramp[train]'") from error
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from offramp.training.build import build as build_cascade
    from offramp.training.config import load_config, with_exits

    settings = load_config(config)
    if exits is not None:
        settings = with_exits(settings, exits)
    target = output or Path(f"{settings.name}.cascade")
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=status_console, transient=True) as progress:
        task = progress.add_task("training", total=None)

        def update(epoch: int, epochs: int, step: int, steps: int, metrics: dict[str, float]) -> None:
            told = " ".join(f"{name} {value:.3g}" for name, value in list(metrics.items())[:5])
            progress.update(
                task,
                total=epochs * steps,
                completed=epoch * steps + step,
                description=f"epoch {epoch + 1}/{epochs} {told}",
            )

        report = build_cascade(
            settings,
            target,
            overwrite=overwrite,
            resume=resume,
            progress=update,
            command=command_line(),
            commit=git_commit(),
        )
    manifest = report.cascade.manifest
    exits = ", ".join(manifest.exit_names)
    say(f"built {target}: {len(manifest.segments)} segments, exits {exits}, {report.seconds:.0f} s")
    say(f"verified: chained ONNX segments equal the torch model to {report.max_difference:.1e}")
