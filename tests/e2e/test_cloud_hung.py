"""The cloud is there, accepts connections, and never answers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from offramp.runtime.device import Device
from tests.e2e.support import address_of, check_answers, make_world, start_server, until
from tests.runtime.support import local_chain
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("through_edge", [False, True])
def test_soon_nobody_waits_for_it_any_more(tmp_path: Path, through_edge: bool) -> None:
    world = make_world(tmp_path, ("device", "edge", "cloud") if through_edge else ("device", "cloud", "cloud"))
    all_rows = tiny_rows(400)
    planned = local_chain(world.cascade, all_rows, (0.6, 0.8))
    rows = all_rows[[index for index, (_, exit_index, _) in enumerate(planned) if exit_index == 2]][:40]
    cloud = start_server(world, "cloud")
    servers = [cloud]
    if through_edge:
        servers.append(start_server(world, "edge", "--upstream", address_of(cloud)))
    try:
        with Device(world.cascade, world.plan, address_of(servers[-1]), deadline_s=0.5) as device:
            until(lambda: all(answer.tier == "cloud" for answer in device.infer_batch(rows)))
            os.kill(cloud.pid, signal.SIGSTOP)
            answers = [device.infer(row) for row in rows]
            check_answers(world, rows, answers)
            reasons = [answer.degraded for answer in answers]
            assert None not in reasons
            assert reasons.count("deadline") < 20  # the rest is not sent, or known to be in vain
            assert set(reasons) <= {"deadline", "breaker_open", "link_down"}
            assert max(answer.latency_s for answer in answers) < 5.0
            if not through_edge:
                assert device.breakers[address_of(cloud)] != "closed"
            os.kill(cloud.pid, signal.SIGCONT)
            until(lambda: all(answer.tier == "cloud" for answer in device.infer_batch(rows)))
            after = list(device.infer_many(rows))
            check_answers(world, rows, after)
    finally:
        os.kill(cloud.pid, signal.SIGCONT)
        for server in reversed(servers):
            server.close()
