"""A plan with a codec of its own at a cut answers live as the records made through that codec say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.planning.replay import replay_exits
from offramp.records.collect import collect
from offramp.runtime.device import Device
from tests.runtime.support import plan_of
from tests.runtime.test_device import edge_of
from tests.support.blobs import blobs, cascade_on


@pytest.mark.parametrize(("codec", "cut"), [("affine4", 1), ("uint8", 2), ("uint8", 0)])
def test_live_answers_are_those_of_the_variant(tmp_path: Path, codec: str, cut: int) -> None:
    dataset = blobs()
    cascade = cascade_on(dataset, tmp_path)
    records = collect(cascade, dataset, codec=f"{codec}@{cut}")
    placement = ("device",) * cut + ("edge",) * (3 - cut)
    plain = plan_of(cascade, placement, (0.8, 0.8), "zstd")
    plan = plain.model_copy(update={"coded": {cut: codec}})
    assert plan.plan_id != plain.plan_id
    assert plan.variant == f"fp32+{codec}@{cut}"
    assert type(plan).from_json(plan.to_json()) == plan
    taken = replay_exits(plan, records)
    with edge_of(cascade, plan) as address, Device(cascade, plan, address) as device:
        answers = [device.infer(*(array[row] for array in dataset.inputs)) for row in records.row]
    assert [answer.exit for answer in answers] == taken.tolist()
    expected = records.predictions[taken, np.arange(len(records))]
    assert [answer.label for answer in answers] == expected.tolist()
