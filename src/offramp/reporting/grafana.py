"""A Grafana dashboard of tiers and devices."""

from __future__ import annotations

from pathlib import Path

__all__ = ["dashboard"]


def dashboard() -> Path:
    """The file to import in Grafana; it asks for a Prometheus data source, and for the metrics of `offramp.runtime`.

    Examples
    --------
    >>> import json
    >>> json.loads(dashboard().read_text())["title"]
    'offramp'
    """
    return Path(__file__).with_suffix(".json")
