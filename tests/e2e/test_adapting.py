"""A link that changes while samples stream over it: real processes, real records, profiles and plans."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.cascade.store import open_cascade
from offramp.cli.watching import adaptation_for, limit_for
from offramp.data.registry import load_dataset
from offramp.links.network import Link, Network, Tier, load_network
from offramp.planning.controllers.fixed import FixedController
from offramp.planning.plan import load_plan
from offramp.records.records import load_records
from offramp.runtime.adapting import Adaptation
from offramp.runtime.audit import Audit
from offramp.runtime.device import Device
from offramp.runtime.process import ReadyProcess
from tests.cli.support import offramp
from tests.e2e.support import address_of, free_port, make_world, start_server, until
from tests.runtime.support import local_chain, plan_of
from tests.support.blobs import blobs, cascade_on
from tests.support.tiny import make_tiny_cascade, tiny_rows

pytestmark = pytest.mark.e2e

#: so slow a device that the cloud is worth asking over the usual link, and not over one of 20 kbit/s
NETWORK = """
[[tiers]]
name = "device"
slow_down = 1000
[[tiers]]
name = "cloud"
[[links]]
source = "device"
target = "cloud"
bandwidth_bps = 20e6
rtt_s = 0.002
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade with records, profiles and a plan, and the rows they were made from."""
    tmp_path, rows = tmp_path_factory.mktemp("adapting"), blobs(300)
    hand_over: tuple[NDArray[Any], ...] = rows.inputs
    for segment in make_tiny_cascade(tmp_path, segments=3).load_segments():
        hand_over, logits = segment.run_with_logits(hand_over)
    assert logits is not None
    names = np.array(rows.label_names)
    np.savez(tmp_path / "rows.npz", inputs=rows.inputs[0], labels=logits.argmax(1), label_names=names)
    (tmp_path / "network.toml").write_text(NETWORK)
    cascade_on(load_dataset(str(tmp_path / "rows.npz")), tmp_path)
    cascade, data, network = tmp_path / "tiny.cascade", tmp_path / "rows.npz", tmp_path / "network.toml"
    for command in (
        ("record", cascade, "--data", data),
        ("profile", cascade, "--network", network, "--data", data),
        ("plan", cascade, "--network", network, "--accuracy-loss", "0.02"),
    ):
        done = offramp(*command)
        assert done.code == 0, done.err
    return tmp_path


def test_the_device_leaves_a_slow_link_and_comes_back(workplace: Path) -> None:
    cascade, port = workplace / "tiny.cascade", free_port()
    opened, network = open_cascade(cascade), load_network(workplace / "network.toml")
    plan_file = cascade / "plans" / "plan.json"
    plan = load_plan(plan_file)
    rows = load_dataset(str(workplace / "rows.npz")).inputs[0]
    at_exit = [local_chain(opened, rows, gates) for gates in ((0.0, None), (None, 0.0), (None, None))]
    labels = [{row.tobytes(): said[0] for row, said in zip(rows, one, strict=True)} for one in at_exit]
    limit = limit_for(load_records(cascade / "records" / "fp32.parquet"), plan)
    trace = workplace / "trace.csv"
    steps = [f"{begin},20e6\n{begin + 3},20e3" for begin in range(0, 90, 10)]
    trace.write_text("\n".join(["time_s,bandwidth_bps", *steps, "90,20e6\n"]))
    arguments = ["--cascade", str(cascade), "--tier", "cloud", "--plan", str(plan_file), "--metrics-port", "0"]
    cloud = ReadyProcess("offramp.runtime.server", [*arguments, "--listen", "127.0.0.1:0"], "tier 'cloud'")
    relay = None
    try:
        cloud.wait_ready()
        route = f"127.0.0.1:{port},{address_of(cloud)},20e6,0.002,{trace}"
        relay = ReadyProcess("offramp.links.relay_process", ["--route", route], "the relay")
        relay.wait_ready()
        adaptation = adaptation_for(cascade, plan, network)
        audit = Audit(share=0.2, limit=limit, log=workplace / "audit.jsonl")
        asked, followed, lowest_bps = 0, [plan], 20e6
        with Device(
            opened,
            plan,
            f"127.0.0.1:{port}",
            slow_down=network.tiers[0].slow_down,
            adaptation=adaptation,
            audit=audit,
            deadline_s=10.0,
        ) as device:

            def left_and_back() -> bool:
                nonlocal asked, lowest_bps
                row, asked = rows[asked % len(rows)], asked + 1
                answer = device.infer(row)
                assert answer.degraded is None
                assert answer.label == labels[answer.exit][row.tobytes()]
                if device.plan.placement != followed[-1].placement:
                    followed.append(device.plan)
                placements = [plan.placement for plan in followed]
                assert device.adapter is not None
                lowest_bps = min(lowest_bps, *device.adapter.transfers.last_bps)
                return lowest_bps < 1e5 and len(placements) >= 3 and placements[0] == placements[-1]

            until(left_and_back, timeout_s=60.0)
            assert device.counters.rows == asked
            assert device.auditor is not None
            device.auditor.flush()
            assert device.auditor.audited + device.auditor.lost > 0
            assert device.auditor.alarm.raised_at is None
        with urllib.request.urlopen(f"http://127.0.0.1:{cloud.ready['metrics_port']}/healthz") as response:
            assert json.loads(response.read())["status"] == "ok"
    finally:
        if relay is not None:
            relay.close()
        cloud.close()
    needs = [sum(tier == "cloud" for tier in plan.placement) for plan in followed]
    assert needs[0] > min(needs)


def test_the_command_adapts_and_audits(workplace: Path) -> None:
    cascade, network, data = workplace / "tiny.cascade", workplace / "network.toml", workplace / "rows.npz"
    ran = offramp(
        "run", cascade, "--network", network, "--data", data, "--spawn", "--rows", "30", "--adapt", "--audit", "1.0",
        "--metrics-port", "0", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert said["degraded_rows"] == 0
    assert (said["audited"], said["audit_lost"]) == (30, 0)
    assert said["plan_switches"] >= 0
    assert "metrics -> http://127.0.0.1:" in ran.err
    lines = (cascade / "runs" / "plan.audit.jsonl").read_text().splitlines()
    assert len(lines) == 30
    assert {json.loads(line)["propensity"] for line in lines} == {1.0}
    refused = offramp("run", cascade, "--network", network, "--data", data, "--audit", "2")
    assert refused.code == 2
    assert "share must lie in (0, 1]" in refused.err


def test_a_tier_that_comes_back_is_told_of_the_plan_again(tmp_path: Path) -> None:
    """It was started with another plan than the device follows meanwhile."""
    world, port = make_world(tmp_path, ("device", "cloud", "cloud")), free_port()
    followed = plan_of(world.cascade, ("device", "cloud", "cloud"), (0.3, None))
    network = Network((Tier("device"), Tier("cloud")), (Link("device", "cloud", 1e8),))
    rows = tiny_rows(60)
    planned = [one[:2] for one in local_chain(world.cascade, rows, (0.3, None))]
    cloud = start_server(world, "cloud", port=port)
    try:
        adaptation = Adaptation(FixedController(followed), network, probe_s=0.1)
        with Device(world.cascade, world.plan, f"127.0.0.1:{port}", adaptation=adaptation) as device:
            until(lambda: device.plan.plan_id == followed.plan_id)
            assert [(answer.label, answer.exit) for answer in map(device.infer, rows)] == planned
            cloud.kill()
            cloud.close()
            until(lambda: not device.connected)
            cloud = start_server(world, "cloud", port=port)
            until(lambda: device.connected)
            answers = list(map(device.infer, rows))
            assert {answer.degraded for answer in answers} == {None}
            assert [(answer.label, answer.exit) for answer in answers] == planned
    finally:
        cloud.close()
