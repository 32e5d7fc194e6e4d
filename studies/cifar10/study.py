"""ResNet-8 with early exits on CIFAR-10 (JPEG): accuracy, calibration, plan, and one threshold for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offramp.confidence.temperature import fit_temperature
from offramp.links.network import Network, load_network
from offramp.planning.costs import CostTable, cost_table
from offramp.planning.objective import Objective
from offramp.planning.replay import replay
from offramp.planning.result import SearchResult
from offramp.planning.search import search
from offramp.profiles.profile import Profile, load_profile
from offramp.records.records import Records, load_records
from offramp.reporting.calibration import calibration_of
from studies.cifar10.single_threshold import best_single_threshold
from studies.row import StudyRow

__all__ = ["study"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "cifar10"
ACCURACY_LOSS = 0.01
CONFIDENCE = 0.95
#: MLPerf Tiny's reference ResNet-8, fp32, on CIFAR-10 as its authors publish it
PUBLISHED_ACCURACY = 87.7
TOLERANCE = 1.0  # points


@dataclass(frozen=True)
class _Evidence:
    """Everything the rows are computed from."""

    records: Records
    profiles: tuple[Profile, ...]
    network: Network
    temperatures: tuple[float, ...]
    found: SearchResult

    @property
    def test(self) -> Records:
        return self.records.on("test")

    @property
    def where(self) -> str:
        return f"replayed on the {len(self.test):,} test rows of CIFAR-10 (JPEG)"

    def costs(self, codec: str) -> CostTable:
        return cost_table(self.profiles, self.network, codec, self.records.exits)


def study() -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : records are missing or belong to another cascade than the profiles
    ConfigError : a profile or the network file is missing
    """
    evidence = _load(EXAMPLE)
    yield from _accuracy(evidence)
    yield from _calibration(evidence)
    yield from _plan(evidence)
    yield from _certified(evidence)
    yield from _against_one_threshold(evidence)


def _load(folder: Path) -> _Evidence:
    records = load_records(folder / "records" / "fp32.parquet")
    network = load_network(folder / "network.toml")
    profiles = tuple(load_profile(folder / "profiles" / f"{tier}.json") for tier in network.tier_names)
    tune = records.on("tune")
    temperatures = tuple(fit_temperature(logits, tune.labels) for logits in tune.logits)
    objective = Objective(accuracy_loss=ACCURACY_LOSS)
    found = search(records, profiles, network, objective, temperatures=temperatures)
    return _Evidence(records, profiles, network, temperatures, found)


def _accuracy(evidence: _Evidence) -> Iterator[StudyRow]:
    accuracies = 100 * evidence.test.correct.mean(1)
    for name, accuracy in zip(evidence.records.exit_names[:-1], accuracies[:-1].tolist(), strict=True):
        yield StudyRow(f"test accuracy, exit {name}", None, accuracy, "%", evidence.where)
    last = float(accuracies[-1])
    yield StudyRow(
        f"test accuracy, exit {evidence.records.exit_names[-1]}",
        PUBLISHED_ACCURACY,
        last,
        "%",
        f"{evidence.where}; published: MLPerf Tiny's reference ResNet-8 on exact CIFAR-10, no exits; "
        f"holds: at most {TOLERANCE:g} point below",
        last >= PUBLISHED_ACCURACY - TOLERANCE,
    )


def _calibration(evidence: _Evidence) -> Iterator[StudyRow]:
    for exit_ in calibration_of(evidence.test, evidence.temperatures):
        before, after = 100 * exit_.ece_before, 100 * exit_.ece_after
        yield StudyRow(f"ECE as trained, exit {exit_.name}", None, before, "%", f"{evidence.where}, 15 bins")
        how = f"{evidence.where}, 15 bins, T = {exit_.temperature:.3f} fitted on the tune rows; holds: below as trained"
        yield StudyRow(f"ECE with temperature, exit {exit_.name}", None, after, "%", how, after < before)


