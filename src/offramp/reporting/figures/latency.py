"""Predicted against measured latency, one panel per run."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from offramp.planning.plan import Prediction
from offramp.reporting.figures.style import ACCENT, styled
from offramp.runtime.run_result import RunResult

__all__ = ["latency_figure", "predicted_steps"]

_PREDICTED = "#d97706"
_MOST_POINTS = 400


def latency_figure(runs: tuple[RunResult, ...]) -> go.Figure:
    """Share of the samples answered within a time, measured and predicted, for every run."""
    columns = min(2, len(runs))
    lines = -(-len(runs) // columns)
    figure = make_subplots(
        lines,
        columns,
        subplot_titles=[f"<b>{run.name}</b>" for run in runs],
        horizontal_spacing=0.08,
        vertical_spacing=0.28 / lines,
    )
    styled(figure, 90 + 250 * lines)
    right = 1.05e3 * max(_right_end_s(run) for run in runs)
    for index, run in enumerate(runs):
        where = {"row": index // columns + 1, "col": index % columns + 1}
        _add_run(figure, run, where, right, legend=index == 0)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(range=[0, right])
    figure.update_xaxes(title="latency (ms)", row=lines)
    figure.update_yaxes(range=[0, 102], ticksuffix=" %", dtick=25)
    figure.update_layout(legend={"y": 1 + 0.11 / lines}, margin={"t": 80})
    return figure


def predicted_steps(
    prediction: Prediction,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The predicted distribution as steps: seconds (m,) ascending, share answered by then (m,).

    A plan predicts one latency per exit, so the distribution is a mixture of E points.
    """
    latency_s = np.asarray(prediction.exit_latency_s)
    share = np.asarray(prediction.exit_share)
    order = np.argsort(latency_s, kind="stable")
    order = order[share[order] > 0]
    return latency_s[order], np.cumsum(share[order])


def _right_end_s(run: RunResult) -> float:
    predicted = run.plan.predicted
    used = predicted_steps(predicted)[0].max() if predicted else 0.0
    return max(run.latency_quantile_s(0.995), float(used))


def _add_run(figure: go.Figure, run: RunResult, where: dict[str, int], right: float, legend: bool) -> None:
    share = np.linspace(0, 1, min(len(run), _MOST_POINTS))
    figure.add_scatter(
        x=[*(1e3 * np.quantile(run.latency_s, share)), right],
        y=[*(100 * share), 100],
        mode="lines",
        line={"color": ACCENT, "width": 2.5},
        name=run.how,
        legendgroup="measured",
        showlegend=legend,
        hovertemplate="%{y:.0f} % within %{x:.1f} ms<extra></extra>",
        **where,
    )
    if run.plan.predicted is None:
        return
    seconds, within = predicted_steps(run.plan.predicted)
    figure.add_scatter(
        x=[0, *(1e3 * seconds), right],
        y=[0, *(100 * within), 100],
        mode="lines",
        line={"color": _PREDICTED, "width": 2, "dash": "dash", "shape": "hv"},
        name="predicted",
        legendgroup="predicted",
        showlegend=legend,
        hovertemplate="%{y:.0f} % within %{x:.1f} ms<extra></extra>",
        **where,
    )
