"""``offramp profile``: costs on this machine, or carried from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from offramp.cli.common import console, data_name, print_json, say, status_console

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.table import Table

    from offramp.cascade.store import Cascade
    from offramp.links.network import Tier
    from offramp.profiles.profile import Profile

__all__ = ["CODECS", "profile", "profile_tiers", "profiles_table", "sample_rows"]

#: measured at every cut unless others are asked for
CODECS = ("raw", "zstd")
#: rows for payload sizes
_ROWS = 32


def profile_tiers(
    cascade: Cascade,
    tiers: list[Tier],
    data: str | None = None,
    codecs: Sequence[str] = CODECS,
    batches: Sequence[int] = (1,),
) -> dict[str, Profile]:
    """Measure every tier in a fresh process and store ``profiles/TIER.json`` in the cascade."""
    from offramp.profiles.carry import profile_file
    from offramp.profiles.measure import measure
    from offramp.runtime.probe import measure_transport

    samples = sample_rows(cascade, data)
    transport = measure_transport(cascade.path)
    profiles = {}
    for tier in tiers:
        with status_console.status(f"  measuring {tier.name} ({tier.slow_down:g} x slower)"):
            profiles[tier.name] = measure(
                cascade.path,
                tier.name,
                slow_down=tier.slow_down,
                transport=transport,
                samples=samples,
                codecs=codecs,
                batches=batches,
            )
        profiles[tier.name].save(profile_file(cascade.path, tier.name))
    return profiles


def sample_rows(cascade: Cascade, data: str | None) -> tuple[NDArray[Any], ...] | None:
    """A few rows of the data; ``None``, with a remark, where the cascade's own cannot be read.

    Raises
    ------
    ConfigError : the data asked for cannot be read
    """
    from offramp.data.registry import load_dataset
    from offramp.errors import ConfigError

    try:
        dataset = load_dataset(data_name(cascade.manifest, data))
        return tuple(array[:_ROWS] for array in dataset.inputs)
    except ConfigError as error:
        if data is not None:
            raise
        status_console.print(f"payload sizes come from random rows: {error}")
        return None


def profile(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    network: Path | None = typer.Option(None, help="Network file: measure every tier in it."),
    tier: str | None = typer.Option(None, help="Measure one tier of this name only."),
    slow_down: float | None = typer.Option(None, min=1.0, help="Declare that tier N times slower than this machine."),
    data: str | None = typer.Option(None, help="Rows for payload sizes; default: the data it was built on."),
    codec: list[str] = typer.Option(list(CODECS), help="Measure this codec at every cut it can serve; repeatable."),
    batch: str = typer.Option("1", help="Rows a segment is given at once; several with commas, such as 1,8."),
    export: Path | None = typer.Option(None, help="Also write the one tier's profile to this file, to be carried."),
    import_: Path | None = typer.Option(
        None, "--import", help="Store a profile from another machine, under the name --tier if given."
    ),
    fit: Path | None = typer.Option(
        None, help="Measure operators here, add them to this file of costs and fit; makes no profile."
    ),
    predict_from: Path | None = typer.Option(
        None, help="Predict instead of measuring, from costs that --fit made on a machine like the tier."
    ),
    json: bool = typer.Option(False, "--json", help="Print the profiles as JSON."),
) -> None:
    """Measure seconds per segment and bytes per cut, here, or predict them, or import what was measured elsewhere."""
    from offramp.cascade.store import open_cascade
    from offramp.cli.predict import fit_costs, predict_tiers
    from offramp.errors import ConfigError
    from offramp.profiles.carry import export_profile, import_profile

    if sum(each is not None for each in (import_, fit, predict_from)) > 1:
        raise ConfigError("--import, --fit and --predict-from are three different things; give one of them")
    if fit is not None:
        if any(each is not None for each in (network, tier, slow_down, export)):
            raise ConfigError("--fit measures operators, not a tier: of the other options it takes --data and --codec")
        fit_costs(open_cascade(cascade), fit, data, codec, json)
        return
    if import_ is not None:
        if network is not None or slow_down is not None or export is not None:
            raise ConfigError("--import stores a measured profile: of the other options it takes --tier alone")
        imported = import_profile(cascade, import_, tier)
        profiles = {imported.tier: imported}
    else:
        tiers = _tiers(network, tier, slow_down)
        if export is not None and len(tiers) != 1:
            raise ConfigError(f"--export writes one profile, not {len(tiers)}; choose with --tier NAME")
        if predict_from is not None:
            if _batches(batch) != (1,):
                raise ConfigError("--predict-from predicts one row at a time; leave out --batch, or measure")
            profiles = predict_tiers(open_cascade(cascade), tiers, predict_from, data, codec)
        else:
            profiles = profile_tiers(open_cascade(cascade), tiers, data, codec, _batches(batch))
        if export is not None:
            export_profile(cascade, tiers[0].name, export)
    if json:
        print_json([p.model_dump(mode="json") for p in profiles.values()])
        return
    console.print(profiles_table(profiles))
    say(f"profiles -> {cascade / 'profiles'}" + (f" and {export}" if export else ""))


def _tiers(network: Path | None, tier: str | None, slow_down: float | None) -> list[Tier]:
    from offramp.errors import ConfigError
    from offramp.links.network import Tier, load_network

    if network is not None:
        loaded = load_network(network)
        tiers = list(loaded.tiers) if tier is None else [loaded.tier(tier)]
    elif tier is not None:
        tiers = [Tier(tier)]
    else:
        raise ConfigError("profile needs --network N.toml (all its tiers) or --tier NAME")
    if slow_down is not None:
        if len(tiers) != 1:
            raise ConfigError("--slow-down goes with one --tier; a network file declares it per tier")
        tiers = [replace(tiers[0], slow_down=slow_down)]
    return tiers


def _batches(text: str) -> tuple[int, ...]:
    from offramp.errors import ConfigError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--batch takes whole numbers with commas, such as 1,8, not {text!r}") from error


def profiles_table(profiles: dict[str, Profile]) -> Table:
    """Median milliseconds per segment on every tier."""
    from offramp.reporting.terminal import plain_table

    indices = sorted({cost.segment for measured in profiles.values() for cost in measured.segments})
    head = ["tier", "slower by", *(f"segment {index}" for index in indices)]
    how = ", ".join(sorted({measured.how for measured in profiles.values()}))
    table = plain_table("Milliseconds per segment", head, caption=f"{how}: median, one row at a time unless named")
    for name, measured in profiles.items():
        for precision, batch in dict.fromkeys((cost.precision, cost.batch) for cost in measured.segments):
            times = {
                cost.segment: f"{cost.median_s * 1e3:.2f}"
                for cost in measured.segments
                if (cost.precision, cost.batch) == (precision, batch)
            }
            label = name + (f", {precision}" if precision != "fp32" else "") + (f", {batch} rows" if batch > 1 else "")
            table.add_row(label, f"{measured.slow_down:g}", *(times.get(index, "") for index in indices))
    return table
