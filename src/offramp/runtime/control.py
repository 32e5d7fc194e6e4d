"""Messages about the tiers themselves: a plan is announced, a link is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from offramp.errors import ConfigError, DeadlineExceeded, LinkDown, LinkError, PayloadTooLarge
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.runtime.failover import Failover
from offramp.runtime.plain_upstream import PlainUpstream
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.upstream import Upstream

__all__ = [
    "ANNOUNCE",
    "LINK_BYTES",
    "PROBE",
    "announce_to_all",
    "announced_plan",
    "announcement",
    "ask",
    "greet_with",
    "is_control",
]

#: the parameter that brings a plan as JSON, and the one that asks for stamps and nothing else
ANNOUNCE, PROBE = "announce_plan", "probe"
#: ``link_bytes.TIER`` in a stamped response: bytes this tier sent to the next one for it, and got back
LINK_BYTES = "link_bytes"
#: the longest plan taken, in characters
MAX_PLAN = 65536


def announcement(model: str, plan: Plan) -> pb.ModelInferRequest:
    """Tells a tier of a plan, without an id: what the plan does, not what it predicts or why it was made.

    Raises
    ------
    PayloadTooLarge : its gates take more than a tier reads
    """
    text = plan.model_copy(
        update={"predicted": None, "evidence": None, "certificate": None, "objective": Objective()}
    ).model_dump_json(exclude_defaults=True)
    if len(text) > MAX_PLAN:
        raise PayloadTooLarge(f"plan {plan.plan_id} has {len(text)} characters, at most {MAX_PLAN} are announced")
    message = pb.ModelInferRequest(model_name=model)
    message.parameters[ANNOUNCE].string_param = text
    return message


def announced_plan(message: pb.ModelInferRequest) -> Plan:
    """The plan an announcement brings.

    Raises
    ------
    ConfigError : too long, or no plan
    PayloadTooLarge : longer than a tier reads
    """
    text = message.parameters[ANNOUNCE].string_param
    if len(text) > MAX_PLAN:
        raise PayloadTooLarge(f"the plan announced has {len(text)} characters, at most {MAX_PLAN} are read")
    try:
        return Plan.from_json(text, "the plan announced")
    except RecursionError as error:
        raise ConfigError("the plan announced is nested too deeply to be one") from error


def is_control(message: pb.ModelInferRequest) -> bool:
    """Whether a request is about the tier and brings no rows."""
    return not message.inputs and (ANNOUNCE in message.parameters or PROBE in message.parameters)


async def ask(
    failover: Failover, upstream: Upstream, message: pb.ModelInferRequest, timeout_s: float
) -> pb.ModelInferResponse:
    """Send a control message to one server and wait; its breaker learns nothing from that. Belongs to the loop.

    Raises
    ------
    LinkError : it did not answer in time, cannot, or will not
    """
    message.id = failover.new_id()
    waiter: asyncio.Future[pb.ModelInferResponse] = asyncio.get_running_loop().create_future()
    upstream.submit(message.id, message.SerializeToString(), waiter)
    try:
        async with asyncio.timeout(timeout_s):
            return await waiter
    except TimeoutError as error:
        raise DeadlineExceeded(f"{upstream.address}: no answer within {timeout_s:g} s") from error
    finally:
        upstream.forget(message.id)


async def announce_to_all(failover: Failover, message: pb.ModelInferRequest, timeout_s: float) -> None:
    """Tell every server of the next tier that is connected; those that connect later hear it in their greeting.

    A plain model server follows no plans, and is not told.

    Raises
    ------
    LinkError : none is connected, or not all have taken it; the error of the first that has not
    """
    upstreams = [peer.upstream for peer in failover.peers if peer.upstream.connected]
    if not upstreams:
        raise LinkDown(f"{failover.address}: no connection to the next tier")
    told = [upstream for upstream in upstreams if not isinstance(upstream, PlainUpstream)]
    copies = [pb.ModelInferRequest.FromString(message.SerializeToString()) for _ in told]
    asked = [ask(failover, upstream, copy, timeout_s) for upstream, copy in zip(told, copies, strict=True)]
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(outcome, LinkError):
            raise outcome
        if isinstance(outcome, BaseException):
            raise ConfigError(f"{failover.address}: the plan could not be announced ({outcome})") from outcome


def greet_with(failover: Failover, messages: Callable[[], Iterable[pb.ModelInferRequest]]) -> None:
    """Send these first on every new stream."""
    for peer in failover.peers:
        peer.upstream.greeting = partial(_greeting, failover, messages)


def _greeting(failover: Failover, messages: Callable[[], Iterable[pb.ModelInferRequest]]) -> list[tuple[str, bytes]]:
    found = []
    for message in messages():
        message.id = failover.new_id()
        found.append((message.id, bytes(message.SerializeToString())))
    return found
