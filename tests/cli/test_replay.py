"""``offramp replay``: what a policy would have cost, and what it refuses in one sentence."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from offramp.policies import registry
from tests.cli.support import offramp
from tests.cli.test_certify import cascade

__all__ = ["cascade"]

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
NETWORK = """
[[tiers]]
name = "device"
[[tiers]]
name = "cloud"
[[links]]
source = "device"
target = "cloud"
bandwidth_bps = 32000
rtt_s = 0.02
"""
FITTED = ("hindsight", "logistic", "gain")


@pytest.fixture(autouse=True)
def policies_of_this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of pyproject.toml, installed or not."""
    points = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["offramp.policies"]
    found = {name: EntryPoint(name, value, "offramp.policies") for name, value in points.items()}
    monkeypatch.setattr(registry, "_found", lambda: found)


@pytest.mark.parametrize("policy", FITTED)
def test_fitted_policies_cost_less_than_never_and_always(cascade: Path, policy: str) -> None:
    called = offramp("replay", cascade, "--policy", policy, "--price", "0.2", "--shuffles", "2", "--json")
    assert called.code == 0, called.err
    body = json.loads(called.out)
    cost = {one["name"]: one["cost"] for one in body["references"]}
    assert cost["oracle"] < cost["fixed"] < min(cost["never"], cost["always"])
    assert cost["oracle"] < body["cost"]["mean"] < min(cost["never"], cost["always"])
    assert body["regret"]["fixed"]["mean"] == pytest.approx(body["cost"]["mean"] - cost["fixed"])
    assert (body["rows"], body["shuffles"], body["how"]) == (2000, 2, "replayed")


def test_the_table_fits_eighty_columns(cascade: Path) -> None:
    called = offramp("replay", cascade, "--policy", "hindsight", "--price", "0.05", "--shuffles", "2")
    assert called.code == 0, called.err
    assert "regret against the best threshold" in called.out
    assert "2,000 test rows, price 0.05" in called.out
    assert max(map(len, called.out.splitlines())) <= 80


def test_as_published_the_last_exit_is_right(cascade: Path) -> None:
    options = ("--policy", "hindsight", "--price", "0.2", "--shuffles", "1", "--json")
    real, published = (json.loads(offramp("replay", cascade, *options, *more).out) for more in ((), ("--published",)))
    always = {one["name"]: one for one in published["references"]}["always"]
    assert always["cost"] == pytest.approx(0.2)
    assert always["accuracy"] == {one["name"]: one for one in real["references"]}["always"]["accuracy"] < 1.0


def test_the_price_may_come_from_a_link(cascade: Path, tmp_path: Path) -> None:
    file = tmp_path / "network.toml"
    file.write_text(NETWORK)
    options = ("--policy", "fixed", "--shuffles", "1", "--json", "--network", file, "--mistake-s")
    body = json.loads(offramp("replay", cascade, *options, "0.5").out)
    payload_s = 8 * 4 * 8 / 32_000 + 0.02  # eight float32
    assert body["price"] == pytest.approx(payload_s / 0.5)
    dear = offramp("replay", cascade, *options, "0.01")
    assert "cost less than one" in dear.err
    both: list[str | Path] = ["--price", "0.1", "--network", file, "--mistake-s", "1"]
    for wrong in (both, both[2:4], []):
        called = offramp("replay", cascade, "--policy", "fixed", *wrong)
        assert (called.code, "--network together with --mistake-s" in called.err) == (2, True)


def replayed(cascade: Path, *options: str) -> dict[str, Any]:
    called = offramp("replay", cascade, "--price", "0.2", "--shuffles", "2", "--json", *options)
    assert called.code == 0, called.err
    return dict(json.loads(called.out))


def test_computing_may_cost(cascade: Path) -> None:
    plain, charged = (replayed(cascade, "--policy", "hindsight", *more) for more in ((), ("--layer-costs", "0.03,0.1")))
    never, always = ({one["name"]: one["cost"] for one in body["references"]} for body in (plain, charged))
    assert always["never"] - never["never"] == pytest.approx(0.03)
    assert always["always"] - never["always"] == pytest.approx(0.1)
    assert charged["layer_costs"] == [0.03, 0.1]
    one = replayed(cascade, "--policy", "hindsight", "--exit", "0", "--layer-costs", "0.03,0.1")
    assert one["references"] == charged["references"]


