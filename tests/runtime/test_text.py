"""Text through device and edge: tokenised once, on the device, at any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import SampleError
from offramp.profiles.measure import measure
from offramp.profiles.profile import TransportCost
from offramp.runtime.device import Device
from offramp.runtime.run import run
from tests.runtime.support import plan_of
from tests.runtime.test_device import edge_of
from tests.support.texts import make_texts
from tests.support.tiny import make_tiny_cascade
from tests.support.tiny_text import make_tiny_text_cascade


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_text_cascade(tmp_path)


@pytest.mark.parametrize("codec", ["raw", "zstd", "uint8"])
@pytest.mark.parametrize("first", ["device", "edge"])
def test_tiers_together_answer_as_the_device_alone(cascade: Cascade, first: str, codec: str) -> None:
    texts, labels = make_texts(10)
    column = np.array([*texts, "", "film " * 100], dtype=object)
    alone = Device(cascade, plan_of(cascade, ("device", "device"), (0.9,)))
    plan = plan_of(cascade, (first, "edge"), (0.9,), codec)
    with alone, edge_of(cascade, plan) as address, Device(cascade, plan, address) as device:
        expected = alone.infer_batch(column)
        result = run(device, column, np.append(labels, [0, 0]))
        together = device.infer_batch(column)
    assert result.answers == [answer.label for answer in expected] == [answer.label for answer in together]
    assert result.exits == [answer.exit for answer in expected]
    assert set(result.exits) == {0, 1}
    for one, other in zip(expected, together, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=0.02 if codec == "uint8" else 1e-5)


def test_a_row_of_another_kind_is_refused(cascade: Cascade, tmp_path: Path) -> None:
    plan = plan_of(cascade, ("device", "device"), (0.9,))
    with Device(cascade, plan) as device:
        with pytest.raises(SampleError, match="expected text, but found int"):
            device.infer(["film", 1])  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(SampleError, match="takes 2 inputs"):
            device.infer(np.zeros(4, np.float32))
    numbers = make_tiny_cascade(tmp_path)
    device = Device(numbers, plan_of(numbers, ("device", "device"), (0.9,)))
    with device, pytest.raises(SampleError, match="expected dtype float32"):
        device.infer("film")


def test_costs_are_measured_on_rows_of_their_own_length(cascade: Cascade) -> None:
    texts, _ = make_texts(4)
    column = np.array([*texts, "film " * 20], dtype=object)
    transport = TransportCost(hop_s=1e-4, request_overhead_bytes=0, answer_bytes=0)
    profile = measure(cascade.path, "device", transport=transport, samples=column, codecs=("raw",), budget_s=0.1)
    lengths = cascade.reader()((column,))[1].sum(1)
    sent = next(cost for cost in profile.payloads if cost.cut == 0)
    assert sent.payload_bytes == pytest.approx(float(np.mean(lengths)) * 16)
