"""Counters, and their way through Prometheus."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from offramp.errors import AddressInUse, LinkDown
from offramp.runtime.counters import Counters
from offramp.runtime.metrics import scrape, start_metrics


def test_what_is_scraped_is_what_was_counted() -> None:
    counters = Counters("edge", segments=2, exits=2)
    counters.requests, counters.rows = 3, 7
    counters.rows_executed[1] = 5
    counters.exit_rows[0] = 2
    counters.add_degraded("link_down", 4)
    counters.add_error("NOT_FOUND")
    counters.add_latency(0.003)
    port = start_metrics(counters, 0)
    assert scrape("127.0.0.1", port) == counters.to_dict()
    assert counters.to_dict()["degraded.edge.link_down"] == 4
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        text = response.read().decode()
    assert 'offramp_latency_seconds_bucket{le="0.005",tier="edge"} 1.0' in text
    assert 'offramp_latency_seconds_count{tier="edge"} 1.0' in text


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse, match=str(port)):
            start_metrics(Counters("edge", 1, 1), port)


def test_nobody_to_scrape() -> None:
    with pytest.raises(LinkDown, match="no metrics there"):
        scrape("127.0.0.1", 9)
