"""``offramp serve``: a tier server."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["serve"]


def serve(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    tier: str = typer.Option(..., help="Name of this tier in the plan."),
    plan: list[Path] = typer.Option([], help="Plan file; repeat for several. Default: CASCADE/plans/plan.json."),
    listen: str = typer.Option("127.0.0.1:0", help="HOST:PORT; port 0 takes a free one."),
    upstream: str | None = typer.Option(
        None,
        help="HOST:PORT of the next tier, or oip://HOST:PORT of a model server; several separated by commas, "
        "the preferred first.",
    ),
    slow_down: float = typer.Option(1.0, min=1.0, help="Run N times slower than this machine."),
    metrics_port: int | None = typer.Option(None, help="Prometheus metrics over HTTP; 0 takes a free port."),
    rest_port: int | None = typer.Option(None, help="REST beside gRPC; 0 takes a free port. Needs offramp[rest]."),
    network: Path | None = typer.Option(None, help="Network file: how this tier and the next one are secured."),
    max_batch_rows: int = typer.Option(64, min=1, help="Rows computed together."),
    max_wait_ms: float = typer.Option(0.0, min=0.0, help="Wait so long for rows to compute together."),
    max_queue_rows: int = typer.Option(1024, min=1, help="Rows that may wait; what is beyond is refused."),
    max_message_bytes: int = typer.Option(64 * 2**20, min=1, help="Size of one message."),
    max_streams: int = typer.Option(1024, min=1, help="Calls open at a time."),
    max_connections: int = typer.Option(1024, min=1, help="Connections open at a time."),
    max_plans: int = typer.Option(64, min=0, help="Plans taken from clients that adapt; 0 takes none."),
    max_drain_s: float = typer.Option(1.0, min=0.0, help="Seconds to finish what is under way when told to end."),
    engine: str = typer.Option("local", help="Where segments run: local, or ray (Ray Serve, offramp[ray])."),
    replicas: str | None = typer.Option(None, help="Replicas on Ray Serve: N, or LEAST-MOST to scale by itself."),
    log_json: bool = typer.Option(False, "--log-json", help="Log events as lines of JSON to stderr."),
    parent_pid: int | None = typer.Option(None, hidden=True),
) -> None:
    """Serve a tier over the Open Inference Protocol (gRPC, and REST if asked)."""
    from offramp.runtime.json_logs import log_as_json
    from offramp.runtime.limits import Limits
    from offramp.runtime.server import serve as serve_tier

    if log_json:
        log_as_json()
    limits = Limits(
        max_batch_rows=max_batch_rows,
        max_wait_s=max_wait_ms / 1e3,
        max_queue_rows=max_queue_rows,
        max_message_bytes=max_message_bytes,
        max_streams=max_streams,
        max_connections=max_connections,
        max_plans=max_plans,
        max_drain_s=max_drain_s,
    )
    serve_tier(
        cascade,
        tier=tier,
        plans=list(plan) or [cascade / "plans" / "plan.json"],
        listen=listen,
        upstream=upstream,
        slow_down=slow_down,
        metrics_port=metrics_port,
        rest_port=rest_port,
        network=network,
        limits=limits,
        parent_pid=parent_pid,
        engine=engine,
        replicas=replicas,
    )
