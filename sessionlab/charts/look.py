"""How every chart looks: one template, its colours, and the parts that all figures share.

The surface is white and lets a little of the page through. So text stands on almost white wherever the notebook is,
and on a dark page the figure does not glare. The tests compute the contrasts on both.
"""

from __future__ import annotations

import math
import re
import textwrap
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SURFACE = "rgba(255,255,255,0.9)"
TITLE = "#1b2530"
TEXT = "#384450"
SOFT_TEXT = "#4a5763"
GRID = "rgba(40,60,80,0.13)"
AXIS = "rgba(40,60,80,0.45)"

# After Okabe and Ito, moved so that each has a contrast of 3 on either page, and so that any two stay apart for
# people who see no red, green or blue (CIE76 distance of 15 and more after Machado's matrices).
COLOURS = ("#0483df", "#a54711", "#0c8f64", "#d43da0", "#b47705", "#5f40e4")
OTHER = "#5d6b78"
UNKNOWN = "#7d7d7d"
GOOD, BAD = COLOURS[0], COLOURS[1]
SCALE = ((0.0, "#d3e5f5"), (0.5, "#4c97d6"), (1.0, "#0b4a86"))

# The second channel: what tells series apart without colour.
PATTERNS = ("", "", "", "", "/", "\\")
OTHER_PATTERN, UNKNOWN_PATTERN = ".", "x"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
HEIGHT = 420
BAR = 26  # the room of one horizontal bar
_LONGEST_NAME = 160  # pixels; two of them fit beside each other in a narrow figure
_NARROW, _ROWS_LABELS = 450, 160  # pixels that a legend may use in a narrow figure, and what names on the axis take
WRAP = 72  # characters of a subtitle's line; as many as fit where a figure is 500 wide

_ENTITY = re.compile("&[^;]+;")  # several characters that are seen as one

_AXIS: dict[str, Any] = {
    "automargin": True,
    "gridcolor": GRID,
    "linecolor": AXIS,
    "zerolinecolor": AXIS,
    "zerolinewidth": 1,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": AXIS,
    "tickfont": {"size": 12, "color": TEXT},
    "title": {"font": {"size": 12, "color": SOFT_TEXT}, "standoff": 10},
    "separatethousands": True,
}

_TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": SURFACE,
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": TEXT},
        "title": {
            "font": {"size": 17, "color": TITLE},
            "subtitle": {"font": {"size": 12, "color": SOFT_TEXT}},
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 16, "l": 18},
        },
        "colorway": list(COLOURS),
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "font": {"size": 11, "color": TEXT},
            "itemsizing": "constant",
            "traceorder": "normal",
            "bgcolor": "rgba(0,0,0,0)",
        },
        "hoverlabel": {
            "align": "left",
            "bgcolor": "#ffffff",
            "bordercolor": AXIS,
            "font": {"family": FONT, "size": 12, "color": TITLE},
            "namelength": -1,
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": OTHER, "activecolor": TITLE},
        "bargap": 0.25,
        "annotationdefaults": {"font": {"size": 12, "color": TEXT}, "showarrow": False},
        "coloraxis": {"colorscale": [list(stop) for stop in SCALE]},
    },
)


def template() -> go.layout.Template:
    """Return the template of all charts, so that figures of your own can look the same.

    It is nobody's default: plotly's own templates stay as they are.

    Example:
        >>> import plotly.graph_objects as go
        >>> from sessionlab import charts
        >>> own = go.Figure(go.Bar(x=["a"], y=[1]), layout={"template": charts.template()})
        >>> own.layout.template.layout.paper_bgcolor
        'rgba(255,255,255,0.9)'
    """
    return go.layout.Template(_TEMPLATE)


def figure(title: str, subtitle: Sequence[str], *, height: int = HEIGHT, legend: bool = False) -> go.Figure:
    """Return a figure without traces: its title, and under it what is counted.

    The parts of the subtitle must be escaped. Each is a sentence without its full stop, or empty.
    """
    lines = _lines(part for part in subtitle if part)
    return go.Figure(
        layout={
            "template": _TEMPLATE,
            "title": {"text": title, "subtitle": {"text": "<br>".join(lines)}},
            "height": height + 16 * max(0, len(lines) - 1),
            "margin": {"t": 58 + 16 * len(lines), "r": 24, "b": 56, "l": 24},
            "showlegend": legend,
        }
    )


def make_room_for_legend(chart: go.Figure) -> None:
    """Give each name in the legend as much room as the longest, and the figure the height that a narrow one needs."""
    names = [_ENTITY.sub("x", trace.name or "") for trace in chart.data if trace.showlegend is not False]
    width = min(12 + 6 * max(map(len, names), default=0), _LONGEST_NAME)
    columns = max(1, int((_NARROW - (_ROWS_LABELS if chart.layout.yaxis.type == "category" else 0)) // (width + 40)))
    chart.update_layout(legend={"entrywidth": width}, height=chart.layout.height + 19 * math.ceil(len(names) / columns))


def _lines(parts: Iterable[str]) -> list[str]:
    """Lay the parts of a subtitle in lines; a part is broken only where it is longer than a line."""
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]} · {part}" if lines else part
        if lines and len(_ENTITY.sub("x", joined)) <= WRAP:
            lines[-1] = joined
        else:
            lines.extend(textwrap.wrap(part, WRAP, break_long_words=False))
    return lines


def nothing(chart: go.Figure, reason: str) -> go.Figure:
    """Say in the middle of a figure why it shows nothing, and hide its axes."""
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False)
    chart.update_layout(showlegend=False, height=240)
    chart.add_annotation(
        text="<br>".join(textwrap.wrap(f"nothing to show: {reason}", 56)),
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        font={"size": 14, "color": SOFT_TEXT},
        align="center",
    )
    return chart


def rows_height(count: int) -> int:
    """Return the height of a figure with so many horizontal bars."""
    return 150 + BAR * max(count, 2)


def lay_rows(chart: go.Figure, labels: Sequence[str]) -> None:
    """Make the y axis one of names, the first on top, each with the same room."""
    chart.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=list(labels),
        range=[max(len(labels), 2) - 0.5, -0.5],
        tickmode="array",
        tickvals=list(labels),
        ticks="",
        ticklabelstandoff=6,
        showgrid=False,
        zeroline=False,
    )


def pattern(shape: str) -> dict[str, Any]:
    """Return how a bar is hatched; an empty shape is none."""
    return {"shape": shape, "fgcolor": "rgba(255,255,255,0.75)", "fillmode": "overlay", "size": 6, "solidity": 0.25}


def bar(values: Any, axis: Sequence[str], name: str, colour: str, shape: str, said: Sequence[str]) -> go.Bar:
    """Return horizontal bars with a hover text each."""
    return go.Bar(
        x=values,
        y=list(axis),
        orientation="h",
        name=name,
        marker={"color": colour, "line": {"width": 0}, "pattern": pattern(shape)},
        text=list(said),
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )


def beside_bars(
    values: Any, axis: Sequence[str], said: Sequence[str], *, colour: str = TEXT, place: dict[str, Any] | None = None
) -> go.Scatter:
    """Return texts at the ends of bars; `place` names the axes of a panel.

    An annotation would not do: plotly takes a name of digits, such as `2026`, for a place on the axis.
    """
    return go.Scatter(
        x=values,
        y=list(axis),
        mode="text",
        text=[f" {text}" for text in said],
        textposition="middle right",
        textfont={"size": 11, "color": colour},
        showlegend=False,
        hoverinfo="skip",
        cliponaxis=False,
        **(place or {}),
    )
