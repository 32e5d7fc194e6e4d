"""The certificate: what is certified, of which rows, for which gate settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.scoring import check_gates, gate_body, gate_of_body, scoring_gates
from offramp.confidence.risks import AccuracyLoss, EarlyAccuracy
from offramp.errors import CertificateError

__all__ = ["Certificate", "CertifiedRisk"]

CertifiedRisk = AccuracyLoss | EarlyAccuracy
_RISKS: dict[str, type[AccuracyLoss] | type[EarlyAccuracy]] = {
    "accuracy_loss": AccuracyLoss,
    "early_accuracy": EarlyAccuracy,
}


@dataclass(frozen=True)
class Certificate:
    """Gate settings that all keep all ``risks``, but for a probability of ``delta`` over the calibrate rows.

    ``settings`` are thresholds, one per early exit, ``None`` is off; safest first, the first with every gate off. They
    are thresholds on the calibrated confidence, or on the scores of ``gates`` where there are any. ``reference`` is the
    variant against whose last exit accuracy is lost, where that is another than ``variant``. It speaks of gates alone,
    so it holds on any placement and any network while the samples are drawn like the calibrate rows. Anyone with the
    records can make it again: ``offramp certify --check``.

    Examples
    --------
    >>> certificate = Certificate(
    ...     cascade="digits", cascade_fingerprint="f", variant="fp32", data="digits", data_sha256="d", split_seed=0,
    ...     temperatures=(1.0, 1.0), risks=(AccuracyLoss(0.01),), delta=0.05, tune_rows=359, calibrate_rows=359,
    ...     tested=12, settings=((None,), (0.9,)))
    >>> certificate.statement().split(": ")[1]
    'shown on 359 calibrate rows of digits, for all 2 gate settings at once, on any placement and network.'
    >>> Certificate.from_json(certificate.to_json()) == certificate
    True
    """

    cascade: str
    cascade_fingerprint: str
    variant: str
    data: str
    data_sha256: str
    split_seed: int
    temperatures: tuple[float, ...]
    risks: tuple[CertifiedRisk, ...]
    delta: float
    tune_rows: int
    calibrate_rows: int
    tested: int
    settings: tuple[tuple[float | None, ...], ...]
    method: str = "fixed sequence, safest first on the tune rows; exact tests on the calibrate rows"
    schema_version: int = 1
    gates: tuple[Gate, ...] = ()
    reference: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", scoring_gates(self.gates))
        if self.gates:
            check_gates(self.gates, len(self.temperatures) - 1)

    @property
    def certificate_id(self) -> str:
        """Twelve hexadecimal digits that name its content."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """(m, E - 1); infinity is off."""
        early = len(self.temperatures) - 1
        values = [[np.inf if t is None else t for t in setting] for setting in self.settings]
        return np.array(values, np.float64).reshape(-1, early)

    def covers(self, thresholds: tuple[float | None, ...], gates: Sequence[Gate] = ()) -> bool:
        """Whether it certifies this setting of these gates; without ``gates``, of the confidence."""
        return thresholds in self.settings and scoring_gates(gates) == self.gates

    def statement(self) -> str:
        """What it says, in words."""
        what = "; and ".join(_words(self.risks))
        kinds = "".join(f"{kind} " for kind in dict.fromkeys(gate.kind for gate in self.gates))
        gates = f"{kinds}gate setting" if len(self.settings) == 1 else f"{kinds}gate settings at once"
        against = "" if self.reference is None else f" of {self.reference} by {self.variant}"
        return (
            f"With probability at least {100 * (1 - self.delta):g} %, {what}{against}: shown on "
            f"{self.calibrate_rows:,} calibrate rows of {self.data}, for all {len(self.settings)} {gates}, "
            "on any placement and network."
        )

    def to_json(self) -> str:
        """The text of a certificate file."""
        return json.dumps({"certificate_id": self.certificate_id, **self.to_dict()}, indent=1) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """In plain types; ``gates`` and ``reference`` are among the keys only where there are any."""
        body = asdict(replace(self, gates=()))
        del body["gates"]
        if self.reference is None:
            del body["reference"]
        return {**body, "gates": [gate_body(gate) for gate in self.gates]} if self.gates else body

    @classmethod
    def from_json(cls, text: str, where: str = "certificate") -> Certificate:
        """Read a certificate.

        Raises
        ------
        CertificateError : no JSON, wrong fields, a newer version, or content that was changed by hand
        """
        try:
            body: dict[str, Any] = json.loads(text)
            stored = body.pop("certificate_id")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CertificateError(f"{where}: not a certificate ({error}); run 'offramp certify' again") from error
        certificate = cls.from_dict(body, where)
        if stored != certificate.certificate_id:
            raise CertificateError(f"{where}: its content was changed after it was made; run 'offramp certify' again")
        return certificate

    @classmethod
    def from_dict(cls, body: Mapping[str, Any], where: str = "certificate") -> Certificate:
        """The certificate that `to_dict` wrote.

        Raises
        ------
        CertificateError : wrong fields, or a newer version
        """
        try:
            if int(body["schema_version"]) > 1:
                raise CertificateError(f"{where}: schema version {body['schema_version']} is newer; upgrade offramp")
            read = {
                "risks": tuple(_risk(risk) for risk in body["risks"]),
                "settings": tuple(tuple(setting) for setting in body["settings"]),
                "temperatures": tuple(body["temperatures"]),
                "gates": tuple(gate_of_body(gate) for gate in body.get("gates", ())),
            }
            return cls(**{**body, **read})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CertificateError(f"{where}: not a certificate ({error}); run 'offramp certify' again") from error


def _words(risks: tuple[CertifiedRisk, ...]) -> list[str]:
    """One sentence for each risk; those that differ in the group alone share one."""
    alike: dict[CertifiedRisk, list[CertifiedRisk]] = {}
    for risk in risks:
        alike.setdefault(replace(risk, group=None), []).append(risk)
    return [
        same[0].words() if len(same) == 1 else f"{general.words()} on each of {same[0].group} to {same[-1].group}"
        for general, same in alike.items()
    ]


def _risk(body: Mapping[str, Any]) -> CertifiedRisk:
    return _RISKS[body["kind"]](**body)
