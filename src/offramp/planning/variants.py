"""Variants to choose from: the same network in another precision, or with tensors coded at a cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.certificate import Certificate
from offramp.confidence.gates.base import Gate
from offramp.confidence.one_threshold import with_one_threshold
from offramp.confidence.settings import GateSettings, ListedSettings
from offramp.errors import CertificateError, ConfigError, RecordMismatch
from offramp.records.confidences import gate_scores
from offramp.records.fit_gates import choosing_rows
from offramp.records.records import Records
from offramp.records.variant import VariantName

__all__ = ["Variant", "as_variants", "check_variants"]


@dataclass(frozen=True)
class Variant:
    """One variant's records, and its gate settings counted on the rows that choose.

    ``held_out`` are its calibrate rows; ``reference_accuracy`` is that of the reference's last exit on the rows that
    choose: losses are counted against it.
    """

    name: VariantName
    held_out: Records
    settings: GateSettings
    reference_accuracy: float
    certificate: Certificate | None = None

    @classmethod
    def of(
        cls,
        records: Records,
        temperatures: Sequence[float],
        gates: Sequence[Gate],
        reference_accuracy: float,
        max_settings: int,
        certificate: Certificate | None = None,
    ) -> Variant:
        """Count every setting of the grid, or the members of the certificate.

        Raises
        ------
        CertificateError : the certificate is of other records, or made with other temperatures
        """
        tune = choosing_rows(records, gates)
        score = gate_scores(tune, temperatures, gates)
        if certificate is None:
            settings = with_one_threshold(GateSettings.build(score, tune.correct, max_settings), score, tune.correct)
        else:
            _check_certificate(certificate, records, tuple(temperatures))
            settings = ListedSettings.of(certificate.thresholds[::-1], score, tune.correct)
        name = VariantName.parse(records.provenance.variant)
        return cls(name, records.on("calibrate"), settings, reference_accuracy, certificate)

    def accurate(self, loss: float) -> NDArray[np.intp]:
        """The useful settings that lose at most ``loss`` accuracy against the reference's last exit."""
        return self.settings.accurate(loss - (self.reference_accuracy - self.settings.accuracy_last_exit))

    def losses(self, settings: NDArray[np.intp]) -> NDArray[np.float64]:
        """(m,) accuracy lost on the rows that choose."""
        return np.asarray(self.reference_accuracy - self.settings.accuracy[settings])


def as_variants(records: Records | Sequence[Records]) -> tuple[Records, ...]:
    """One or several records as a tuple, the reference first."""
    return (records,) if isinstance(records, Records) else tuple(records)


def check_variants(variants: Sequence[Records]) -> None:
    """Whether these are different variants of one cascade on the same rows.

    Raises
    ------
    ConfigError : there are none, or two of the same name
    RecordMismatch : another cascade, other rows, or other exits than the first
    """
    if not variants:
        raise ConfigError("planning needs records; run 'offramp record CASCADE'")
    names = [records.provenance.variant for records in variants]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two records are of variant {twice!r}; give each variant once")
    first = variants[0]
    if VariantName.parse(names[0]).coded:
        raise ConfigError(
            f"variant {names[0]!r} cannot be the reference that losses are counted against; "
            "put records without a codec first"
        )
    for records in variants[1:]:
        records.require(first.provenance.cascade_fingerprint)
        same = records.exits == first.exits and records.provenance.data_sha256 == first.provenance.data_sha256
        for split in ("tune", "calibrate"):
            same = same and np.array_equal(records.on(split).row, first.on(split).row)
        if not same:
            raise RecordMismatch(
                f"records of variant {records.provenance.variant!r} hold other rows or exits than those of "
                f"{names[0]!r}, so their losses cannot be compared; run 'offramp record' on the same data and splits"
            )


def _check_certificate(certificate: Certificate, records: Records, temperatures: tuple[float, ...]) -> None:
    source, which = records.provenance, f"certificate {certificate.certificate_id}"
    if certificate.cascade_fingerprint != source.cascade_fingerprint or certificate.variant != source.variant:
        raise CertificateError(
            f"{which} is of another build or precision of {certificate.cascade!r}; run 'offramp certify' again"
        )
    if certificate.temperatures != temperatures:
        raise CertificateError(f"{which} was made with other temperatures; run 'offramp certify' again")
