"""``offramp explore``: many builds, one front of energy against accuracy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offramp.cli.common import command_line, console, git_commit, print_json, progress_bar, say, status_console

if TYPE_CHECKING:
    from offramp.cascade.store import Cascade
    from offramp.links.network import Network
    from offramp.training.lowbit.grid import ExploreConfig, GridBuild

__all__ = ["explore"]


@dataclass(frozen=True)
class _Explored:
    """One plan of one build, and whether none of another build beats it."""

    build: str
    energy_j: float
    accuracy: float
    placement: tuple[str, ...]
    codec: str
    on_front: bool = False


def explore(
    config: Path = typer.Argument(..., help="EXPLORE.toml: a build config, a network, and what to vary."),
    output: Path = typer.Option(Path("explored"), help="Folder for cascades, records, profiles and the result."),
    json: bool = typer.Option(False, "--json", help="Print every plan as JSON."),
) -> None:
    """Build, record, profile and plan every combination of bits, segments, exits and loss weights.

    An interrupted exploration goes on where it was: what is built, recorded and measured is kept. The result is
    OUTPUT/explored.json and, with plotly installed, OUTPUT/explored.html."""
    from offramp.errors import ConfigError

    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ConfigError("exploring needs torch: pip install 'offramp[train]'") from error
    from offramp.links.network import load_network
    from offramp.training.lowbit.grid import load_explore_config

    settings = load_explore_config(config)
    network = load_network(settings.network)
    builds = list(settings.builds(output))
    if not builds:
        raise ConfigError(f"{config}: no combination is possible; every one has fewer exits than low-bit segments")
    found: list[_Explored] = []
    for number, build in enumerate(builds, start=1):
        status_console.print(f"{number} of {len(builds)}: {build.name}")
        found += _plans(build, _made(build, output), settings, network)
    front = _with_front(found)
    _write(front, output)
    if json:
        print_json([asdict(each) for each in front])
        return
    console.print(_table(front))
    say(f"{len(builds)} builds, {sum(each.on_front for each in front)} plans on the front -> {output}")


def _made(build: GridBuild, output: Path) -> Cascade:
    """The build's cascade, trained now or before."""
    from offramp.cascade.store import open_cascade
    from offramp.training.build import build as build_cascade

    folder = output / f"{build.name}.cascade"
    if folder.exists():
        return open_cascade(folder)
    with progress_bar("training") as update:

        def progress(epoch: int, epochs: int, step: int, steps: int, _metrics: dict[str, float]) -> None:
            update(epoch * steps + step, epochs * steps)

        report = build_cascade(
            build.config, folder, resume=True, progress=progress, command=command_line(), commit=git_commit()
        )
    return report.cascade


def _plans(build: GridBuild, cascade: Cascade, settings: ExploreConfig, network: Network) -> list[_Explored]:
    """What the planner finds for it, minimising energy."""
    from offramp.cli.common import load_profiles
    from offramp.cli.profile import profile_tiers
    from offramp.data.registry import load_source
    from offramp.planning.objective import Objective
    from offramp.planning.search import search
    from offramp.records.collect import collect_to_file
    from offramp.records.records import load_records

    file = cascade.path / "records" / "fp32.parquet"
    if not file.is_file():
        with progress_bar("recording") as update:
            source = load_source(build.config.data.name)
            collect_to_file(cascade, source, file, command=command_line(), commit=git_commit(), progress=update)
    missing = [t for t in network.tiers if not (cascade.path / "profiles" / f"{t.name}.json").is_file()]
    if missing:
        profile_tiers(cascade, missing, build.config.data.name, settings.codecs)
    records = load_records(file)
    records.require(cascade.manifest.fingerprint)
    profiles = load_profiles(cascade.path, network.tier_names)
    result = search([records], profiles, network, Objective(minimise="energy", accuracy_loss=1.0))
    return [
        _Explored(build.name, point.value, point.accuracy, point.placement, point.codec)
        for point in result.front
        if point.value is not None
    ]


def _with_front(found: list[_Explored]) -> list[_Explored]:
    """Cheapest first, those that no plan of any build beats marked."""
    from dataclasses import replace

    import numpy as np

    from offramp.planning.pareto import pareto_front

    front = pareto_front(np.array([each.energy_j for each in found]), np.array([each.accuracy for each in found]))
    best = set(front.tolist())
    marked = [replace(each, on_front=index in best) for index, each in enumerate(found)]
    return sorted(marked, key=lambda each: (each.energy_j, -each.accuracy))


def _write(found: list[_Explored], output: Path) -> None:
    import json

    from offramp.cascade.store import write_text_atomic

    write_text_atomic(output / "explored.json", json.dumps([asdict(each) for each in found], indent=2) + "\n")
    try:
        from offramp.reporting.figures.explored import explored_figure
    except ImportError:
        status_console.print("no plot: pip install 'offramp[report]'")
        return
    builds: dict[str, list[tuple[float, float]]] = {}
    for each in found:
        builds.setdefault(each.build, []).append((each.energy_j, each.accuracy))
    front = [(each.energy_j, each.accuracy) for each in found if each.on_front]
    write_text_atomic(output / "explored.html", explored_figure(builds, front).to_html(include_plotlyjs=True))


def _table(found: list[_Explored]) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title="The front", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("build", "energy", "accuracy", "placement", "codec"):
        table.add_column(column, justify="right" if column in ("energy", "accuracy") else "left")
    for each in (each for each in found if each.on_front):
        placed = " ".join(each.placement)
        table.add_row(each.build, f"{1e3 * each.energy_j:.4g} mJ", f"{100 * each.accuracy:.2f} %", placed, each.codec)
    return table
