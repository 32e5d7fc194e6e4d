"""Text through device, edge and cloud as processes: mixed lengths, and texts nobody expected."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import OfframpError
from offramp.links.network import parse_network
from offramp.planning.plan import Plan
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster
from tests.cli.support import offramp
from tests.runtime.support import plan_of
from tests.support.texts import make_texts
from tests.support.tiny_text import make_tiny_text_cascade

pytestmark = pytest.mark.e2e

TIERS = ("device", "edge", "cloud")
NETWORK_FILE = "".join(f'[[tiers]]\nname = "{name}"\n' for name in TIERS) + "".join(
    f'[[links]]\nsource = "{one}"\ntarget = "{two}"\nbandwidth_bps = 5e7\nrtt_s = 0.002\n'
    for one, two in pairwise(TIERS)
)
NETWORK = parse_network(NETWORK_FILE)
#: empty, of 100,000 characters, in other scripts, and signs alone
ODD = ("", "film good " * 10_000, "очень хороший фильм", "とても良い映画", "🎬🎬 !!", "\x00\ufffd")


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_text_cascade(tmp_path, segments=3)


def make_plan(cascade: Cascade, placement: tuple[str, ...] = TIERS) -> tuple[Plan, Path]:
    plan = plan_of(cascade, placement, (0.8, 0.9))
    file = cascade.path.parent / f"{'-'.join(placement)}.json"
    plan.save(file)
    return plan, file


def test_three_processes_answer_odd_texts_as_one_does(cascade: Cascade, caplog: pytest.LogCaptureFixture) -> None:
    texts, _ = make_texts(40)
    column = np.array([*texts, *ODD], dtype=object)
    alone, _ = make_plan(cascade, ("device",) * 3)
    plan, file = make_plan(cascade)
    with Device(cascade, alone) as one:
        expected = one.infer_batch(column)
    caplog.clear()
    with (
        caplog.at_level(logging.WARNING),
        LocalCluster(cascade.path, [file], NETWORK) as cluster,
        Device(open_cascade(cascade.path), plan, cluster.upstream_address, deadline_s=10.0) as device,
    ):
        answers = [device.infer(text) for text in column.tolist()]
        batch = device.infer_batch(column)
    for found in (answers, batch):
        assert [answer.label for answer in found] == [answer.label for answer in expected]
        assert [answer.exit for answer in found] == [answer.exit for answer in expected]
        assert all(answer.degraded is None for answer in found)
    assert {answer.exit for answer in answers} == {0, 1, 2}
    assert sum("tokens was cut" in record.message for record in caplog.records) == 1  # said once, for the long one


def test_a_file_of_texts_runs_from_the_command_line(cascade: Cascade, tmp_path: Path) -> None:
    texts, labels = make_texts(30)
    table = tmp_path / "texts.tsv"
    table.write_text("label\ttext\n" + "".join(f"{'abc'[y]}\t{text}\n" for y, text in zip(labels, texts, strict=True)))
    (network := tmp_path / "network.toml").write_text(NETWORK_FILE)
    _, file = make_plan(cascade)
    data = f"{table}?label=label&text=text"
    ran = offramp("run", cascade.path, "--plan", file, "--network", network, "--data", data, "--spawn", "--json")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert (summary["rows"], summary["degraded_rows"]) == (30, 0)


def test_another_tokenizer_in_the_folder_is_refused(cascade: Cascade) -> None:
    file = cascade.path / "tokenizer.json"
    file.write_bytes(file.read_bytes().replace(b'"film"', b'"tilm"'))
    with pytest.raises(OfframpError, match=r"tokenizer\.json"):
        open_cascade(cascade.path)
