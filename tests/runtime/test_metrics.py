"""Counters, and their way through Prometheus."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from offramp.errors import AddressInUse, LinkDown
from offramp.links.network import Link, Network, Tier
from offramp.planning.controllers.fixed import FixedController
from offramp.reporting.grafana import dashboard
from offramp.runtime.adapting import Adaptation
from offramp.runtime.audit import Audit
from offramp.runtime.counters import Counters
from offramp.runtime.device import Device
from offramp.runtime.gauges import GAUGES, Gauge, device_gauges, tier_gauges
from offramp.runtime.metrics import TierCollector, scrape, start_metrics
from tests.runtime.support import plan_of
from tests.runtime.test_service import serving
from tests.support.tiny import make_tiny_cascade, tiny_rows


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


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_beside_metrics() -> None:
    well = True
    port = start_metrics(Counters("edge", 1, 1), 0, healthy=lambda: well)
    assert get(port, "/healthz") == (200, '{"status": "ok", "tier": "edge"}\n')
    well = False
    assert get(port, "/healthz") == (503, '{"status": "shutting down", "tier": "edge"}\n')
    assert get(port, "/secrets")[0] == 404
    assert "offramp_requests_total" in get(port, "/metrics")[1]
    assert get(start_metrics(Counters("edge", 1, 1), 0), "/healthz")[0] == 200


def test_the_state_of_a_device_and_a_tier(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    plan = plan_of(cascade, ("device", "edge", "edge"), (None, None))
    chain = Network((Tier("device"), Tier("edge")), (Link("device", "edge", 5e6),))
    adaptation, audit = Adaptation(FixedController(plan), chain), Audit(share=1.0, limit=0.5)
    with serving(cascade, "edge", plan) as (edge, answering):
        with Device(cascade, plan, edge, adaptation=adaptation, audit=audit, spool=tmp_path / "spool") as device:
            for row in tiny_rows(5):
                device.infer(row)
            assert device.auditor is not None
            device.auditor.flush()
            port = start_metrics(device.counters, 0, gauges=lambda: device_gauges(device))
            shown = get(port, "/metrics")[1]
            assert scrape("127.0.0.1", port)["audited.device"] == 5
        port = start_metrics(answering.tier.counters, 0, gauges=lambda: tier_gauges(answering))
        beyond = get(port, "/metrics")[1]
    for line in (
        f'offramp_plan_info{{plan_id="{plan.plan_id}",tier="device"}} 1.0',
        'offramp_connected{tier="device"} 1.0',
        f'offramp_breaker_state{{peer="{edge}",tier="device"}} 0.0',
        'offramp_audit_loss{tier="device"} 0.0',
        'offramp_alarm_raised{tier="device"} 0.0',
        'offramp_link_bandwidth_bps{link="device-edge",tier="device"}',
        'offramp_spool_rows{state="waiting",tier="device"} 0.0',
        'offramp_stage_seconds_count{stage="beyond",tier="device"} 5.0',
    ):
        assert line in shown
    for line in ('offramp_queue_rows{tier="edge"} 0.0', 'offramp_stage_seconds_count{stage="compute",tier="edge"} 5.0'):
        assert line in beyond
    seen = {family.name for text in (shown, beyond) for family in text_string_to_metric_families(text)}
    assert {f"offramp_{name}" for name in GAUGES} <= seen


def test_the_dashboard_asks_for_what_there_is() -> None:
    """Every metric in a query is one that is exposed, and every one exposed has a place on the dashboard."""
    counters = Counters("edge", segments=1, exits=1)
    counters.add_degraded("link_down")
    counters.add_error("NOT_FOUND")
    exposed = {sample.name for metric in TierCollector(counters, every_gauge).collect() for sample in metric.samples}
    asked: set[str] = set()
    for panel in panels(json.loads(dashboard().read_text())):
        for target in panel.get("targets", ()):
            asked |= set(re.findall(r"offramp_\w+", target["expr"]))
    assert asked <= exposed
    stems = {re.sub("_(bucket|count|sum|created)$", "", name) for name in exposed}
    assert stems - {re.sub("_(bucket|count|sum)$", "", name) for name in asked} == set()


def every_gauge() -> Iterator[Gauge]:
    labels = {"plan_info": "plan_id", "link_bandwidth_bps": "link", "spool_rows": "state"}
    for name in GAUGES:
        label = "peer" if name.startswith("breaker") else labels.get(name, "")
        yield Gauge(name, label, "x" if label else "", 1.0)


def panels(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in body.get("panels", ()):
        yield panel
        yield from panels(panel)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse, match=str(port)):
            start_metrics(Counters("edge", 1, 1), port)


def test_nobody_to_scrape() -> None:
    with pytest.raises(LinkDown, match="no metrics there"):
        scrape("127.0.0.1", 9)