def test_late_answers_are_mistakes_or_cost_a_price(cascade: Path) -> None:
    late = ("--policy", "fixed", "--latency-s", "0.01,0.5", "--deadline-s", "0.1")
    plain, mistakes, priced = (replayed(cascade, *one) for one in (late[:2], late, (*late, "--late-price", "0.3")))
    cost = {one["name"]: one["cost"] for one in mistakes["references"]}
    assert cost["always"] == pytest.approx(1.2)
    assert cost["never"] == {one["name"]: one["cost"] for one in plain["references"]}["never"]
    assert priced["cost"]["mean"] == pytest.approx(plain["cost"]["mean"] + 0.3 * plain["went_on"]["mean"])
    assert mistakes["deadline_s"] == 0.1


def test_labels_of_audits_are_told_and_counted(cascade: Path) -> None:
    audits = ("--policy", "guarded-gain", "--exit", "0", "--feedback", "audits", "--audit-share", "0.2")
    none, half = (replayed(cascade, *audits, "--label-share", share) for share in ("0", "0.5"))
    assert none["labelled"]["mean"] == 0.0
    answered = half["went_on"]["mean"] + half["audited"]["mean"]
    assert half["labelled"]["mean"] == pytest.approx(answered / 2, rel=0.1)
    assert (half["label_share"], half["feedback"]) == (0.5, "audits")
    table = offramp("replay", cascade, "--price", "0.2", "--shuffles", "1", *audits, "--label-share", "0.5")
    assert "told the truth of" in table.out


def test_feedback_may_come_late(cascade: Path) -> None:
    options = ("--policy", "hil-n", "--exit", "0")
    at_once, late = (replayed(cascade, *options, "--delay", delay) for delay in ("0", "500"))
    assert at_once["cost"] != late["cost"]
    assert late["delay"] == 500


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--policy", "fixd"], "unknown policy 'fixd'; did you mean 'fixed'?"),
        (["--policy", "fixed", "--price", "1"], "must lie in [0, 1)"),
        (["--policy", "fixed", "--mistake-costs", "1", "5"], "may cost differently"),
        (["--policy", "fixed", "--exit", "4"], "there is no early exit 4"),
        (["--policy", "fixed", "--split", "tune"], "replay calibrate or test rows"),
        (["--policy", "fixed", "--shuffles", "0"], "at least one shuffle"),
        (["--policy", "fixed", "--delay", "-1"], "the delay must not be below 0"),
        (["--policy", "fixed", "--audit-share", "2"], "share of audits"),
        (["--policy", "fixed", "--records", "none.parquet"], "no such records file"),
        (["--policy", "hi-lcb", "--label-share", "0.5"], "policy 'hi-lcb' hears no audits, so there are none to label"),
        (["--policy", "guarded-gain", "--label-share", "2"], "the share of labels must lie in [0, 1]"),
        (["--policy", "fixed", "--layer-costs", "0.1"], "1 numbers for the 2 exits of the cascade; give one per exit"),
        (["--policy", "fixed", "--layer-costs", "0.1,dear"], "--layer-costs takes one number per exit with commas"),
        (["--policy", "fixed", "--layer-costs", "0.3,0.1"], "layer costs add up from exit to exit and never fall"),
        (["--policy", "fixed", "--layer-costs", "nan,0.1"], "layer costs must be numbers not below 0"),
        (["--policy", "fixed", "--deadline-s", "1"], "--latency-s and --deadline-s together"),
        (["--policy", "fixed", "--latency-s", "0.1,0.2"], "--latency-s and --deadline-s together"),
        (["--policy", "fixed", "--late-price", "1"], "--late-price only with them"),
        (["--policy", "fixed", "--latency-s", "0.1,-1", "--deadline-s", "1"], "latencies must be numbers not below 0"),
        (["--policy", "fixed", "--latency-s", "0.1,0.2", "--deadline-s", "0"], "a deadline must be a positive number"),
    ],
)
def test_bad_input_is_one_sentence(cascade: Path, options: list[str], words: str) -> None:
    called = offramp("replay", cascade, "--price", "0.2", *options)
    assert called.code != 0
    assert words in called.err
    assert len(called.err.strip().splitlines()) == 1
