"""``offramp relay``: a link of chosen speed on one machine."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["relay"]


def relay(
    listen: str = typer.Option(..., help="HOST:PORT to listen on."),
    target: str = typer.Option(..., help="HOST:PORT to pass everything on to."),
    bandwidth_bps: float = typer.Option(..., help="Rate both ways, bits per second."),
    rtt_s: float = typer.Option(0.0, min=0.0, help="Delay there and back, seconds."),
    trace: Path | None = typer.Option(None, help="CSV with time_s,bandwidth_bps instead of a constant rate."),
) -> None:
    """Relay TCP at a given rate and delay."""
    from offramp.links.network import Link
    from offramp.links.relay_process import Route, serve_relays
    from offramp.links.trace import load_trace

    link = Link("client", "server", bandwidth_bps=bandwidth_bps, rtt_s=rtt_s)
    serve_relays([Route(link, listen, target, load_trace(trace) if trace else None)])
