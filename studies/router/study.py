"""What a router in front of the local model saves and costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.temperature import fit_temperature
from offramp.errors import RecordMismatch
from offramp.policies.costs import Costs
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.replay import PolicyReplay, replay
from offramp.policies.router import Router
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream, stream_of
from offramp.records.records import Records, load_records
from studies.router.features import EXAMPLES, features_of
from studies.row import StudyRow

__all__ = ["CASES", "Case", "study"]

#: of local to remote cost
RATIOS = (0.05, 0.2, 0.5)
#: of the remote path, sending and computing there, in units of one mistake
PRICES = (0.1, 0.2)
_SAME = 1e-12


@dataclass(frozen=True)
class Case:
    """The exit ``exit`` of ``near`` before the last exit of ``far``, with the features of a set."""

    name: str
    near: str
    far: str
    features: str
    exit: int = 0


CASES = (
    Case("CIFAR-10 JPEG", "resnet8-cifar10", "compact-cifar10", "cifar10"),
    Case("CIFAR-100 fine", "pair-cifar100", "pair-cifar100", "cifar100"),
    Case("SST-2, first exit", "sst2", "sst2", "sst2"),
)


def study(cases: tuple[Case, ...] = CASES, folder: Path = EXAMPLES) -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : records or features are missing, or of different rows
    """
    saved = []
    for case in cases:
        tune, test = (_stream(case, folder, part) for part in ("tune", "test"))
        for price in PRICES:
            for ratio in RATIOS:
                rows = list(_compared(case.name, tune, test, price, ratio))
                saved.append(next(row.ours for row in rows if row.name.endswith("saved by the router")))
                yield from rows
    kept = sum(share >= -100 * _SAME for share in saved)
    how = f"{len(cases)} pairs, {len(PRICES)} prices, {len(RATIOS)} ratios; holds: all of them"
    yield StudyRow("router at most the cascade", None, kept, f"of {len(saved)}", how, kept == len(saved))


def _compared(name: str, tune: Stream, test: Stream, price: float, ratio: float) -> Iterator[StudyRow]:
    local = ratio * price
    setting = Setting((None,), price=price, layer_costs=(local, local), rows=tune.labelled)
    router, cascade = Router.start(setting), HindsightThreshold.start(setting)
    costs = Costs.of_setting(setting)
    with_router, without = replay(router, test), replay(cascade, test)
    accepted = without.exit == 0
    where = f"{name}, remote {price:g}, local {ratio:g} of it"
    how = (
        f"replayed on {len(test):,} test rows; threshold and router fitted on {len(tune.truth):,} tune rows; costs in "
        "mistakes per 100 rows"
    )
    paths = costs.of_paths(test)
    known = np.where(accepted, paths[0, 0], paths[1, 1])
    rules = {
        "cascade": costs.account(without, test).mean,
        "router": costs.account(with_router, test).mean,
        "skip all": float(paths[1, 1].mean()),
        "router that knows": float(known.mean()),
    }
    for rule, cost in rules.items():
        yield StudyRow(f"{where}: cost, {rule}", None, 100 * cost, "per 100", how)
    saved = rules["cascade"] - rules["router"]
    saving = f"{how}; holds: at least 0"
    yield StudyRow(f"{where}: saved by the router", None, 100 * saved, "per 100", saving, saved >= -_SAME)
    yield StudyRow(f"{where}: skipped", None, 100 * float(with_router.begin.mean()), "%", how)
    yield StudyRow(f"{where}: accepted without router", None, 100 * float(accepted.mean()), "%", how)
    yield StudyRow(f"{where}: accuracy, router - cascade", None, _points(with_router, without), "points", how)
    assert test.features is not None
    guess = np.array([router.acceptance(row) for row in test.features])
    yield StudyRow(f"{where}: ranking of acceptance", None, _ranking(guess, accepted), "AUC", how)


def _points(one: PolicyReplay, other: PolicyReplay) -> float:
    return 100 * (one.accuracy - other.accuracy)


def _ranking(score: NDArray[np.float64], event: NDArray[np.bool_]) -> float:
    """Area under the ROC curve; one half where there is nothing to rank."""
    if event.all() or not event.any():
        return 0.5
    from scipy.stats import rankdata

    ranks = rankdata(score)
    yes = int(event.sum())
    return float((ranks[event].sum() - yes * (yes + 1) / 2) / (yes * (len(event) - yes)))


def _stream(case: Case, folder: Path, part: str) -> Stream:
    near, far = (load_records(folder / name / "records" / "fp32.parquet") for name in (case.near, case.far))
    if near.provenance.data_sha256 != far.provenance.data_sha256 or not np.array_equal(near.row, far.row):
        raise RecordMismatch(f"records of {case.near!r} and {case.far!r} are not of the same rows; record them again")
    features = features_of(case.features, near)[near.split == part]
    here, later = _one(near, case.exit, part), _one(far, far.exits - 1, part)
    assert here.runner_up is not None
    assert later.runner_up is not None
    return Stream(
        np.concatenate([here.confidence[-1:], later.confidence[-1:]]),
        np.concatenate([here.predicted[-1:], later.predicted[-1:]]),
        here.truth,
        np.concatenate([here.runner_up[-1:], later.runner_up[-1:]]),
        features=features,
    )


def _one(records: Records, exit_index: int, part: str) -> Stream:
    """One exit with its temperature fitted on the tune rows."""
    tune, rows = records.on("tune"), records.on(part)
    degrees = [1.0] * records.exits
    degrees[exit_index] = fit_temperature(tune.logits[exit_index], tune.labels)
    every = stream_of(rows, temperatures=degrees)
    assert every.runner_up is not None
    keep = slice(exit_index, exit_index + 1)
    return Stream(every.confidence[keep], every.predicted[keep], every.truth, every.runner_up[keep])
