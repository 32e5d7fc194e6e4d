"""``offramp run`` without a link, and with it back: the spool and its late answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.support import offramp
from tests.e2e.support import address_of, make_world, start_server
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e

NETWORK = """
[[tiers]]
name = "device"
[[tiers]]
name = "edge"
[[tiers]]
name = "cloud"
address = "{address}"
[[links]]
source = "device"
target = "edge"
bandwidth_bps = 1e7
[[links]]
source = "edge"
target = "cloud"
bandwidth_bps = 1e7
"""


def test_what_cannot_be_delivered_is_kept_and_answered_by_a_later_run(tmp_path: Path) -> None:
    world = make_world(tmp_path, ("device", "edge", "edge"))
    rows, labels = tiny_rows(40), np.zeros(40, np.int64)
    np.savez(tmp_path / "rows.npz", inputs=rows, labels=labels)
    network, spool = tmp_path / "network.toml", tmp_path / "spool"
    network.write_text(
        NETWORK.format(address="127.0.0.1:10").replace(
            'name = "edge"', 'name = "edge"\naddress = "127.0.0.1:9, 127.0.0.1:11"'
        )
    )
    options = ("--plan", world.plan_file, "--network", network, "--data", tmp_path / "rows.npz", "--spool", spool)
    ran = offramp("run", world.cascade.path, *options, "--json")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert summary["degraded_rows"] == summary["spool_stored"] == summary["spool_waiting"] > 5
    full = offramp("run", world.cascade.path, *options, "--spool-mb", "0.001")
    assert f"0 kept, 0 delivered, {summary['degraded_rows']} lost" in full.out + full.err
    edge = start_server(world, "edge")
    try:
        network.write_text(network.read_text().replace("127.0.0.1:9,", f"127.0.0.1:9, {address_of(edge)},"))
        again = json.loads(offramp("run", world.cascade.path, *options, "--deliver-s", "60", "--json").out)
        assert (again["degraded_rows"], again["spool_lost"], again["spool_waiting"]) == (0, 0, 0)
    finally:
        edge.close()
    late = [json.loads(line) for line in (spool / "late-answers.jsonl").read_text().splitlines()]
    assert len(late) == again["spool_delivered"] == summary["spool_stored"]
    assert {line["late"]["tier"] for line in late} == {"edge"}
    assert {line["reason"] for line in late} == {"link_down"}
    assert {line["device"]["exit"] for line in late} == {0}
