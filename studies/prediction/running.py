"""Running plans for real and noting where the time went."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import Cascade
from offramp.clock import SystemClock
from offramp.links.network import Network
from offramp.links.relay import precise_loop
from offramp.planning.plan import Plan
from offramp.runtime.answer import Answer
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster
from studies.prediction.measurement import MeasuredRun
from studies.prediction.settings import TIERS
from studies.prediction.terms import TERMS, measured_terms

__all__ = ["arriving", "one_by_one", "started"]

#: rows before those that count
WARM_ROWS = 5

Inputs = tuple[NDArray[Any], ...]


@contextmanager
def started(cascade: Cascade, plans: Sequence[Plan], network: Network, folder: Path) -> Iterator[Device]:
    """Edge, cloud and the links between them as processes, and the device in this one."""
    files = [folder / f"{plan.plan_id}.json" for plan in plans]
    for plan, file in zip(plans, files, strict=True):
        plan.save(file)
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(cascade.path, files, network))
        device = Device(
            cascade,
            plans[0],
            cluster.upstream_address,
            tier=network.tiers[0].name,
            slow_down=network.tiers[0].slow_down,
            stamped=True,
        )
        yield stack.enter_context(device)


def one_by_one(device: Device, inputs: Inputs, plan: Plan, name: str, links: str) -> MeasuredRun:
    """Every row after the answer to the one before."""
    device.switch(plan)
    rows = len(inputs[0])
    answers = [device.infer(_row(inputs, index)) for index in [*range(min(WARM_ROWS, rows)), *range(rows)]]
    return _summary(answers[-rows:], name, links)


def arriving(
    device: Device, inputs: Inputs, plan: Plan, name: str, links: str, rate_hz: float, arrival_s: NDArray[np.float64]
) -> MeasuredRun:
    """Every row at its time, whether or not others are under way."""
    device.switch(plan)
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        answers = runner.run(_arrive(device, inputs, arrival_s))
    came_s = [answer.stamps["device"].arrived_s for answer in answers if answer.stamps]
    arrival_us = tuple(round((seconds - came_s[0]) * 1e6) for seconds in came_s)
    return _summary(answers, name, links).model_copy(update={"rate_hz": rate_hz, "arrival_us": arrival_us})


async def _arrive(device: Device, inputs: Inputs, arrival_s: NDArray[np.float64]) -> list[Answer]:
    for index in range(WARM_ROWS):
        await device.infer_async(_row(inputs, index % len(inputs[0])))
    clock = SystemClock()
    begin_s = clock.now()
    under_way = []
    for index, due_s in enumerate(arrival_s.tolist()):
        await clock.sleep_async(begin_s + due_s - clock.now())
        under_way.append(asyncio.create_task(device.infer_async(_row(inputs, index))))
    return list(await asyncio.gather(*under_way))


def _row(inputs: Inputs, index: int) -> Any:
    return inputs[0][index] if len(inputs) == 1 else [array[index] for array in inputs]


def _summary(answers: Sequence[Answer], name: str, links: str) -> MeasuredRun:
    terms = [measured_terms(answer, TIERS) for answer in answers]
    return MeasuredRun(
        plan=name,
        links=links,
        exits="".join(str(answer.exit) for answer in answers),
        degraded=sum(answer.degraded is not None for answer in answers),
        latency_us=tuple(round(answer.latency_s * 1e6) for answer in answers),
        terms_s={term: round(float(np.mean([each[term] for each in terms])), 7) for term in TERMS},
    )
