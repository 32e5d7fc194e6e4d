"""``offramp certs``: certificates for development."""

from __future__ import annotations

from pathlib import Path

import typer

from offramp.cli.common import say

__all__ = ["certs"]


def certs(
    folder: Path = typer.Argument(..., help="Where the files go; an authority that is there is used again."),
    hosts: str = typer.Option(..., help="Names separated by commas; NAME=ADDRESS where clients use another address."),
    days: int = typer.Option(30, min=1, max=3650, help="How long they are valid."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace certificates that are there."),
) -> None:
    """Make a small development CA and a certificate for each tier."""
    from offramp.runtime.development_ca import make_certificates

    names = [name.strip() for name in hosts.split(",") if name.strip()]
    for file in make_certificates(folder, names, days=days, overwrite=overwrite):
        say(f"-> {file}")
