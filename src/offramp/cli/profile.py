"""``offramp profile``: costs on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offramp.cli.common import console, data_name, print_json, say, status_console

if TYPE_CHECKING:
    from rich.table import Table

    from offramp.cascade.store import Cascade
    from offramp.links.network import Tier
    from offramp.profiles.profile import Profile

__all__ = ["profile", "profile_tiers", "profiles_table"]


def profile_tiers(cascade: Cascade, tiers: list[Tier], data: str | None = None) -> dict[str, Profile]:
    """Measure every tier in a fresh process and store ``profiles/TIER.json`` in the cascade."""
    from offramp.data.registry import load_dataset
    from offramp.errors import ConfigError
    from offramp.profiles.measure import measure
    from offramp.runtime.probe import measure_transport

    try:
        dataset = load_dataset(data_name(cascade.manifest, data))
        samples = tuple(array[:32] for array in dataset.inputs)
    except ConfigError as error:
        if data is not None:
            raise
        status_console.print(f"payload sizes come from random rows: {error}")
        samples = None
    transport = measure_transport(cascade.path)
    profiles = {}
    for tier in tiers:
        with status_console.status(f"  measuring {tier.name} ({tier.slow_down:g} x slower)"):
            profiles[tier.name] = measure(
                cascade.path, tier.name, slow_down=tier.slow_down, transport=transport, samples=samples
            )
        profiles[tier.name].save(cascade.path / "profiles" / f"{tier.name}.json")
    return profiles


def profile(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    network: Path | None = typer.Option(None, help="Network file: measure every tier in it."),
    tier: str | None = typer.Option(None, help="Measure one tier of this name only."),
    slow_down: float | None = typer.Option(None, min=1.0, help="Declare that tier N times slower than this machine."),
    data: str | None = typer.Option(None, help="Rows for payload sizes; default: the data it was built on."),
    json: bool = typer.Option(False, "--json", help="Print the profiles as JSON."),
) -> None:
    """Measure seconds per segment and bytes per cut."""
    from offramp.cascade.store import open_cascade
    from offramp.errors import ConfigError
    from offramp.links.network import Tier, load_network

    opened = open_cascade(cascade)
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
        tiers = [Tier(tiers[0].name, slow_down, tiers[0].address)]
    profiles = profile_tiers(opened, tiers, data)
    if json:
        print_json([p.model_dump(mode="json") for p in profiles.values()])
        return
    console.print(profiles_table(profiles))
    say(f"profiles -> {cascade / 'profiles'}")


def profiles_table(profiles: dict[str, Profile]) -> Table:
    """Median milliseconds per segment on every tier."""
    from offramp.reporting.terminal import plain_table

    indices = sorted({cost.segment for measured in profiles.values() for cost in measured.segments})
    head = ["tier", "slower by", *(f"segment {index}" for index in indices)]
    table = plain_table("Milliseconds per segment", head, caption="measured: median, one row at a time")
    for name, measured in profiles.items():
        for precision in dict.fromkeys(cost.precision for cost in measured.segments):
            times = {c.segment: f"{c.median_s * 1e3:.2f}" for c in measured.segments if c.precision == precision}
            label = name if precision == "fp32" else f"{name}, {precision}"
            table.add_row(label, f"{measured.slow_down:g}", *(times.get(index, "") for index in indices))
    return table
