"""Show real frames of the sample histories, each with the line of Python that makes it."""

from __future__ import annotations

import numbers
import os
import sys
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import sessionlab

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = "sample_data"
WIDTH = 100

QUERY = """\
select source, model, sum(tokens) as tokens, round(sum(cost_usd), 2) as cost_usd
from token_usage group by all order by tokens desc limit 8"""

SOUGHT = "release notes"

# What is shown: a heading, the call as it is written in Python, and the columns that fit.
FRAMES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "The newest sessions (times are UTC)",
        "sessions",
        {"limit": 6, "columns": ["source", "agent_name", "started_at", "turn_count", "first_prompt"]},
    ),
    (
        "The newest turns: one row per model response",
        "turns",
        {"limit": 6, "columns": ["source", "response", "request_model", "output_tokens", "cost_usd"]},
    ),
    (
        "Tool calls that did not work, with what came of them",
        "tool_calls",
        {"limit": 6, "columns": ["source", "tool_name", "status", "result"], "is_error": True},
    ),
    (
        "The model configurations that answers were given with",
        "model_configs",
        {"limit": 8, "columns": ["source", "request_model", "temperature", "reasoning_effort", "turn_count"]},
    ),
)


def main() -> int:
    """Print the frames; nothing is written anywhere."""
    os.chdir(ROOT)
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    show(console)
    console.rule("What to type next", align="left")
    binary = os.path.join(os.path.relpath(os.path.dirname(sys.executable), ROOT), "")
    for line in (
        f"{binary}sessionlab frame turns {SAMPLE} --where finish_reason=error",
        f'{binary}sessionlab sql "select agent_name, count(*) as sessions from sessions group by all" {SAMPLE}',
        f"{binary}sessionlab sources {SAMPLE}",
        f'{binary}sessionlab show "two windows" {SAMPLE}',
        f"{binary}sessionlab export {SAMPLE} --redact --format html -o build/pages",
        f"{binary}sessionlab --help",
        f"{binary}jupyter lab notebooks",
    ):
        console.print("  " + line, soft_wrap=True)
    return 0


def show(console: Console, *, leave_out: tuple[str, ...] = ()) -> None:
    """Print the frames of the sample store."""
    lab = sessionlab.open(SAMPLE)
    overview = lab.overview()
    console.rule("sessionlab: the histories of AI agents as dataframes", align="left")
    console.print(
        f"{len(overview)} invented histories of {overview['source'].nunique()} tools in {SAMPLE}/, opened together: "
        f"{overview['session_count'].sum()} sessions,\n{overview['turn_count'].sum()} model responses. "
        "Nothing leaves this machine, and the files stay as they are.\n"
    )
    console.print(f'>>> lab = sessionlab.open("{SAMPLE}")\n', style="bold")
    shown = ["source", "origin", "session_count", "turn_count", "problem_count"]
    overview["origin"] = [os.path.relpath(path, SAMPLE) for path in overview["origin"]]
    _show(console, "What was found", ">>> lab.overview()", overview[shown])
    for heading, name, asked in FRAMES:
        if name in leave_out:
            continue
        arguments = ", ".join([repr(name), *(f"{key}={value!r}" for key, value in asked.items())]).replace("'", '"')
        _show(console, heading, f">>> lab.frame({arguments})", lab.frame(name, **asked))
        if name == "tool_calls":
            found = lab.search(SOUGHT, limit=5)[["source", "session_name", "place", "snippet"]]
            _show(console, "Where something was said", f'>>> lab.search("{SOUGHT}", limit=5)', found)
            call = '>>> lab.sql("""' + QUERY.replace("\n", "\n... ") + '""").pandas()'
            _show(console, "Tokens and US dollars of each model, by SQL", call, lab.sql(QUERY).pandas())


def _show(console: Console, heading: str, call: str, frame: pd.DataFrame) -> None:
    """Print one frame below the call that made it; NULL is an empty cell."""
    console.print(heading)
    console.print(call, style="bold")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    columns = [[_cell(value) for value in frame.iloc[:, number]] for number in range(frame.shape[1])]
    for number, (name, cells) in enumerate(zip(frame.columns, columns, strict=True)):
        width = max(map(len, (name, *cells)))
        table.add_column(
            Text(name),
            justify="right" if pd.api.types.is_numeric_dtype(frame.dtypes.iloc[number]) else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=min(width, 17),
            max_width=30,
        )
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    console.print(table)
    console.print()


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if pd.isna(value):
        return ""
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M"))
    if isinstance(value, numbers.Real):
        return f"{value:,}" if isinstance(value, numbers.Integral) else f"{float(value):.3g}"
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


if __name__ == "__main__":
    sys.exit(main())
