"""What a batch gives each request: the run it would have alone, also with gates that look back, models that restart."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.cascade.pairing import import_pair
from offramp.cascade.preprocess import Preprocess
from offramp.cascade.store import Cascade
from offramp.data.digits import load
from offramp.planning.plan import GateSpec, Plan
from offramp.planning.replay import replay_exits
from offramp.runtime.answering import Answering
from offramp.runtime.limits import Limits
from offramp.runtime.templates import Arrival
from offramp.runtime.tier import Tier, TierRun
from tests.runtime.test_gates import ask
from tests.runtime.waiting import held, request
from tests.support.gated import TIERS, Gated, make_gated
from tests.support.onnx_models import digits_net


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Gated:
    return make_gated(tmp_path_factory.mktemp("gated"))


def runs_together(cascade: Cascade, tier: str, plan: Plan, messages: list[Any], limits: Limits) -> list[TierRun]:
    """What the tier makes of requests that wait at the same time, before any of it goes on."""
    answering = Answering(Tier(cascade, tier, [plan]), limits=limits)

    async def compute() -> list[TierRun]:
        jobs: list[Any] = []
        held(answering, lambda: jobs.extend(answering.start(Arrival(message)) for message in messages))
        return [await answering.batcher.run(job.work) for job in jobs]

    try:
        return asyncio.run(compute())
    finally:
        answering.close()


@pytest.mark.parametrize("placement", [("device", "edge", "edge"), TIERS, ("device", "cloud", "cloud")])
@pytest.mark.parametrize("max_rows", [1000, 7])
def test_gates_that_look_back_see_their_own_rows(gated: Gated, placement: tuple[str, ...], max_rows: int) -> None:
    plan = gated.plan(placement)
    sizes = [5, 1, 30, 12, 40]
    (hidden,), _ = gated.cascade.segment(0).run_with_logits((gated.inputs[: sum(sizes)],))
    labels = gated.records.predictions[:1, : sum(sizes)]
    bounds = np.cumsum([0, *sizes])
    pieces = [slice(begin, end) for begin, end in itertools.pairwise(bounds.tolist())]
    messages = [ask(gated, plan.plan_id, 1, (hidden[piece],), labels[:, piece]) for piece in pieces]
    tier = Tier(gated.cascade, placement[1], [plan])
    together = runs_together(gated.cascade, placement[1], plan, messages, Limits(max_batch_rows=max_rows))
    for piece, found in zip(pieces, together, strict=True):
        alone = tier.run(tier.route(), 1, (hidden[piece],), None, labels[:, piece])
        assert found.rows.exit.tolist() == alone.rows.exit.tolist()
        assert found.rows.label.tolist() == alone.rows.label.tolist()
        np.testing.assert_allclose(found.rows.probabilities, alone.rows.probabilities, atol=1e-5)
        assert found.survivors.tolist() == alone.survivors.tolist()
        assert found.cut == alone.cut
        assert len(found.tensors) == (len(alone.tensors) if len(alone.survivors) else 0)
        for mine, theirs in zip(found.tensors, alone.tensors, strict=False):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
        if alone.earlier_labels is not None and len(alone.survivors):
            assert found.earlier_labels is not None
            np.testing.assert_array_equal(found.earlier_labels, alone.earlier_labels)
    off = plan.model_copy(update={"gates": (GateSpec(threshold=None), plan.gates[1])})
    if placement[1:] == ("cloud", "cloud"):
        exits = np.concatenate([run.rows.exit for run in together])
        assert exits.tolist() == replay_exits(off, gated.records)[: sum(sizes)].tolist()


def test_a_model_that_restarts_gets_its_own_samples(tmp_path: Path) -> None:
    raw = Preprocess(scale=1 / 16)
    small, large = digits_net(tmp_path / "small.onnx", 4), digits_net(tmp_path / "large.onnx", 32)
    cascade = import_pair(small, large, tmp_path / "pair.cascade", preprocess_small=raw, preprocess_large=raw)
    rows = load().inputs[0][:24]
    exit_confidence = cascade.segment(0).run((rows,)).confidence
    assert exit_confidence is not None
    plan = Plan(
        cascade=cascade.name,
        cascade_fingerprint=cascade.manifest.fingerprint,
        tiers=TIERS,
        placement=("cloud", "cloud"),
        gates=(GateSpec(threshold=float(np.median(exit_confidence))),),
        temperatures=(1.0, 1.0),
    )
    messages = [request(cascade, plan, piece, str(i)) for i, piece in enumerate(np.split(rows, [3, 4, 15]))]
    together = runs_together(cascade, "cloud", plan, messages, Limits(max_batch_rows=8))
    tier = Tier(cascade, "cloud", [plan])
    alone = tier.run(tier.route(), 0, (rows,))
    assert set(alone.rows.exit.tolist()) == {0, 1}
    assert np.concatenate([run.rows.exit for run in together]).tolist() == alone.rows.exit.tolist()
    np.testing.assert_allclose(
        np.concatenate([run.rows.probabilities for run in together]), alone.rows.probabilities, atol=1e-5
    )
