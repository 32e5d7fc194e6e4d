"""The accuracy-latency front, with the plan and the plans that lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from offramp.planning.plan import Plan
from offramp.planning.result import FrontPoint, SearchResult
from offramp.records.records import Records
from offramp.reporting.figures.style import ACCENT, INK, MUTED, new_figure
from offramp.reporting.goal import AXES, goal_value
from offramp.reporting.replay import replay_gates
from offramp.reporting.words import placement_text

__all__ = ["front_figure"]


@dataclass(frozen=True)
class _Point:
    """A plan in the plane."""

    name: str
    value: float
    accuracy: float


def front_figure(search: SearchResult, tune: Records | None) -> go.Figure:
    """What is minimised (mean latency by default) against accuracy: the front, the plan, runners-up, one-tier plans.

    With ``tune`` rows at hand every mark of a mean latency is replayed on them, as the front is; else the marks stand
    where their predictions put them.
    """
    figure = new_figure(440)
    title, scale = AXES[search.plan.objective.minimise]
    _add_front(figure, search.front, scale)
    rivals = [p for c in search.alternatives if (p := _place(c.name, c.plan, tune))]
    _add_marks(figure, "runner-up", rivals, {"symbol": "circle-open", "size": 10, "color": MUTED, "line": {"width": 2}})
    ends = [p for c in search.endpoints if (p := _place(c.name, c.plan, tune))]
    _add_marks(figure, "one tier", ends, {"symbol": "square", "size": 11, "color": INK}, text="top center")
    chosen = _place("the plan", search.plan, tune)
    if chosen:
        style = {"symbol": "star", "size": 20, "color": "#d97706", "line": {"width": 1, "color": "white"}}
        _add_marks(figure, "the plan", [chosen], style, text="bottom center")
    if tune is not None:
        _add_limit(figure, tune, search.plan.objective.accuracy_loss)
    figure.update_xaxes(title=title, rangemode="tozero")
    figure.update_yaxes(title="accuracy (%)")
    return figure


def _place(name: str, plan: Plan, tune: Records | None) -> _Point | None:
    value, scale = goal_value(plan), AXES[plan.objective.minimise][1]
    if plan.predicted is None or value is None:
        return None
    if tune is None or plan.objective.minimise != "latency" or tune.provenance.variant != plan.variant:
        return _Point(name, scale * value, plan.predicted.accuracy)
    outcome = replay_gates(plan, tune)
    return _Point(name, scale * outcome.mean_latency_s(plan.predicted.exit_latency_s), outcome.accuracy)


def _add_front(figure: go.Figure, front: Sequence[FrontPoint], scale: float) -> None:
    placed = [(scale * (p.mean_latency_s if p.value is None else p.value), p) for p in front]
    placed.sort(key=lambda pair: pair[0])
    figure.add_scatter(
        x=[value for value, _ in placed],
        y=[100 * p.accuracy for _, p in placed],
        customdata=[f"{placement_text(p.placement)}, {p.codec}, {p.variant}" for _, p in placed],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2, "shape": "hv"},
        marker={"size": 4, "color": ACCENT},
        name="front",
        hovertemplate="%{x:.3g}, %{y:.2f} %<br>%{customdata}<extra></extra>",
    )


def _add_marks(figure: go.Figure, name: str, points: list[_Point], marker: dict[str, object], text: str = "") -> None:
    if not points:
        return
    figure.add_scatter(
        x=[p.value for p in points],
        y=[100 * p.accuracy for p in points],
        customdata=[p.name for p in points],
        text=[p.name for p in points],
        textposition=text or None,
        mode="markers+text" if text else "markers",
        marker=marker,
        name=name,
        cliponaxis=False,
        hovertemplate="%{customdata}<br>%{x:.3g}, %{y:.2f} %<extra></extra>",
    )


def _add_limit(figure: go.Figure, tune: Records, accuracy_loss: float) -> None:
    floor = 100 * (float(tune.correct[-1].mean()) - accuracy_loss)
    figure.add_hline(
        y=floor,
        line={"color": "#b91c1c", "width": 1, "dash": "dot"},
        annotation={"text": "accuracy limit", "font": {"color": "#b91c1c", "size": 12}},
        annotation_position="bottom right",
    )
