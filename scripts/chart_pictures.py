"""Write a picture of every chart of the sample histories, as a light and as a dark page shows it, wide and narrow.

    python scripts/chart_pictures.py FOLDER

`write_readme_pictures` makes those of the README anew.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import kaleido
import pandas as pd
import plotly.graph_objects as go

import sessionlab
from sessionlab import charts

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ZONE = "Europe/Berlin"
WIDTHS = (900, 500)
PAGES = {"light": "#ffffff", "dark": "#111111"}
MARGIN = 16  # of the page around a figure

Frames = Mapping[str, pd.DataFrame]
CHARTS: Mapping[str, Callable[[Frames], go.Figure]] = {
    "tokens_over_time": lambda f: charts.tokens_over_time(f["token_usage"], period="week", timezone=ZONE),
    "cost_over_time": lambda f: charts.cost_over_time(f["token_usage"], period="week", timezone=ZONE),
    "activity_heatmap": lambda f: charts.activity_heatmap(f["turns"], timezone=ZONE),
    "comparison": lambda f: charts.comparison(f["turns"]),
    "config_changes": lambda f: charts.config_changes(f["turns"], f["model_configs"], timezone=ZONE),
    "tool_reliability": lambda f: charts.tool_reliability(f["tool_calls"]),
    "tool_durations": lambda f: charts.tool_durations(f["tool_calls"]),
    "tool_sequences": lambda f: charts.tool_sequences(f["tool_calls"]),
    "tool_loops": lambda f: charts.tool_loops(f["tool_calls"], at_least=2, timezone=ZONE),
    "context_growth": lambda f: charts.context_growth(f["turns"], f["messages"], sessions=f["sessions"]),
    "cache_economics": lambda f: charts.cache_economics(f["turns"], f["token_usage"]),
    "time_spent": lambda f: charts.time_spent(f["turns"], f["tool_calls"], f["messages"], sessions=f["sessions"]),
    "expensive_sessions": lambda f: charts.expensive_sessions(f["sessions"], f["turns"]),
    "repeated_prompts": lambda f: charts.repeated_prompts(f["turns"], timezone=ZONE),
    "session_timeline": lambda f: charts.session_timeline(
        *(_longest_session(f, name) for name in ("turns", "tool_calls", "messages")), timezone=ZONE
    ),
}
# What the README shows, of the sample store alone.
README = ("comparison", "session_timeline")


def sample_frames(*paths: str) -> Frames:
    """Return the frames of the sample histories, or of those at `paths`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sessionlab.SessionLabWarning)
        with sessionlab.open(*(paths or (os.path.join(ROOT, "sample_data"),))) as lab:
            names = ("sessions", "turns", "messages", "tool_calls", "token_usage", "model_configs")
            return {name: lab.frame(name) for name in names}


def write_all(folder: str, names: tuple[str, ...] = ()) -> list[str]:
    """Write PNGs of the charts, or of those named, and return their paths."""
    os.makedirs(folder, exist_ok=True)
    frames = sample_frames()
    written = []
    with _chromium():
        for name in names or CHARTS:
            chart = _drawn(name, frames)
            for page in PAGES:
                for width in WIDTHS:
                    path = os.path.join(folder, f"{name}_{page}_{width}.png")
                    on_page(chart, page, width, path)
                    written.append(path)
    return written


def write_readme_pictures(folder: str = os.path.join(ROOT, "docs")) -> list[str]:
    """Write the charts that the README shows as SVG and return their paths; the same text each time."""
    frames = sample_frames(os.path.join(ROOT, "sample_data", "history.db"))
    written = []
    with _chromium():
        for name in README:
            chart = _drawn(name, frames)
            options = {"format": "svg", "width": 860, "height": chart.layout.height}
            drawn = kaleido.calc_fig_sync(chart, opts=options).decode()
            written.append(os.path.join(folder, f"{name}.svg"))
            with open(written[-1], "w", encoding="utf-8") as file:
                file.write(_same_ids(drawn))
    return written


def on_page(chart: go.Figure, page: str, width: int, path: str) -> None:
    """Write a PNG of a chart as it lies on a page: its surface lets some of the page through."""
    kaleido.write_fig_sync(_laid_on(chart, PAGES[page]), path, opts={"width": width, "height": chart.layout.height})


def _laid_on(chart: go.Figure, page: str) -> go.Figure:
    """Return a copy of a chart on the opaque surface that its own makes with the page."""
    red, green, blue, alpha = (float(part) for part in charts.template().layout.paper_bgcolor[5:-1].split(","))
    mixed = [
        round(alpha * own + (1 - alpha) * int(page[at : at + 2], 16)) for own, at in ((red, 1), (green, 3), (blue, 5))
    ]
    return go.Figure(chart).update_layout(paper_bgcolor="rgb({},{},{})".format(*mixed))


def _drawn(name: str, frames: Frames) -> go.Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sessionlab.SessionLabWarning)  # rows without a time
        return CHARTS[name](frames)


def _longest_session(frames: Frames, name: str) -> pd.DataFrame:
    """Return the rows of the session with most turns among those that have the most tool calls."""
    calls = frames["tool_calls"].groupby(["source", "session_id"]).size()
    turns = frames["turns"].groupby(["source", "session_id"]).size()
    most = (calls * turns).dropna().idxmax()
    frame = frames[name]
    return frame[[pair == most for pair in zip(frame["source"], frame["session_id"], strict=True)]]


@contextmanager
def _chromium() -> Iterator[None]:
    kaleido.start_sync_server(n=1, mathjax=False, silence_warnings=True)
    try:
        yield
    finally:
        kaleido.stop_sync_server(silence_warnings=True)


def _same_ids(svg: str) -> str:
    """Number the ids that plotly draws by chance, so that an unchanged picture is an unchanged file."""
    numbers: dict[str, str] = {}
    # Ids of clips, legends, gradients and hatches, and the classes of traces.
    pattern = r"(?<=[-\"#(])(?:clip|legend|defs-|topdefs-|g|p|cb)?[0-9a-f]{6}(?=[-\"')xy])"
    pattern += r"|(?<=trace )(?:\w+ )?trace[0-9a-f]{6}"
    return re.sub(pattern, lambda match: numbers.setdefault(match[0], f"id{len(numbers)}"), svg)


def main() -> int:
    """Write all pictures to the folder that is given."""
    if len(sys.argv) < 2:
        print("usage: python scripts/chart_pictures.py FOLDER [CHART …]", file=sys.stderr)
        return 2
    for path in write_all(sys.argv[1], tuple(sys.argv[2:])):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
