"""Plans announced to tiers while they run, and links tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.confidence.gates import MarginGate
from offramp.errors import ConfigError, PayloadTooLarge, PeerRefused, RecordMismatch
from offramp.planning.plan import GateSpec, Plan
from offramp.runtime.control import (
    ANNOUNCE,
    LINK_BYTES,
    PROBE,
    announce_to_all,
    announced_plan,
    announcement,
    ask,
    greet_with,
    is_control,
)
from offramp.runtime.failover import Failover
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request
from offramp.runtime.responses import parse_response
from offramp.runtime.stamps import STAMPS, Stamps
from offramp.runtime.tensors import codec_named
from offramp.runtime.tier import Tier
from offramp.runtime.upstreams import upstream_to
from tests.runtime.support import local_chain, plan_of
from tests.runtime.test_service import serving
from tests.support.tiny import make_tiny_cascade, tiny_rows

EACH = ("device", "edge", "cloud")


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def rows_request(cascade: Cascade, plan: Plan, rows: np.ndarray) -> pb.ModelInferRequest:
    specs = cascade.manifest.inputs
    codec = codec_named("raw")
    return build_request(cascade.name, 0, plan.plan_id, 5.0, codec, specs, [rows], [codec.encode(rows)])


async def connected(failover: Failover) -> Failover:
    failover.start()
    assert await failover.wait_connected(5.0)
    return failover


def client_of(cascade: Cascade, plan: Plan, address: str) -> Failover:
    here = Tier(cascade, "device", [plan])
    return Failover([upstream_to(address, here)], here.clock.now)


def test_what_is_announced_is_what_is_read(cascade: Cascade) -> None:
    plan = plan_of(cascade, EACH, (0.6, 0.8), "zstd").model_copy(
        update={"gates": (GateSpec.of(MarginGate(0.25)), GateSpec(threshold=None)), "coded": {1: "raw"}}
    )
    message = announcement(cascade.name, plan)
    assert is_control(message)
    assert announced_plan(message) == plan
    assert not is_control(pb.ModelInferRequest(model_name=cascade.name))
    message.parameters[ANNOUNCE].string_param = "{"
    with pytest.raises(ConfigError, match="the plan announced"):
        announced_plan(message)
    message.parameters[ANNOUNCE].string_param = '{"gates":' + "[" * 60000
    with pytest.raises(ConfigError, match="the plan announced"):
        announced_plan(message)
    message.parameters[ANNOUNCE].string_param = " " * 70000
    with pytest.raises(PayloadTooLarge, match="at most 65536"):
        announced_plan(message)


def test_all_tiers_learn_a_plan_and_follow_it(cascade: Cascade) -> None:
    first, other, rows = plan_of(cascade, EACH, (0.6, 0.8)), plan_of(cascade, EACH, (0.3, 0.9)), tiny_rows(20)
    with (
        serving(cascade, "cloud", first) as (cloud, at_cloud),
        serving(cascade, "edge", first, cloud) as (edge, at_edge),
    ):
        client = run_in_background(connected(client_of(cascade, first, edge)))
        try:
            with pytest.raises(PeerRefused, match=f"has no plan '{other.plan_id}'"):
                run_in_background(client.send(rows_request(cascade, other, rows), 5.0))
            run_in_background(announce_to_all(client, announcement(cascade.name, other), 5.0))
            assert at_edge.tier.knows(other.plan_id)
            assert at_cloud.tier.knows(other.plan_id)
            reply = run_in_background(client.send(rows_request(cascade, other, rows), 5.0))
            found = parse_response(reply, 20, cascade.manifest, "edge")
            assert found.exit.tolist() == [exit_index for _, exit_index, _ in local_chain(cascade, rows, (0.3, 0.9))]
            foreign = first.model_copy(update={"cascade_fingerprint": "0" * 64})
            with pytest.raises(PeerRefused, match="another build"):
                run_in_background(announce_to_all(client, announcement(cascade.name, foreign), 5.0))
            with pytest.raises(PeerRefused, match="no model"):
                run_in_background(announce_to_all(client, announcement("other", other), 5.0))
        finally:
            run_in_background(client.close())


def test_a_greeting_comes_before_all_else_on_a_new_stream(cascade: Cascade) -> None:
    first, other, rows = plan_of(cascade, EACH, (0.6, 0.8)), plan_of(cascade, EACH, (0.3, 0.9)), tiny_rows(5)
    with (
        serving(cascade, "cloud", first) as (cloud, _),
        serving(cascade, "edge", first, cloud) as (edge, _),
    ):
        client = client_of(cascade, first, edge)
        greet_with(client, lambda: [announcement(cascade.name, other)])

        async def at_once() -> pb.ModelInferResponse:
            await connected(client)
            return await client.send(rows_request(cascade, other, rows), 5.0)

        try:
            reply = run_in_background(at_once())
            found = parse_response(reply, 5, cascade.manifest, "edge")
            assert found.exit.tolist() == [exit_index for _, exit_index, _ in local_chain(cascade, rows, (0.3, 0.9))]
        finally:
            run_in_background(client.close())


def test_a_probe_is_stamped_on_its_way(cascade: Cascade) -> None:
    plan = plan_of(cascade, EACH, (0.6, 0.8))
    with (
        serving(cascade, "cloud", plan) as (cloud, _),
        serving(cascade, "edge", plan, cloud) as (edge, _),
    ):
        client = run_in_background(connected(client_of(cascade, plan, edge)))
        try:
            for hops, tiers in ((0, {"edge"}), (1, {"edge", "cloud"}), (9, {"edge", "cloud"})):
                message = pb.ModelInferRequest(model_name=cascade.name, raw_input_contents=[bytes(5000)])
                message.parameters[PROBE].bool_param = True
                message.parameters["hops"].int64_param = hops
                reply = run_in_background(ask(client, client.peers[0].upstream, message, 5.0))
                stamps = {
                    key.removeprefix(f"{STAMPS}."): Stamps.from_text(value.string_param)
                    for key, value in reply.parameters.items()
                    if key.startswith(STAMPS)
                }
                assert stamps.keys() == tiers
                if hops:
                    assert reply.parameters[f"{LINK_BYTES}.edge"].int64_param > 5000
                    within = stamps["edge"].heard_s - stamps["edge"].sent_s
                    assert stamps["cloud"].left_s - stamps["cloud"].arrived_s <= within
        finally:
            run_in_background(client.close())


def test_only_so_many_are_kept_and_those_given_always(cascade: Cascade) -> None:
    given = plan_of(cascade, EACH, (0.6, 0.8))
    tier = Tier(cascade, "edge", [given])
    tier.learned.most = 3
    plans = [plan_of(cascade, EACH, (0.01 * index, 0.9)) for index in range(5)]
    for plan in plans[:3]:
        tier.learn(plan)
    tier.route(plans[0].plan_id)  # used: the second is the oldest now
    tier.learn(plans[3])
    assert [tier.knows(plan.plan_id) for plan in plans] == [True, False, True, True, False]
    assert tier.learn(given) is tier.route(given.plan_id)
    assert len(tier.learned) == 3
    with pytest.raises(RecordMismatch, match="has no plan"):
        tier.route(plans[1].plan_id)
    tier.learned.most = 0
    with pytest.raises(ConfigError, match="takes no plans while it runs"):
        tier.learn(plans[4])