def _plan(evidence: _Evidence) -> Iterator[StudyRow]:
    plan, test = evidence.found.plan, evidence.test
    rows = replay(plan, test, evidence.costs(plan.codec))
    how = f"{evidence.where}; plan chosen on the tune rows for a loss of at most {100 * ACCURACY_LOSS:g} point"
    share = np.bincount(rows.exit, minlength=test.exits) / len(test)
    for name, part in zip(test.exit_names, share.tolist(), strict=True):
        yield StudyRow(f"plan: leaves at exit {name}", None, 100 * part, "%", how)
    loss = 100 * float(test.correct[-1].mean() - rows.correct.mean())
    held = f"{how}; holds: the loss is kept on rows that chose nothing"
    yield StudyRow("plan: accuracy loss", None, loss, "points", held, loss <= 100 * ACCURACY_LOSS)
    mean_s = float(rows.latency_s.mean())
    yield StudyRow("plan: mean latency", None, 1e3 * mean_s, "ms", f"{how}; {' '.join(plan.placement)}, {plan.codec}")
    for end in evidence.found.endpoints:
        end_s = float(replay(end.plan, test, evidence.costs(end.plan.codec)).latency_s.mean())
        rival = f"{how}; {end.name} with its own best gates under the same limit; holds: at least 1"
        yield StudyRow(f"mean latency, {end.name} / plan", None, end_s / mean_s, "x", rival, end_s >= mean_s)


def _certified(evidence: _Evidence) -> Iterator[StudyRow]:
    goal = Objective(accuracy_loss=ACCURACY_LOSS, confidence=CONFIDENCE)
    found = search(
        evidence.records, evidence.profiles, evidence.network, goal, temperatures=evidence.temperatures, alternatives=0
    )
    rows = replay(found.plan, evidence.test, evidence.costs(found.plan.codec))
    free = replay(evidence.found.plan, evidence.test, evidence.costs(evidence.found.plan.codec))
    loss = 100 * float(evidence.test.correct[-1].mean() - rows.correct.mean())
    how = f"{evidence.where}; gates certified at {100 * CONFIDENCE:g} % on the calibrate rows"
    limit = f"{how}; holds: at most {100 * ACCURACY_LOSS:g} point"
    yield StudyRow("certified plan: accuracy loss", None, loss, "points", limit, loss <= 100 * ACCURACY_LOSS)
    mean_s = float(rows.latency_s.mean())
    yield StudyRow("certified plan: mean latency", None, 1e3 * mean_s, "ms", how)
    yield StudyRow("certified plan / plan, mean latency", None, mean_s / float(free.latency_s.mean()), "x", how)


def _against_one_threshold(evidence: _Evidence) -> Iterator[StudyRow]:
    plan, test = evidence.found.plan, evidence.test
    costs = evidence.costs(plan.codec)
    ours = replay(plan, test, costs)
    rival = best_single_threshold(evidence.records.on("tune"), costs.cost_s, ACCURACY_LOSS)
    exits = rival.exits(test)
    right = test.correct[exits, np.arange(len(test))]
    rival_s = float(costs.cost_s[rival.placement, exits].mean())
    ours_s = float(ours.latency_s.mean())
    how = (
        f"{evidence.where}; one entropy threshold for all exits, uncalibrated, as BranchyNet (Teerapittayanon et al. "
        "2016) has it, with its own best placement under the same limit on the tune rows"
    )
    last = test.exits - 1
    loss = 100 * float(test.correct[-1].mean() - right.mean())
    yield StudyRow("one threshold: leaves before the last exit", None, 100 * float((exits < last).mean()), "%", how)
    early = 100 * float((ours.exit < last).mean())
    yield StudyRow("threshold per exit: leaves before the last exit", None, early, "%", f"{evidence.where}; the plan")
    yield StudyRow("one threshold: accuracy loss", None, loss, "points", how)
    claim = f"{how}; holds: at least 1"
    yield StudyRow("mean latency, one threshold / plan", None, rival_s / ours_s, "x", claim, rival_s >= ours_s)
