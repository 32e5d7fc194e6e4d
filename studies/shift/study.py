"""Blurred and noisy images: what the device answers, confidently and wrongly, what stops it, and what notices it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offramp.errors import RecordMismatch
from studies.row import StudyRow
from studies.shift.audits import AUDITS, DELTA, Audit, detection, false_alarms, safe_limit
from studies.shift.deciders import DECIDERS, KEEP, TARGET, Confidence, Outcome, fit_deciders, kind_of, outcome
from studies.shift.evidence import EXAMPLES, Evidence, load_cases
from studies.shift.reopening import AUDITED, reopen

__all__ = ["study"]

AUDIT_RATE = 0.02
LEAST = 0.01  # share decided
#: (overall accuracy, share decided on the edge) in % at p_tar .8: MobileNetV2 on Caltech-256, the authors' result files
PUBLISHED = {
    ("plain", "none"): (81.48, 54.1),
    ("plain", "noise10"): (30.40, 24.6),
    ("plain", "noise20"): (8.54, 15.2),
    ("plain", "noise40"): (0.88, 26.8),
    ("experts per kind", "noise10"): (65.38, 28.7),
    ("experts per kind", "noise20"): (53.89, 18.1),
    ("experts per kind", "noise40"): (25.13, 2.0),
}


def study(
    examples: Path = EXAMPLES, streams: int = 10_000, length: int = 2_000, repeats: int = 200
) -> Iterator[StudyRow]:
    """Every row of the study.

    Parameters
    ----------
    streams, length : clean streams of audits, and audits in each; half of these stand before a change, twice after it
    repeats : draws of the rows audited after an alarm

    Raises
    ------
    RecordMismatch : no cascade has shift records, or the spectra are missing
    """
    skipped, found = [], 0
    for evidence in load_cases(examples):
        if isinstance(evidence, str):
            skipped.append(evidence)
            continue
        found += 1
        plain = fit_deciders(evidence.tune)["plain"]
        yield from _decided(evidence)
        yield from _noticed(evidence, plain, streams, length)
        yield from _reopened(evidence, plain, repeats)
    if not found:
        raise RecordMismatch(f"{examples}: no cascade has shift records: {'; '.join(skipped)}")
    yield StudyRow("cascades skipped", None, len(skipped), "", "; ".join(skipped) or "all are there")


def _decided(evidence: Evidence) -> Iterator[StudyRow]:
    outcomes: dict[tuple[str, str], Outcome] = {}
    fitted = {kind: fit_deciders(evidence.tune, kind) for kind in map(kind_of, evidence.test)}
    for level, rows in evidence.test.items():
        how = (
            f"replayed on {len(rows.labels):,} test rows of CIFAR-10 (JPEG); threshold {TARGET:g} on the confidence; "
            "published: MobileNetV2 on Caltech-256, expert branches instead of temperatures"
        )
        for name, confidence in fitted[kind_of(level)].items():
            result = outcomes[name, level] = outcome(confidence(rows), rows)
            title = f"{evidence.name}, {level}, {name}"
            accuracy, decided = PUBLISHED.get((name, level), (None, None))
            yield StudyRow(f"{title}: accuracy of all answers", accuracy, 100 * result.accuracy, "%", how)
            yield StudyRow(f"{title}: decided on the device", decided, 100 * result.decided, "%", how)
            if result.device_accuracy is not None:
                yield StudyRow(f"{title}: accuracy of these", None, 100 * result.device_accuracy, "%", how)
            yield StudyRow(f"{title}: confident and wrong", None, 100 * result.wrong, "%", how)
    yield from _acceptance(evidence.name, outcomes, len(evidence.test["none"].labels))


def _acceptance(case: str, outcomes: dict[tuple[str, str], Outcome], rows: int) -> Iterator[StudyRow]:
    clean = outcomes["plain", "none"].wrong
    rng = np.random.default_rng(2)
    for name in DECIDERS:
        worst = max(
            result.wrong for (decider, level), result in outcomes.items() if decider == name and level != "none"
        )
        title = f"{case}, worst shift, {name}: confident and wrong"
        low, high = np.quantile(rng.binomial(rows, worst, 1000) / rows, (0.05, 0.95))
        how = (
            f"worst of the shifted levels, 5-95 % over 1,000 bootstrap draws of its rows {100 * low:.2f}-"
            f"{100 * high:.2f} %; clean images without a guard: {100 * clean:.2f} %; guards keep {100 * KEEP:g} %"
        )
        if name == "plain":
            claim = f"{how}; holds: the published effect, at least 3 times that of clean images"
            yield StudyRow(title, None, 100 * worst, "%", claim, worst >= 3 * clean)
        elif name in ("spectrum guard", "the same, kind unseen"):
            claim = f"{how}; holds: no more than on clean images without a guard"
            yield StudyRow(title, None, 100 * worst, "%", claim, worst <= clean)
        else:
            yield StudyRow(title, None, 100 * worst, "%", how)
    yield from _least_accuracy(case, outcomes)


def _least_accuracy(case: str, outcomes: dict[tuple[str, str], Outcome]) -> Iterator[StudyRow]:
    """Of the answers decided on the device, where it decides enough of them to speak of an accuracy."""
    how = f"lowest of all levels where the device decides at least {100 * LEAST:g} % of the samples"
    for name in DECIDERS:
        found = [result for (decider, _), result in outcomes.items() if decider == name and result.decided >= LEAST]
        if not found:
            continue
        least = min(1.0 - result.wrong / result.decided for result in found)
        title = f"{case}, worst level, {name}: accuracy of what the device decides"
        if name == "experts per level + none of these":
            claim = f"{how}; holds: at least the threshold, {100 * TARGET:g} %"
            yield StudyRow(title, None, 100 * least, "%", claim, least >= TARGET)
        else:
            yield StudyRow(title, None, 100 * least, "%", how)


def _noticed(evidence: Evidence, plain: Confidence, streams: int, length: int) -> Iterator[StudyRow]:
    rng = np.random.default_rng(0)
    for audit in AUDITS:
        clean = audit.of(plain(evidence.test["none"]), evidence.test["none"], TARGET)
        limit = safe_limit(audit.of(plain(evidence.calibrate), evidence.calibrate, TARGET), audit.low)
        title = f"{evidence.name}, alarm on '{audit.name}'"
        hardest = float(clean.mean())
        for what, tolerated in (("the clean mean itself", hardest), ("shown by calibrate rows", limit)):
            if audit.low < tolerated < 1:
                rate = false_alarms(clean, tolerated, audit.low, streams, length, rng)
                how = (
                    f"simulated: {streams:,} streams of {length:,} clean audits drawn with replacement from test rows, "
                    f"Monte-Carlo error {100 * math.sqrt(DELTA * (1 - DELTA) / streams):.2f} points; holds: at most "
                    f"delta = {100 * DELTA:g} %"
                )
                name = f"{title}, limit {100 * tolerated:.2f} % ({what}): false alarms"
                yield StudyRow(name, None, 100 * rate, "%", how, rate <= DELTA)
        yield from _delays(evidence, plain, audit, limit, max(100, streams // 20), length, rng)


def _delays(
    evidence: Evidence,
    plain: Confidence,
    audit: Audit,
    limit: float,
    streams: int,
    length: int,
    rng: np.random.Generator,
) -> Iterator[StudyRow]:
    clean = audit.of(plain(evidence.test["none"]), evidence.test["none"], TARGET)
    how = (
        f"simulated: {streams:,} streams, {length // 2:,} clean audits, then up to {2 * length:,} of the shifted rows; "
        f"limit {100 * limit:.2f} %; {100 * AUDIT_RATE:g} % of the device's answers are audited; "
        "no delay is printed where half of the streams raise no alarm"
    )
    for level, rows in evidence.test.items():
        if level == "none":
            continue
        confidence = plain(rows)
        losses = audit.of(confidence, rows, TARGET)
        found = detection(clean, losses, length // 2, limit, audit.low, streams, 2 * length, rng)
        title = f"{evidence.name}, alarm on '{audit.name}', {level}"
        yield StudyRow(f"{title}: mean audited loss", None, 100 * float(losses.mean()), "%", how)
        yield StudyRow(f"{title}: streams that raise it", None, 100 * found.found, "%", how)
        if math.isfinite(found.median_delay):
            served = found.median_delay / (AUDIT_RATE * float((confidence >= TARGET).any(0).mean()))
            yield StudyRow(f"{title}: median delay", None, found.median_delay, "audits", how)
            yield StudyRow(f"{title}: median delay in samples served", None, served, "samples", how)


def _reopened(evidence: Evidence, plain: Confidence, repeats: int) -> Iterator[StudyRow]:
    rng = np.random.default_rng(1)
    how = (
        f"replayed: a new threshold for the last exit on the device from {AUDITED:,} audited rows, limit "
        f"{100 * (1 - TARGET):g} % wrong at delta = {100 * DELTA:g} %; median of {repeats} draws with replacement"
    )
    worst = 0.0
    for level, rows in evidence.test.items():
        found = reopen(plain(rows)[-1], ~rows.right[-1], 1 - TARGET, repeats, rng)
        worst = max(worst, found.broken)
        title = f"{evidence.name}, {level}, recertified after the alarm: decided on the device"
        yield StudyRow(title, None, 100 * found.decided, "%", how)
    most = DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / repeats)
    claim = f"{how}; worst level; holds: at most delta + 3 Monte-Carlo errors = {100 * most:.1f} %"
    title = f"{evidence.name}, recertified after the alarm: draws that break the limit"
    yield StudyRow(title, None, 100 * worst, "%", claim, worst <= most)
