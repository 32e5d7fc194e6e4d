"""The certified gate settings: what they lose, on the rows that certified them and on rows that did nothing."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from offramp.confidence.certificate import Certificate
from offramp.confidence.risks import AccuracyLoss
from offramp.confidence.settings import ListedSettings
from offramp.records.confidences import gate_scores
from offramp.records.records import Records
from offramp.reporting.figures.style import ACCENT, INK, MUTED, new_figure

__all__ = ["certified_figure"]


def certified_figure(certificate: Certificate, calibrate: Records, test: Records | None) -> go.Figure:
    """Share that leaves before the last exit against accuracy lost, one point per certified setting."""
    figure = new_figure(360)
    _add(figure, certificate, calibrate, "calibrate rows, which certify", {"size": 9, "color": ACCENT})
    if test is not None:
        open_ = {"size": 9, "symbol": "circle-open", "color": MUTED, "line": {"width": 2}}
        _add(figure, certificate, test, "test rows, which did nothing", open_)
    for risk in certificate.risks:
        if isinstance(risk, AccuracyLoss) and risk.group is None:
            text = f"limit at {100 * (1 - certificate.delta):g} %"
            figure.add_hline(y=100 * risk.limit, line={"color": INK, "dash": "dash"}, annotation_text=text)
    figure.update_xaxes(title="leaves before the last exit (%)", rangemode="tozero")
    figure.update_yaxes(title="accuracy lost (points)")
    return figure


def _add(figure: go.Figure, certificate: Certificate, rows: Records, name: str, marker: dict[str, object]) -> None:
    score = gate_scores(rows, certificate.temperatures, certificate.gates)
    settings = ListedSettings.of(certificate.thresholds, score, rows.correct)
    lost = float(rows.correct[-1].mean()) - settings.accuracy
    figure.add_scatter(
        x=np.round(100 * (1 - settings.share[:, -1]), 3).tolist(),
        y=np.round(100 * lost, 3).tolist(),
        customdata=[" ".join("off" if t is None else f"{t:.3f}" for t in s) for s in certificate.settings],
        mode="markers",
        marker=marker,
        name=name,
        hovertemplate="%{x:.1f} % leave early, %{y:.2f} points lost<br>thresholds %{customdata}<extra></extra>",
    )
