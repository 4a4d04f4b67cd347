"""Usage by period and hours of the week: days are those of a time zone, also where the clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import tzlocal
from hypothesis import given
from hypothesis import strategies as st
from mining_frames import column, frame, rows_of

import sessionlab
from sessionlab import mining


def usage(*rows: tuple[str, int, float | None], **same: Any) -> pd.DataFrame:
    made = [{"started_at": at, "tokens": tokens, "cost_usd": cost, **same} for at, tokens, cost in rows]
    return frame("token_usage", *made)


def days(*times: str, zone: str, period: Any = "day") -> list[tuple[str, int]]:
    """Return each period's start and how many of the times lie in it."""
    found = mining.usage_over_time(usage(*((at, 1, None) for at in times)), period=period, timezone=zone)
    return [(start, tokens) for start, tokens in rows_of(found, "period_start", "tokens")]


def test_tokens_and_cost_add_up_by_day_and_model() -> None:
    rows: list[dict[str, Any]] = [
        {"turn_id": "t0", "token_type": "uncached_input", "tokens": 100, "cost_usd": 0.5, "model": "b"},
        {"turn_id": "t0", "token_type": "output", "tokens": 10, "cost_usd": 0.25, "model": "b"},
        {"turn_id": "t1", "token_type": "output", "tokens": 7, "model": "b"},
        {"turn_id": "t2", "token_type": "output", "tokens": 5, "model": "a"},
        {"turn_id": None, "scope": "session", "tokens": 3, "cost_usd": 0.0},
    ]
    found = mining.usage_over_time(
        frame("token_usage", *({"started_at": "2026-05-01T12:00Z", **row} for row in rows)), timezone="UTC"
    )
    assert rows_of(found) == [
        ("2026-05-01T00:00:00+00:00", "a", 5, None, 5, 1),
        ("2026-05-01T00:00:00+00:00", "b", 117, 0.75, 7, 2),
        ("2026-05-01T00:00:00+00:00", None, 3, 0.0, 0, 0),
    ]


def test_equal_turn_ids_in_other_sessions_and_sources_are_other_turns() -> None:
    keys = [("sessionlab", "s"), ("sessionlab", "t"), ("codex", "s"), ("codex", "s")]
    rows = [
        {"source": source, "session_id": session, "turn_id": "t0", "started_at": "2026-05-01", "tokens": 1}
        for source, session in keys
    ]
    found = mining.usage_over_time(frame("token_usage", *rows), "source", timezone="UTC")
    assert rows_of(found, "source", "turn_count") == [("codex", 1), ("sessionlab", 2)]


def test_one_session_lies_in_the_days_of_two_time_zones() -> None:
    times = ("2026-05-01T21:30Z", "2026-05-01T22:30Z")
    assert days(*times, zone="UTC") == [("2026-05-01T00:00:00+00:00", 2)]
    assert days(*times, zone="Europe/Berlin") == [("2026-05-01T00:00:00+02:00", 1), ("2026-05-02T00:00:00+02:00", 1)]
    assert days(*times, zone="Pacific/Auckland") == [("2026-05-02T00:00:00+12:00", 2)]


def test_a_day_of_23_hours_and_one_of_25_are_one_day_each() -> None:
    # In Berlin the 29th of March begins at 23:00 UTC and ends at 22:00; the 25th of October at 22:00 and 23:00.
    march = ("2026-03-28T22:59:59Z", "2026-03-28T23:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00Z")
    assert days(*march, zone="Europe/Berlin") == [
        ("2026-03-28T00:00:00+01:00", 1),
        ("2026-03-29T00:00:00+01:00", 2),
        ("2026-03-30T00:00:00+02:00", 1),
    ]
    october = ("2026-10-24T21:59:59Z", "2026-10-24T22:00Z", "2026-10-25T22:59:59Z", "2026-10-25T23:00Z")
    assert days(*october, zone="Europe/Berlin") == [
        ("2026-10-24T00:00:00+02:00", 1),
        ("2026-10-25T00:00:00+02:00", 2),
        ("2026-10-26T00:00:00+01:00", 1),
    ]


