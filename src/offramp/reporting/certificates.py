"""A certificate in words, for the terminal and the report: what its settings do."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from offramp.confidence.certificate import Certificate
from offramp.confidence.settings import ListedSettings
from offramp.records.confidences import gate_scores
from offramp.records.records import Records
from offramp.reporting.numbers import percent
from offramp.reporting.terminal import plain_table

__all__ = ["certificate_table", "certified"]

_LINES = 10


def certificate_table(certificate: Certificate, records: Records) -> Table:
    """Some certified settings, from the safest to the boldest, on ``records``: the rows that certified them."""
    score = gate_scores(records, certificate.temperatures, certificate.gates)
    settings = ListedSettings.of(certificate.thresholds, score, records.correct)
    last = records.correct[-1].mean()
    flops = records.provenance.exit_flops
    head = ["thresholds", "leave early", "accuracy lost", *(["FLOPs saved"] if flops else [])]
    table = plain_table(
        "Certified gate settings",
        head,
        caption=f"some of {len(certificate.settings)}, safest first; on the {len(records):,} certifying rows",
    )
    shown = np.unique(np.linspace(0, len(settings) - 1, _LINES).round().astype(int))
    for index in shown.tolist():
        share = settings.share[index]
        cells = [
            " ".join("off" if t is None else f"{t:.3f}" for t in certificate.settings[index]),
            percent(float(1 - share[-1])),
            f"{100 * (last - settings.accuracy[index]):+.2f} points",
        ]
        if flops:
            cells.append(percent(float(1 - share @ np.array(flops) / flops[-1])))
        table.add_row(*cells)
    return table


def certified(certificate: Certificate, calibrate: Records, test: Records | None) -> str:
    """The report's section on a certificate."""
    from offramp.reporting.figures.certified import certified_figure  # plotly is needed for reports alone
    from offramp.reporting.page import figure_html, section

    return section(
        "What is certified",
        figure_html(certified_figure(certificate, calibrate, test), "certified"),
        caption=(
            f"{certificate.statement()} How: {certificate.method}. {certificate.tested} settings were tested, chosen "
            f"on {certificate.tune_rows:,} tune rows. It holds while samples are drawn like the calibrate rows; "
            f"'offramp certify --check' makes certificate {certificate.certificate_id} again."
        ),
    )
