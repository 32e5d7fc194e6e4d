"""A certificate from records: order on tune rows, test on calibrate rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.bounds.binomial import clopper_pearson_upper
from offramp.confidence.bounds.signed import signed_upper
from offramp.confidence.certificate import Certificate, CertifiedRisk
from offramp.confidence.certify import SettingOrder, accept_in_order, order_settings
from offramp.confidence.counting import ListCounter
from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.scoring import check_gates, scoring_gates
from offramp.confidence.risks import AccuracyLoss, EarlyAccuracy, Evidence, Measured
from offramp.errors import CertificateError, ConfigError, NotEnoughSamples, RecordMismatch, SampleError
from offramp.records.confidences import gate_scores
from offramp.records.fit_gates import choosing_rows
from offramp.records.records import Records

__all__ = ["certify", "check", "class_risks", "evidence_of"]


def certify(
    records: Records,
    risks: Sequence[CertifiedRisk],
    delta: float = 0.05,
    *,
    temperatures: Sequence[float] | None = None,
    tune: Records | None = None,
    gates: Sequence[Gate] | None = None,
    reference: Records | None = None,
) -> Certificate:
    """Gate settings that keep all ``risks`` with probability at least 1 - ``delta``.

    Parameters
    ----------
    records : their calibrate rows certify, and nothing else may have been chosen by them
    risks : what must hold, all of it
    delta : probability that any certified setting breaks a limit
    temperatures : (E,) of the exits, default 1.0; fitted on tune rows
    tune : rows that choose the order of the tests; default the tune rows of ``records``, without those that
        `fit_gates` fits on where ``gates`` were fitted
    gates : whose scores the settings are thresholds on, one per early exit; default the calibrated confidence
    reference : the same rows of the variant against whose last exit accuracy is lost, such as fp32 where ``records``
        are int8; default ``records``. Then "never leave early" has to be shown as well

    Raises
    ------
    RecordMismatch : the reference holds other rows
    NotEnoughSamples : too few calibrate rows for these limits, or nothing but "never leave early" can be certified
    CertificateError : rows that choose also certify
    SampleError : logits that are NaN or infinite
    """
    calibrate = records.on("calibrate")
    if gates:
        check_gates(gates, records.exits - 1)
    choosing = choosing_rows(records, gates) if tune is None else tune
    _check_rows(choosing, calibrate)
    degrees = (1.0,) * records.exits if temperatures is None else tuple(float(t) for t in temperatures)
    if len(degrees) != records.exits:
        raise ConfigError(f"{len(degrees)} temperatures for {records.exits} exits; run 'offramp calibrate' again")
    _check_enough(calibrate, risks, delta)
    against = None if reference is None or reference is records else reference
    from_tune = evidence_of(choosing, degrees, gates, against)
    shown = evidence_of(calibrate, degrees, gates, against)
    order = order_settings(from_tune, risks, delta, _rows(shown, risks))
    certified = accept_in_order(order, shown, risks, delta)
    trivial = 0 if against is not None else 1
    if certified.accepted.sum() == trivial and len(order.thresholds) > trivial:
        raise NotEnoughSamples(_nothing(order, shown, risks, delta))
    source = records.provenance
    kept = certified.thresholds[certified.accepted].tolist()
    return Certificate(
        cascade=source.cascade,
        cascade_fingerprint=source.cascade_fingerprint,
        variant=source.variant,
        data=source.data,
        data_sha256=source.data_sha256,
        split_seed=source.split_seed,
        temperatures=degrees,
        risks=tuple(risks),
        delta=delta,
        tune_rows=len(choosing),
        calibrate_rows=len(calibrate),
        tested=len(order.thresholds),
        settings=tuple(tuple(None if np.isinf(t) else t for t in setting) for setting in kept),
        gates=scoring_gates(gates),
        reference=None if against is None else against.provenance.variant,
    )


def check(certificate: Certificate, records: Records, reference: Records | None = None) -> None:
    """Make the certificate again from its records.

    Parameters
    ----------
    reference : records of the variant that accuracy is lost against, where the certificate names one

    Raises
    ------
    CertificateError : the records are not those it was made from, or do not give it
    """
    named = None if reference is None else reference.provenance.variant
    if certificate.reference != named:
        raise CertificateError(
            f"certificate {certificate.certificate_id} counts losses against "
            f"{certificate.reference or 'its own last exit'}, not against {named or 'its own last exit'}; "
            "give the records of that variant as the reference"
        )
    source = records.provenance
    for name, found in (
        ("cascade_fingerprint", source.cascade_fingerprint),
        ("variant", source.variant),
        ("data_sha256", source.data_sha256),
        ("split_seed", source.split_seed),
    ):
        if getattr(certificate, name) != found:
            raise CertificateError(
                f"certificate {certificate.certificate_id} was made from other records: its {name} is "
                f"{getattr(certificate, name)}, theirs is {found}"
            )
    again = certify(
        records,
        certificate.risks,
        certificate.delta,
        temperatures=certificate.temperatures,
        gates=certificate.gates,
        reference=reference,
    )
    if again.settings != certificate.settings:
        raise CertificateError(
            f"certificate {certificate.certificate_id} does not follow from these records: they certify "
            f"{len(again.settings)} gate settings, it claims {len(certificate.settings)}"
        )


def class_risks(records: Records, limit: float) -> list[AccuracyLoss]:
    """One risk per class: at most ``limit`` of its accuracy lost.

    Raises
    ------
    NotEnoughSamples : a class has no calibrate row
    """
    present = np.bincount(records.on("calibrate").labels, minlength=records.classes)
    if (absent := np.flatnonzero(present == 0)).size:
        raise NotEnoughSamples(
            f"no calibrate row is of class {', '.join(map(str, absent[:8].tolist()))}: nothing can be certified of it; "
            "record more rows or leave the classes out"
        )
    return [AccuracyLoss(limit, group=f"class {label}") for label in range(records.classes)]


def evidence_of(
    records: Records,
    temperatures: Sequence[float],
    gates: Sequence[Gate] | None = None,
    reference: Records | None = None,
) -> Evidence:
    """Scores of the early exits (default: their confidence), who is right, and the classes as groups.

    Parameters
    ----------
    reference : records of another variant that hold these rows; losses are counted against its last exit

    Raises
    ------
    RecordMismatch : the reference lacks some of the rows
    """
    against = None if reference is None else _same_rows(reference, records)
    return Evidence(gate_scores(records, temperatures, gates), records.correct, _classes(records), against)


def _same_rows(reference: Records, records: Records) -> NDArray[np.bool_]:
    """(n,) whether the last exit of the reference is right on the rows of ``records``."""
    where = {row: index for index, row in enumerate(reference.row.tolist())}
    at = [where.get(row, -1) for row in records.row.tolist()]
    same = reference.provenance.data_sha256 == records.provenance.data_sha256
    if not same or -1 in at or reference.provenance.cascade_fingerprint != records.provenance.cascade_fingerprint:
        raise RecordMismatch(
            f"records of variant {reference.provenance.variant!r} lack rows of those of "
            f"{records.provenance.variant!r}, or are of other data or another cascade, so no loss can be counted; "
            "run 'offramp record' on the same data and splits"
        )
    return np.asarray(reference.correct[-1, at])


def _classes(records: Records) -> NDArray[np.str_]:
    return np.char.add("class ", records.labels.astype(str))


def _check_rows(tune: Records, calibrate: Records) -> None:
    same = tune.provenance.data_sha256 == calibrate.provenance.data_sha256
    both = np.intersect1d(tune.row, calibrate.row) if same else np.empty(0, np.int64)
    if both.size:
        named = ", ".join(map(str, both[:5].tolist()))
        raise CertificateError(
            f"{both.size} rows would both choose and certify (rows {named}{', ...' if both.size > 5 else ''} of "
            f"{calibrate.provenance.data!r}); a certificate needs rows that chose nothing"
        )
    for records in (tune, calibrate):
        if not np.isfinite(records.logits).all():
            bad = np.flatnonzero(~np.isfinite(records.logits).all((0, 2)))
            raise SampleError(
                f"records of {records.provenance.cascade!r}: the logits of row {records.row[bad[0]]} hold NaN or "
                f"infinity ({bad.size} such rows); run 'offramp record' again"
            )


def _rows(calibrate: Evidence, risks: Sequence[CertifiedRisk]) -> int:
    return min(int(calibrate.members(risk.group).sum()) for risk in risks)


def _check_enough(calibrate: Records, risks: Sequence[CertifiedRisk], delta: float) -> None:
    for risk in risks:
        rows = len(calibrate) if risk.group is None else int((_classes(calibrate) == risk.group).sum())
        if rows < (needed := risk.rows_needed(delta)):
            raise NotEnoughSamples(
                f"to certify at {100 * (1 - delta):g} % that {risk.words()} takes at least {needed:,} "
                f"calibrate rows{_of(risk)}, but there are {rows:,}; record more, or allow more"
            )


def _nothing(order: SettingOrder, shown: Evidence, risks: Sequence[CertifiedRisk], delta: float) -> str:
    """Why only the fallback holds, or not even that, and the best that could be certified instead."""
    first = 1 if shown.reference is None else 0
    listed = ListCounter.of(order.thresholds[first:], shown.score)
    parts = []
    for risk in risks:
        measured = risk.measure(listed, shown)
        if isinstance(risk, EarlyAccuracy):
            bound = 1.0 - clopper_pearson_upper(measured.bad, measured.of, delta)
            highest = math.floor(1e4 * bound[measured.of > 0].max(initial=0)) / 1e4
            parts.append(f"the highest accuracy of the first exits they can show is {highest:g}")
        else:
            parts.append(f"the least accuracy loss they can show{_of(risk)} is {_least(measured, delta):g}")
    return (
        f"{shown.rows:,} calibrate rows certify nothing{' but never leaving early' if first else ''} at "
        f"{100 * (1 - delta):g} %: "
        f"{'; '.join(parts)}; allow that much, or record more rows"
    )


def _least(measured: Measured, delta: float) -> float:
    bad, good, rows = measured.bad, measured.good, int(measured.of[0])
    best = int((bad - good + 2 * np.sqrt(bad + good)).argmin())
    truncated = float(clopper_pearson_upper(bad, rows, delta).min())
    return math.ceil(1e4 * min(truncated, signed_upper(int(bad[best]), int(good[best]), rows, delta))) / 1e4


def _of(risk: CertifiedRisk) -> str:
    return "" if risk.group is None else f" of {risk.group}"