def test_the_hour_that_clocks_show_twice_is_two_hours() -> None:
    times = ("2026-10-25T00:15Z", "2026-10-25T00:45Z", "2026-10-25T01:15Z", "2026-10-25T02:15Z")
    assert days(*times, zone="Europe/Berlin", period="hour") == [
        ("2026-10-25T02:00:00+02:00", 2),
        ("2026-10-25T02:00:00+01:00", 1),
        ("2026-10-25T03:00:00+01:00", 1),
    ]


def test_the_hour_that_clocks_jump_over_is_not_there() -> None:
    times = ("2026-03-29T00:59Z", "2026-03-29T01:01Z")
    assert days(*times, zone="Europe/Berlin", period="hour") == [
        ("2026-03-29T01:00:00+01:00", 1),
        ("2026-03-29T03:00:00+02:00", 1),
    ]


def test_hours_of_a_zone_that_is_half_an_hour_off_begin_on_its_own_clock() -> None:
    assert days("2026-05-01T00:29Z", "2026-05-01T00:31Z", zone="Asia/Kolkata", period="hour") == [
        ("2026-05-01T05:00:00+05:30", 1),
        ("2026-05-01T06:00:00+05:30", 1),
    ]


def test_a_day_may_begin_after_midnight_and_have_two_midnights() -> None:
    # Beirut jumps from 24:00 to 1:00 on the 29th of March; Havana goes from 1:00 back to 0:00 on the 1st of November.
    assert days("2026-03-28T21:59Z", "2026-03-28T22:01Z", zone="Asia/Beirut") == [
        ("2026-03-28T00:00:00+02:00", 1),
        ("2026-03-29T01:00:00+03:00", 1),
    ]
    assert days("2026-11-01T04:30Z", "2026-11-01T05:30Z", zone="America/Havana") == [("2026-11-01T00:00:00-04:00", 2)]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    times = ("2026-03-01T22:59Z", "2026-03-01T23:00Z", "2026-03-08T22:59Z", "2026-03-31T22:00Z")
    assert days(*times, zone="Europe/Berlin", period="week") == [
        ("2026-02-23T00:00:00+01:00", 1),
        ("2026-03-02T00:00:00+01:00", 2),
        ("2026-03-30T00:00:00+02:00", 1),
    ]
    assert days(*times, zone="Europe/Berlin", period="month") == [
        ("2026-03-01T00:00:00+01:00", 3),
        ("2026-04-01T00:00:00+02:00", 1),
    ]


