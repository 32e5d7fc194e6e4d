"""The HTML around the figures: one file, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from offramp.reporting.stylesheet import CSS

__all__ = ["cards", "facts", "figure_html", "page", "paragraph", "section", "table"]

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$css</style>
$script
</head>
<body>
<header><h1>$title</h1><p class="sub">$subtitle</p></header>
<main>
$body
</main>
<footer>Written by offramp. This file holds all its data and opens offline.</footer>
<script>
const plots = () => document.querySelectorAll(".js-plotly-plot");
addEventListener("beforeprint", () => plots().forEach(p => Plotly.relayout(p, {width: 680})));
addEventListener("afterprint", () => plots().forEach(p => Plotly.relayout(p, {width: null, autosize: true})));
</script>
</body>
</html>
""")


def page(title: str, subtitle: str, sections: Sequence[str]) -> str:
    """The whole document; ``title`` and ``subtitle`` are plain text, ``sections`` are HTML."""
    return _PAGE.substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        css=CSS,
        script=f"<script>{get_plotlyjs()}</script>",
        body="\n".join(sections),
    )


def section(title: str, *parts: str, caption: str = "") -> str:
    """A titled block; ``parts`` are HTML, ``title`` and ``caption`` are plain text."""
    small = paragraph(caption, "caption") if caption else ""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}{small}</section>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text.

    Examples
    --------
    >>> paragraph("a < b", "lead")
    '<p class="lead">a &lt; b</p>'
    """
    return f'<p class="{kind}">{_prose(text)}</p>' if kind else f"<p>{_prose(text)}</p>"


def _prose(text: str) -> str:
    """Escaped text in which a number stays on the line of its unit."""
    return re.sub(r"(\d) (%|ms|kB|points?|rows)(?!\w)", "\\1\N{NO-BREAK SPACE}\\2", escape(text, quote=False))


def cards(figures: Sequence[tuple[str, str, str]]) -> str:
    """Key figures: (label, value, remark) each."""
    cells = [
        f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div>'
        f'<div class="remark">{escape(remark)}</div></div>'
        for label, value, remark in figures
    ]
    return f'<div class="cards">{"".join(cells)}</div>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Sequence[int] = (0,), mark: int = -1
) -> str:
    """A table of plain text.

    Parameters
    ----------
    head : column titles
    rows : cells, one list per line
    text_columns : columns aligned left; all others hold numbers and are aligned right
    mark : the line to highlight, -1 for none
    """

    def cell(kind: str, column: int, text: str) -> str:
        side = ' class="text"' if column in text_columns else ""
        return f"<{kind}{side}>{escape(text)}</{kind}>"

    top = "".join(cell("th", column, text) for column, text in enumerate(head))
    lines = [
        ('<tr class="mark">' if number == mark else "<tr>")
        + "".join(cell("td", column, text) for column, text in enumerate(row))
        + "</tr>"
        for number, row in enumerate(rows)
    ]
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and long values, plain text."""
    lines = [f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows]
    return f'<table class="facts"><tbody>{"".join(lines)}</tbody></table>'


def figure_html(figure: go.Figure, name: str) -> str:
    """A figure as a ``<div>`` called ``name``; the page carries plotly.js once."""
    inner = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displayModeBar": False, "displaylogo": False, "responsive": True},
    )
    return f'<div class="figure">{inner}</div>'
