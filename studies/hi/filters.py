"""Relevance filters: one of the 20 superclasses of CIFAR-100 is relevant, the rest is dropped on the device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offramp.confidence.temperature import fit_temperature
from offramp.policies.costs import Costs
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.regret import best_fixed, oracle
from offramp.policies.relevance import relevance_stream
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from offramp.records.records import load_records
from studies.cascades.superclasses import SUPERCLASS
from studies.row import StudyRow

__all__ = ["filters"]

RECORDS = Path(__file__).parents[2] / "examples" / "pair-cifar100" / "records" / "fp32.parquet"
PRICES = (0.01, 0.05, 0.1, 0.2, 0.5)
RULES = ("drop all", "send all", "theta*", "hindsight", "oracle")


def filters(file: Path = RECORDS) -> Iterator[StudyRow]:
    """Rows of the study, means over the superclasses; nothing where there are no records."""
    if not file.is_file():
        return
    records = load_records(file)
    tune = records.on("tune")
    degrees = [fit_temperature(tune.logits[index], tune.labels) for index in range(tune.exits)]
    numbers = []
    for group in range(SUPERCLASS.max() + 1):
        relevant = np.flatnonzero(group == SUPERCLASS).tolist()
        fit, test = (
            relevance_stream(records.on(part), relevant, temperatures=degrees) for part in ("calibrate", "test")
        )
        numbers.append([_numbers(fit, test, price) for price in PRICES])
    how = (
        f"replayed, mean over the 20 superclasses (5 % of the images are relevant): theta* fitted on "
        f"{len(fit):,} calibrate rows, evaluated on {len(test):,} test rows; dropping a relevant image costs 1, "
        "so does a wrong class from the large network"
    )
    means = np.mean(numbers, axis=0)
    for price, row in zip(PRICES, means, strict=True):
        where = f"relevance filter, price {price:g}"
        for rule, cost in zip(RULES, row, strict=False):
            yield StudyRow(f"{where}: cost, {rule}", None, 100 * float(cost), "per 100", how)
        sent, dropped = row[len(RULES) :]
        yield StudyRow(f"{where}: sent up", None, 100 * float(sent), "%", how)
        yield StudyRow(f"{where}: relevant dropped", None, 100 * float(dropped), "% of relevant", how)
        holds = bool(row[2] <= min(row[0], row[1]))
        kept = f"{how}; holds: theta* at most dropping all and sending all"
        yield StudyRow(
            f"{where}: theta* - best of drop all, send all",
            None,
            100 * float(row[2] - min(row[:2])),
            "per 100",
            kept,
            holds,
        )


def _numbers(fit: Stream, test: Stream, price: float) -> list[float]:
    """Costs of the rules, the share sent up, and that of the relevant dropped."""
    costs = Costs(price)
    found = replay(HindsightThreshold.start(Setting((None,), price=price, rows=fit.labelled)), test)
    stops, goes_on = costs.of_paths(test)[0]
    relevant = ~test.right[0]
    return [
        float(stops.mean()),
        float(goes_on.mean()),
        costs.account(found, test).mean,
        float(best_fixed(test, costs)[1].mean()),
        float(oracle(test, costs).mean()),
        float(found.exit.mean()),
        float((found.exit[relevant] == 0).mean()),
    ]
