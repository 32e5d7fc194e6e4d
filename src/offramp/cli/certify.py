"""``offramp certify``: gate settings whose accuracy loss is proven."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offramp.cli.common import GateKind, console, fit_kind, print_json, records_file, say

if TYPE_CHECKING:
    from offramp.confidence.certificate import Certificate

__all__ = ["certificate_file", "certify", "load_certificate"]


def certificate_file(cascade: Path) -> Path:
    """Where a cascade's certificate is kept."""
    return cascade / "certificates" / "certificate.json"


def load_certificate(file: Path) -> Certificate:
    """Read a certificate file.

    Raises
    ------
    ConfigError : it is not there
    CertificateError : not a certificate, or changed by hand
    """
    from offramp.confidence.certificate import Certificate
    from offramp.errors import ConfigError

    try:
        text = file.read_text()
    except OSError as error:
        raise ConfigError(f"{file}: no such certificate; 'offramp certify CASCADE' makes one") from error
    return Certificate.from_json(text, str(file))


def certify(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    accuracy_loss: float | None = typer.Option(None, help="Accuracy that may be lost; default 0.01."),
    confidence: float = typer.Option(0.95, help="Probability that the statement holds."),
    early_accuracy: float | None = typer.Option(None, help="Accuracy of what the first exits decide."),
    early_exits: int = typer.Option(1, min=1, help="How many exits --early-accuracy speaks of."),
    class_loss: float | None = typer.Option(None, help="Accuracy that may be lost on every single class."),
    gate: GateKind = typer.Option("max_probability", help="What decides at an exit; fitted on half of the tune rows."),
    records: Path | None = typer.Option(None, help="Records file; default: CASCADE/records/fp32.parquet."),
    reference: Path | None = typer.Option(
        None, help="Records of the variant that losses are counted against, such as fp32 where --records are int8."
    ),
    output: Path | None = typer.Option(None, help="Certificate file; default: CASCADE/certificates/certificate.json."),
    check: bool = typer.Option(False, "--check", help="Make the stored certificate again and compare."),
    json: bool = typer.Option(False, "--json", help="Print the certificate as JSON."),
) -> None:
    """Prove what leaving early costs, for many gate settings at once.

    Tune rows choose which settings to test and in which order; calibrate rows test them.
    """
    from offramp.cascade.store import open_cascade, write_text_atomic
    from offramp.confidence.certificate import CertifiedRisk
    from offramp.confidence.risks import AccuracyLoss, EarlyAccuracy
    from offramp.records.certify import certify as certify_records
    from offramp.records.certify import check as check_records
    from offramp.records.certify import class_risks
    from offramp.records.records import load_records
    from offramp.reporting.certificates import certificate_table

    opened = open_cascade(cascade)
    evidence = load_records(records_file(cascade, records))
    evidence.require(opened.manifest.fingerprint)
    against = None if reference is None else load_records(reference)
    file = output or certificate_file(cascade)
    if check:
        found = load_certificate(file)
        check_records(found, evidence, against)
        say(found.statement())
        say(f"checked: the {len(evidence):,} records give certificate {found.certificate_id} again")
        return
    risks: list[CertifiedRisk] = []
    if early_accuracy is not None:
        risks.append(EarlyAccuracy(early_accuracy, early_exits))
    if class_loss is not None:
        risks += class_risks(evidence, class_loss)
    if accuracy_loss is not None or not risks:
        risks.insert(0, AccuracyLoss(0.01 if accuracy_loss is None else accuracy_loss))
    degrees = opened.manifest.calibration.temperatures
    gates = fit_kind(gate, evidence, degrees)
    delta = round(1 - confidence, 12)
    made = certify_records(evidence, risks, delta, temperatures=degrees, gates=gates, reference=against)
    write_text_atomic(file, made.to_json())
    if json:
        print_json({"certificate_id": made.certificate_id, "statement": made.statement(), "settings": made.settings})
        return
    say(made.statement())
    console.print(certificate_table(made, evidence.on("calibrate")))
    say(f"certificate {made.certificate_id} -> {file}")
