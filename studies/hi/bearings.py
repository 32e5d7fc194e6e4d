"""Bearings: the device watches a moving average, and only abnormal windows go up to be diagnosed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from offramp.policies.costs import Costs
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.replay import PolicyReplay, replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from studies.hi.vibration import SAMPLES, Windows, generate
from studies.row import StudyRow

__all__ = ["bearings"]

WINDOWS, FAULTY = 4000, 0.1
PRICES = (0.05, 0.1, 0.2, 0.5)
#: recalled, of other data: where normal operation ends
PUBLISHED_THRESHOLD_G = 0.07
_BYTES_PER_SAMPLE = 2


def bearings(windows: int = WINDOWS) -> Iterator[StudyRow]:
    """Rows of the study: a quarter of the windows trains the remote classifier, a quarter fits thresholds."""
    made = generate(windows, FAULTY)
    quarter = windows // 4
    train, fit, rest = (made.take(slice(*ends)) for ends in ((0, quarter), (quarter, 2 * quarter), (2 * quarter, None)))
    remote = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train.features, train.condition)
    rows, stream = (_stream(part, remote.predict(part.features)) for part in (fit, rest))
    faulty = stream.truth > 0
    how = (
        f"simulated: {windows:,} generated windows of {SAMPLES:,} samples, seed 0, {100 * FAULTY:g} % faulty; a "
        f"quarter trains the remote classifier, a quarter fits the threshold, {len(stream):,} windows evaluate it"
    )
    accuracy = f"{how}; spectral classifier alone"
    yield StudyRow("bearings: accuracy, always", None, 100 * float(stream.right[1].mean()), "%", accuracy)
    for price in PRICES:
        policy = HindsightThreshold.start(Setting((None,), price=price, rows=rows.labelled))
        found = replay(policy, stream)
        where = f"bearings, price {price:g}"
        threshold = policy.thresholds[0]
        limit_g = 1.0 if threshold is None else 1.0 - threshold
        yield StudyRow(f"{where}: threshold on the average", PUBLISHED_THRESHOLD_G, limit_g, "g", f"{how}; {_RECALLED}")
        yield from _outcome(where, how, price, found, stream)
        missed = 100 * float((found.exit[faulty] == 0).mean())
        yield StudyRow(f"{where}: faults missed", None, missed, "% of faulty", how)


_RECALLED = "published: recalled, of CWRU recordings; the level is that of the machine and sensor, so no comparison"


def _outcome(where: str, how: str, price: float, found: PolicyReplay, stream: Stream) -> Iterator[StudyRow]:
    costs = Costs(price)
    stops, goes_on = costs.of_paths(stream)[0]
    sent = 100 * float(found.exit.mean())
    kilobytes = float(found.exit.mean()) * SAMPLES * _BYTES_PER_SAMPLE / 1e3
    lost = 100 * float(stream.right[1].mean() - found.accuracy)
    cost = costs.account(found, stream).mean
    yield StudyRow(
        f"{where}: offloaded", None, sent, "%", f"{how}; {kilobytes:.2f} kB sent per window of 16-bit samples"
    )
    yield StudyRow(f"{where}: accuracy lost against always", None, lost, "points", how)
    for rule, each in (("never", stops), ("always", goes_on), ("oracle", np.minimum(stops, goes_on))):
        yield StudyRow(f"{where}: cost, {rule}", None, 100 * float(each.mean()), "per 100", how)
    least = min(stops.mean(), goes_on.mean())
    holds = bool(cost <= least + 1e-12)
    yield StudyRow(
        f"{where}: cost, theta*", None, 100 * cost, "per 100", f"{how}; holds: at most never and always", holds
    )


def _stream(windows: Windows, said: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Stream:
    """The device says "normal", the surer the lower the average."""
    calm = np.clip(1.0 - windows.average, 0.0, 1.0)
    confidence = np.stack([calm, np.ones_like(calm)]).astype(np.float32)
    return Stream(confidence, np.stack([np.zeros_like(said), said]), windows.condition)