@given(
    st.datetimes(pd.Timestamp("1990-01-01").to_pydatetime(), pd.Timestamp("2030-01-01").to_pydatetime()),
    st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe", "Africa/Casablanca"]
    ),
    st.sampled_from(["hour", "day", "week", "month"]),
)
def test_every_time_lies_in_its_period_and_on_its_wall(at: Any, zone: str, period: Any) -> None:
    found = mining.usage_over_time(usage((at.isoformat() + "Z", 1, None)), period=period, timezone=zone)
    (start,) = found["period_start"]
    there = pd.Timestamp(at, tz="UTC").tz_convert(zone)
    longest = {"hour": "2h", "day": "25h", "week": "7D1h", "month": "31D1h"}[period]
    assert start <= there < start + pd.Timedelta(longest)
    parts = {"hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "week": "%G-%V", "month": "%Y-%m"}[period]
    assert start.strftime(parts) == there.strftime(parts)


def test_a_column_of_the_sessions_tells_groups_apart() -> None:
    at = "2026-05-01T12:00Z"
    rows = [
        {"source": source, "session_id": "s", "started_at": at, "tokens": tokens, "turn_id": "t0"}
        for source, tokens in (("codex", 1), ("sessionlab", 10), ("goose", 100))
    ]
    sessions = frame(
        "sessions",
        {"source": "sessionlab", "session_id": "s", "agent_name": "coder"},
        {"source": "codex", "session_id": "s", "agent_name": "codex"},
        {"source": "codex", "session_id": "t", "agent_name": "nobody"},
    )
    found = mining.usage_over_time(
        frame("token_usage", *rows), "agent_name", period="month", timezone="UTC", sessions=sessions
    )
    assert rows_of(found, "agent_name", "tokens") == [("coder", 10), ("codex", 1), (None, 100)]


def test_rows_without_a_time_are_left_out_with_one_warning_that_counts_them() -> None:
    rows = frame("token_usage", {"tokens": 1}, {"tokens": 2}, {"tokens": 4, "started_at": "2026-05-01"})
    with pytest.warns(sessionlab.SessionLabWarning, match="^2 rows of token usage without a time") as caught:
        found = mining.usage_over_time(rows, timezone="UTC")
    assert column(found, "tokens") == [4]
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"period": "days"}, "period='days' is not known. Did you mean 'day'"),
        ({"period": 7}, "Use one of 'hour', 'day', 'week', 'month'"),
        ({"timezone": "Mars/Olympus"}, "timezone='Mars/Olympus' is no time zone"),
        ({"timezone": "Europe"}, "timezone='Europe' is no time zone"),
        ({"timezone": 1}, "timezone=1 is no time zone"),
        ({"by": "agent_name"}, "sessions=lab.frame"),
        ({"by": "tokens"}, "the name of a column of its result"),
        ({"by": "no_such", "sessions": frame("sessions")}, "needs the column 'no_such'"),
        (
            {"by": "models", "sessions": frame("sessions", {"session_id": "s", "models": ["a"]})},
            "cannot group by 'models'",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(sessionlab.FrameError) as caught:
        mining.usage_over_time(usage(("2026-05-01", 1, None)), **options)
    assert said in str(caught.value)


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine stand in Tokyo; tzlocal looks where it is once and keeps it."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    tzlocal.reload_localzone()
    yield
    monkeypatch.undo()
    tzlocal.reload_localzone()


@pytest.mark.usefixtures("_in_tokyo")
def test_the_machines_own_zone_is_the_default() -> None:
    found = mining.usage_over_time(usage(("2026-05-01T15:00Z", 1, None)))
    assert column(found, "period_start") == ["2026-05-02T00:00:00+09:00"]
    assert column(mining.activity(frame("turns", {"started_at": "2026-05-01T15:00Z"})), "turn_count").index(1) == 5 * 24


def test_activity_counts_turns_by_the_clock_of_the_zone() -> None:
    turns = frame(
        "turns",
        {"started_at": "2026-05-01T22:30Z", "output_tokens": 10, "cost_usd": 0.5},
        {"started_at": "2026-05-08T22:59Z", "output_tokens": 5},
        {"started_at": "2026-05-08T22:59Z", "session_id": "t", "source": "codex", "is_sidechain": True},
        {"started_at": "2026-05-11T22:00Z", "session_id": "t"},
    )
    found = mining.activity(turns, timezone="Europe/Berlin")
    assert len(found) == 168
    assert column(found, "weekday") == [day for day in range(7) for _ in range(24)]
    assert column(found, "hour") == list(range(24)) * 7
    busy = found[found["turn_count"] > 0]
    assert rows_of(busy) == [
        # weekday, hour, turns, sessions, output, unmeasured, cost, unpriced
        (1, 0, 1, 1, None, 1, None, 1),
        (5, 0, 3, 2, 15, 1, 0.5, 2),
    ]
    idle = found[found["turn_count"] == 0]
    assert idle["output_tokens"].eq(0).all()
    assert idle["cost_usd"].eq(0).all()


def test_activity_puts_both_of_a_repeated_hour_in_one_cell() -> None:
    turns = frame("turns", *({"started_at": at} for at in ("2026-10-25T00:30Z", "2026-10-25T01:30Z")))
    found = mining.activity(turns, timezone="Europe/Berlin")
    assert rows_of(found[found["turn_count"] > 0], "weekday", "hour", "turn_count") == [(6, 2, 2)]


def test_activity_says_how_many_turns_have_no_time() -> None:
    with pytest.warns(sessionlab.SessionLabWarning, match="^1 turns without a time"):
        found = mining.activity(frame("turns", {}), timezone="UTC")
    assert found["turn_count"].sum() == 0
