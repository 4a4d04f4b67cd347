"""Awkward frames to draw, and how each chart draws them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab import charts
from sessionlab.lab.frames import FRAMES, empty

if TYPE_CHECKING:
    from collections.abc import Callable

    import plotly.graph_objects as go

Frames = dict[str, pd.DataFrame]
ZONE = "Europe/Berlin"
EVIL = '<b>bold</b><a href="javascript:alert(1)">link</a><img src=x onerror="alert(2)"> $x^2$ %{x} &lt;'


def one_session(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(source="tool", session_id="s0")


DRAWN: dict[str, Callable[[Frames], go.Figure]] = {
    "tokens_over_time": lambda f: charts.tokens_over_time(f["token_usage"], timezone=ZONE),
    "cost_over_time": lambda f: charts.cost_over_time(f["token_usage"], period="hour", timezone=ZONE),
    "activity_heatmap": lambda f: charts.activity_heatmap(f["turns"], timezone=ZONE),
    "comparison": lambda f: charts.comparison(f["turns"]),
    "config_changes": lambda f: charts.config_changes(f["turns"], f["model_configs"], timezone=ZONE),
    "tool_reliability": lambda f: charts.tool_reliability(f["tool_calls"]),
    "tool_durations": lambda f: charts.tool_durations(f["tool_calls"]),
    "tool_sequences": lambda f: charts.tool_sequences(f["tool_calls"], length=3),
    "tool_loops": lambda f: charts.tool_loops(f["tool_calls"], timezone=ZONE),
    "context_growth": lambda f: charts.context_growth(f["turns"], f["messages"], sessions=f["sessions"]),
    "cache_economics": lambda f: charts.cache_economics(f["turns"], f["token_usage"]),
    "time_spent": lambda f: charts.time_spent(f["turns"], f["tool_calls"], f["messages"], sessions=f["sessions"]),
    "expensive_sessions": lambda f: charts.expensive_sessions(f["sessions"], f["turns"]),
    "repeated_prompts": lambda f: charts.repeated_prompts(f["turns"], timezone=ZONE),
    "session_timeline": lambda f: charts.session_timeline(
        *(one_session(f[name]) for name in ("turns", "tool_calls", "messages")), timezone=ZONE
    ),
}


def typed(name: str, columns: dict[str, Any]) -> pd.DataFrame:
    """Return a frame of the registry; a column that is not given is NULL."""
    length = len(next(iter(columns.values())))
    declared = empty(name).dtypes
    names = FRAMES[name].column_names
    return pd.DataFrame({one: pd.Series(columns.get(one, [None] * length), dtype=declared[one]) for one in names})


def some(
    count: int,
    *,
    names: tuple[str | None, ...] = ("alpha", "beta"),
    sessions: int = 3,
    step_s: float = 97,
    sign: int = 1,
) -> Frames:
    """Return frames of `count` turns, calls and messages that go on step by step, tools failing four times in a row."""
    at = np.arange(count)
    start = pd.Series(pd.Timestamp("2026-10-24T20:00Z") + pd.to_timedelta(at * step_s, unit="s")).dt.as_unit("us")
    name = [names[place % len(names)] for place in at]
    key = {"source": ["tool"] * count, "session_id": [f"s{place % sessions}" for place in at]}
    index = at // sessions
    turn_id = [f"t{place}" for place in at]
    tokens = {
        "input_tokens": sign * (1000 + at % 7 * 100),
        "cache_read_input_tokens": sign * (at % 5 * 100),
        "output_tokens": sign * (at % 11),
    }
    model = {"request_model": name, "response_model": name}
    cost = (sign * (at % 13) / 64).astype("float64")  # adds up to the same in every order
    turns = (
        key
        | tokens
        | model
        | {
            "turn_id": turn_id,
            "turn_index": index,
            "exchange_index": index,
            "started_at": start,
            "duration_s": at % 10 / 4,
            "model_config_id": [f"c{place // 4 % len(names)}" for place in at],
            "model_config_status": ["recorded"] * count,
            "is_sidechain": [False] * count,
            "prompt": [f"again {names[place % len(names)]}" for place in at],
            "error_type": ["timeout" if place % 9 == 0 else None for place in at],
            "cost_usd": cost,
        }
    )
    calls = key | {
        "turn_id": turn_id,
        "tool_call_index": index,
        "tool_name": [names[place // (4 * sessions) % len(names)] for place in at],
        "arguments": [f"of {names[place // (4 * sessions) % len(names)]}" for place in at],
        "result": name,
        "status": ["error" if place // (4 * sessions) % 2 == 0 else "ok" for place in at],
        "is_error": [place // (4 * sessions) % 2 == 0 for place in at],
        "started_at": start + pd.Timedelta(seconds=1),
        "duration_s": sign * (at % 10 / 8),
    }
    messages = key | {
        "message_id": [f"m{place}" for place in at],
        "message_index": index,
        "role": ["user" if place // sessions % 2 == 0 else "assistant" for place in at],
        "kind": ["boundary" if place % 17 == 16 else "message" for place in at],
        "content": [f"say {text}" for text in name],
        "created_at": start - pd.Timedelta(seconds=2),
        "is_sidechain": [False] * count,
    }
    usage = key | {
        "turn_id": turn_id,
        "started_at": start,
        "model": name,
        "token_type": ["cache_read" if place % 3 == 0 else "uncached_input" for place in at],
        "tokens": sign * (at % 50),
        "cost_usd": np.where(at % 4 == 0, np.nan, cost),
        "scope": ["turn"] * count,
    }
    kept = min(count, sessions)
    of = [names[place % len(names)] for place in range(kept)]
    config = range(len(names) if count else 0)
    return {
        "turns": typed("turns", turns),
        "tool_calls": typed("tool_calls", calls),
        "messages": typed("messages", messages),
        "token_usage": typed("token_usage", usage),
        "sessions": typed(
            "sessions",
            {
                "source": ["tool"] * kept,
                "session_id": [f"s{n}" for n in range(kept)],
                "name": of,
                "cost_usd": cost[:kept] + sign,
            },
        ),
        "model_configs": typed(
            "model_configs",
            {
                "source": ["tool"] * len(config),
                "model_config_id": [f"c{n}" for n in config],
                "request_model": [names[n] for n in config],
            },
        ),
    }


def all_null() -> Frames:
    kept = (
        "source",
        "session_id",
        "turn_id",
        "turn_index",
        "exchange_index",
        "tool_call_index",
        "message_index",
        "message_id",
    )
    return {
        name: typed(name, {column: frame[column] for column in frame if column in kept or column == "model_config_id"})
        for name, frame in some(5).items()
    }


CASES: dict[str, Callable[[], Frames]] = {
    "no rows": lambda: {name: empty(name) for name in FRAMES},
    "one row": lambda: some(1),
    "two turns": lambda: some(2, sessions=1),
    "all NULL": all_null,
    "NULL names": lambda: some(40, names=(None, "alpha")),
    "only NULL names": lambda: some(40, names=(None,)),
    "long names": lambda: some(60, names=("x" * 500 + "a", "x" * 500 + "b", "y" * 300 + "middle" + "x" * 300)),
    "300 names": lambda: some(3000, names=tuple(f"name {n}" for n in range(300)), sessions=40),
    "HTML": lambda: some(60, names=(EVIL, EVIL + "2")),
    "odd names": lambda: some(60, names=("", " ", "2026", "1e5", "unknown", "other (1)", "\u202eabc\n\x00", "🚢")),
    "below zero": lambda: some(60, sign=-1),
    "only zero": lambda: some(60, sign=0),
    "100,000 rows": lambda: some(100_000, names=tuple(f"name {n}" for n in range(50)), sessions=500, step_s=4000),
}


@cache
def frames_of(case: str) -> Frames:
    return CASES[case]()
