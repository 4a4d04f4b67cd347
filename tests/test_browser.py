"""The session browser's Python side: what it lists, what it hands out, and what it tells the page."""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sessionlab
from sessionlab import FrameError, ModelConfig, Recorder, SessionBrowser, Usage
from sessionlab.browser.filtering import Filters
from sessionlab.browser.listing import SORTABLE, _Bins
from sessionlab.browser.telling import CUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionlab import Lab

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "sample_data"))

from large_store import write_large  # noqa: E402 -- the sample's own scripts are no package

SAMPLES = ("history.db", "claude_code", "codex", "awful_aj/aj.db", "llm")


@cache
def lab_of_samples() -> Lab:
    return sessionlab.open(*(os.path.join(ROOT, "sample_data", name) for name in SAMPLES))


@cache
def all_sessions() -> pd.DataFrame:
    return lab_of_samples().frame("sessions")


@pytest.fixture
def lab() -> Lab:
    return lab_of_samples()


@pytest.fixture
def own(path: str) -> Iterator[Lab]:
    """Return a lab of a store with two sessions."""
    with Recorder(path) as recorder:
        with recorder.session("first", agent="coder") as session:
            session.user("Why does CI fail?")
            turn = session.assistant("It does not.", usage=Usage(input_tokens=10, output_tokens=5))
            turn.tool_call("bash", {"cmd": "make"}).result("no rule", is_error=True)
        with recorder.session("second", agent="ops") as session:
            session.user("And now?")
    with sessionlab.open(path) as opened:
        yield opened


def ids(lab: Lab) -> dict[str, str]:
    """Return the ids of sessions by their names."""
    sessions = lab.frame("sessions", columns=["name", "session_id"])
    return dict(zip(sessions.name, sessions.session_id, strict=True))


def said(browser: SessionBrowser) -> list[dict[str, Any]]:
    """Collect what a browser tells its page from now on."""
    messages: list[dict[str, Any]] = []
    browser.send = messages.append
    return messages


def ask(browser: SessionBrowser, op: str, **content: Any) -> None:
    browser._on_message(browser, {"op": op, **content}, [])


def keys(frame: Any) -> set[tuple[str, str]]:
    return set(zip(frame["source"], frame["session_id"], strict=True))


# What is listed


def test_without_filters_all_sessions_are_selected(lab: Lab) -> None:
    browser = lab.browse()
    pd.testing.assert_frame_equal(browser.frame("sessions"), all_sessions())
    pd.testing.assert_frame_equal(browser.frame("turns"), lab.frame("turns"))
    assert repr(browser) == f"<SessionBrowser of {len(all_sessions())} of {len(all_sessions())} sessions>"


def filters_of_samples() -> st.SearchStrategy[dict[str, Any]]:
    sessions = all_sessions()
    models = sorted({model for models in sessions.models.dropna() for model in models})
    times = sessions.started_at.dropna().sort_values()
    words = ["error", "the", "E", "fix", "'", "%", "é", ".", "\\", "no such text anywhere", "bash", "LANTERN"]
    optional: dict[str, st.SearchStrategy[Any]] = {
        "text": st.sampled_from(words),
        "source": st.sampled_from(sorted(sessions.source.unique())),
        "agent_name": st.sampled_from(sorted(sessions.agent_name.dropna().unique())),
        "model": st.sampled_from(models),
        "directory": st.sampled_from(sorted(sessions.directory.dropna().unique())),
        "since": st.sampled_from([str(time) for time in times]),
        "until": st.sampled_from([str(time) for time in times]),
        "has_errors": st.just(True),
    }
    return st.fixed_dictionaries({}, optional=optional)


@settings(max_examples=40)
@given(st.data())
def test_list_frame_and_sql_are_of_the_same_sessions_whatever_the_filters(data: st.DataObject) -> None:
    filters = data.draw(filters_of_samples())
    lab = lab_of_samples()
    browser = lab.browse(**filters)
    listed = [browser._listing.keys[row] for row in browser._listed(thorough=True)]
    assert len(set(listed)) == len(listed)
    assert set(listed) == keys(lab.sql(browser.sql).pandas()) == keys(browser.frame("sessions"))
    turns = browser.frame("turns", columns=["source", "session_id", "turn_id"])
    every = lab.frame("turns", columns=["source", "session_id", "turn_id"])
    assert keys(turns) == keys(every) & set(listed)
    assert len(turns) == sum(key in set(listed) for key in zip(every.source, every.session_id, strict=True))


def test_filters_do_what_they_say(lab: Lab) -> None:
    sessions = all_sessions()
    failed = keys(lab.sql("select distinct source, session_id from turns where error_type is not null").pandas())
    expected = {
        "source": sessions[sessions.source == "codex"],
        "agent_name": sessions[sessions.agent_name == "coder"],
        "model": sessions[[m is not None and "claude-sonnet-5" in m for m in sessions.models]],
        "since": sessions[sessions.started_at >= pd.Timestamp("2026-10-01", tz="UTC")],
        "until": sessions[sessions.started_at < pd.Timestamp("2026-10-01", tz="UTC")],
    }
    asked = {"source": "codex", "agent_name": "coder", "model": "claude-sonnet-5"}
    asked |= {"since": "2026-10-01T00:00:00+00:00", "until": "2026-10-01T00:00:00+00:00"}
    for name, value in asked.items():
        assert keys(lab.browse(**{name: value}).frame("sessions")) == keys(expected[name])
        assert len(expected[name])
    with_errors = keys(sessions[sessions.tool_error_count > 0]) | failed
    assert keys(lab.browse(has_errors=True).frame("sessions")) == with_errors
    assert failed - keys(sessions[sessions.tool_error_count > 0])


def test_a_text_is_found_in_names_prompts_answers_reasoning_arguments_and_results(path: str) -> None:
    sessions = []
    with Recorder(path) as recorder:
        for place in range(6):
            texts = ["needle in Hay" if n == place else f"other {place}" for n in range(6)]
            with recorder.session(texts[0]) as session:
                sessions.append(session.session_id)
                session.user(texts[1])
                turn = session.assistant(texts[2], reasoning=texts[3])
                turn.tool_call("bash", {"cmd": texts[4]}).result(texts[5])
        with recorder.session("none") as session:
            session.user("nothing")
    with sessionlab.open(path) as lab:
        browser = lab.browse(text="NEEDLE IN hay")
        assert browser.frame("sessions").session_id.tolist() == sessions[:6]


@pytest.mark.parametrize("descending", [False, True])
def test_every_column_sorts_with_the_unknown_last(lab: Lab, descending: bool) -> None:
    browser = lab.browse()
    listing = browser._listing
    for name in SORTABLE:
        browser.sort = f"-{name}" if descending else name
        order = browser._listed()
        assert sorted(order.tolist()) == list(range(len(listing)))
        values = listing._sortable(name).take(order).to_pylist()
        known = [value for value in values if value is not None]
        assert values == known + [None] * (len(values) - len(known))
        assert known == sorted(known, reverse=descending)


def test_totals_are_those_of_the_frame_and_say_how_much_is_unpriced(lab: Lab) -> None:
    browser = lab.browse(source="sessionlab")
    sessions = browser.frame("sessions")
    totals = browser._listing.totals(browser._listed())
    assert totals["sessions"] == len(sessions)
    assert totals["turns"] == sessions.turn_count.sum()
    assert totals["tokens"] == sessions.input_tokens.sum() + sessions.output_tokens.sum()
    assert totals["cost_usd"] == pytest.approx(sessions.cost_usd.sum())
    assert totals["unpriced"] == (sessions.cost_status == "unpriced").sum() > 0


def test_nothing_known_is_not_zero(path: str) -> None:
    with Recorder(path) as recorder, recorder.session("first") as session:
        session.user("hello")
    with sessionlab.open(path) as lab:
        browser = lab.browse()
        totals = browser._listing.totals(browser._listed())
        assert (totals["tokens"], totals["cost_usd"], totals["turns"]) == (None, None, 0)


def test_a_zone_that_is_not_known_here_is_taken_for_utc(own: Lab) -> None:
    browser = own.browse()
    messages = said(browser)
    for zone in ("Etc/Unknown", "../etc/passwd", None, "é"):
        ask(browser, "hello", zone=zone)
    assert [message["op"] for message in messages].count("list") == 4


def test_thousands_of_sessions_are_ticked_at_once(path: str) -> None:
    Recorder(path).close()
    write_large(path, 8_000, [2] * 4_000)
    with sessionlab.open(path) as lab:
        browser = lab.browse()
        browser.selected = lab.frame("sessions").session_id.tolist()
        assert len(browser.frame("turns")) == len(lab.frame("turns"))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia"])
def test_the_bars_of_the_chart_hold_every_session_that_has_a_time_once(lab: Lab, zone: str) -> None:
    browser = lab.browse()
    ask(browser, "hello", zone=zone)
    listing = browser._listing
    chart = listing.chart(np.ones(len(listing), dtype=bool))
    assert sum(chart["sessions"]) == all_sessions().started_at.notna().sum()
    assert len(chart["edges"]) == len(chart["sessions"]) + 1
    assert chart["edges"] == sorted(set(chart["edges"]))
    started = all_sessions().started_at.dropna().astype("int64") // 1000
    assert chart["sessions"] == np.histogram(started, chart["edges"])[0].tolist()


def test_bars_are_hours_days_weeks_months_or_years_as_the_time_asks() -> None:
    begin = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()
    for days, count in ((0, 1), (2, 49), (100, 101), (900, 129), (5_000, 165), (20_000, 55)):
        times = np.array([begin, begin + days * 86_400]) * 1_000_000
        bins = _Bins(times.astype(np.int64), np.array([True, True]), "Europe/Berlin")
        assert count <= len(bins.edges_ms) - 1 <= count + 1, days


def test_a_folder_without_sessions_gives_an_empty_list(path: str) -> None:
    Recorder(path).close()
    with sessionlab.open(path) as lab:
        browser = lab.browse()
        messages = said(browser)
        ask(browser, "hello", zone="UTC")
        (listed,) = [message for message in messages if message["op"] == "list"]
        assert (listed["total"], listed["of"], listed["rows"], listed["chart"]["edges"]) == (0, 0, [], [])
        assert len(browser.frame("turns")) == 0


# Both ways


def test_selected_sessions_are_those_ticked(own: Lab) -> None:
    browser = own.browse()
    browser.selected = [ids(own)["second"]]
    assert browser.frame("messages").content.tolist() == ["And now?"]
    assert own.sql(browser.sql).pandas().name.tolist() == ["second"]
    assert "1 selected" in repr(browser)
    browser.selected = []
    assert len(browser.frame("sessions")) == 2


def test_what_is_ticked_in_the_page_is_seen_in_python(own: Lab) -> None:
    browser = own.browse()
    seen = []
    browser.observe(lambda change: seen.append(change["new"]), "selected")
    ask(browser, "hello", zone="UTC")
    ask(browser, "pick", serial=browser._serial, start=0, end=2, on=True)
    assert sorted(browser.selected) == sorted(ids(own).values())
    first = browser._listing.keys[browser._listed()[0]][1]
    ask(browser, "pick", serial=browser._serial, start=0, end=1, on=False)
    assert first not in browser.selected
    ask(browser, "pick")
    assert browser.selected == []
    assert len(seen) == 3


def test_a_range_is_of_the_list_that_the_page_showed(own: Lab) -> None:
    browser = own.browse()
    ask(browser, "hello", zone="UTC")
    old, first = browser._serial, browser._listing.keys[browser._listed()[0]][1]
    browser.sort = "started_at"
    assert browser._listing.keys[browser._listed()[0]][1] != first
    ask(browser, "pick", serial=old, start=0, end=1, on=True)
    assert browser.selected == [first]


def test_a_range_of_a_list_of_long_ago_ticks_nothing_and_says_so(own: Lab) -> None:
    browser = own.browse()
    messages = said(browser)
    ask(browser, "hello", zone="UTC")
    old = browser._serial
    for sort in ("name", "-name", "started_at"):
        browser.sort = sort
    ask(browser, "pick", serial=old, start=0, end=1, on=True)
    assert browser.selected == []
    assert (messages[-1]["op"], messages[-1]["of"]) == ("error", "pick")
    assert "Choose the range in the new one" in messages[-1]["text"]


def test_a_tick_counts_whatever_list_the_page_showed(own: Lab) -> None:
    browser = own.browse()
    ask(browser, "hello", zone="UTC")
    first = ids(own)["first"]
    for sort in ("name", "-name", "started_at", "-started_at"):
        browser.sort = sort
    ask(browser, "pick", source="sessionlab", session_id=first, on=True)
    assert browser.selected == [first]
    ask(browser, "pick", source="sessionlab", session_id=first, on=False)
    assert browser.selected == []


def test_the_open_session_is_seen_and_set_in_python(own: Lab) -> None:
    browser = own.browse()
    messages = said(browser)
    first, second = (ids(own)[name] for name in ("first", "second"))
    ask(browser, "open", source="sessionlab", session_id=first)
    assert browser.session_id == first
    browser.session_id = second
    browser.session_id = ""
    assert [message["op"] for message in messages] == ["session", "session", "closed"]
    assert messages[1]["head"]["label"] == "second"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("session_id", "nowhere", "There is no session 'nowhere'"),
        ("selected", ["nowhere"], "There is no session 'nowhere'"),
        ("filters", {"agent": "coder"}, "Did you mean 'agent_name'"),
        ("filters", {"since": "yesterday"}, "since='yesterday'"),
        ("filters", {"source": ["a", "b"]}, "one value each"),
        ("sort", "size", "expected one of"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_so_and_changes_nothing(
    own: Lab, name: str, value: Any, reason: str
) -> None:
    browser = own.browse()
    before = getattr(browser, name)
    with pytest.raises(FrameError, match=reason.replace("(", "\\(")):
        setattr(browser, name, value)
    assert getattr(browser, name) == before
    assert len(browser.frame("sessions")) == 2


def test_what_a_browser_holds_cannot_be_changed_where_nobody_would_see_it(own: Lab) -> None:
    browser = own.browse(agent_name="coder")
    with pytest.raises(TypeError, match="Set the whole"):
        browser.filters["agent_name"] = "ops"
    with pytest.raises(TypeError, match="Set the whole"):
        browser.selected.append(ids(own)["second"])
    browser.filters = {**browser.filters, "agent_name": "ops"}
    assert browser.frame("sessions").name.tolist() == ["second"]


def test_browsers_of_one_lab_see_what_came_between_them(path: str) -> None:
    with Recorder(path) as recorder, sessionlab.open(path) as lab:
        recorder.session("first").user("one")
        assert len(lab.browse().frame("sessions")) == 1
        recorder.session("second").user("two")
        assert len(lab.browse().frame("sessions")) == 2
        assert len(lab.browse()._listing) == 2


def test_filters_are_taken_at_first_as_well(own: Lab) -> None:
    with pytest.raises(FrameError, match="no filter 'colour'"):
        own.browse(colour="red")
    assert own.browse(agent_name="ops").frame("sessions").name.tolist() == ["second"]
    second = ids(own)["second"]
    assert own.browse(session_id=second).session_id == second


def test_ages_become_times_that_json_can_hold(own: Lab) -> None:
    browser = own.browse(since="7d")
    assert datetime.fromisoformat(browser.filters["since"]).tzinfo is not None
    assert browser.filters == Filters.of(browser.filters).plain()


@pytest.mark.parametrize("name", ["sessions", "turns", "messages", "tool_calls", "token_usage", "model_configs"])
def test_every_frame_can_be_had_of_what_is_selected(lab: Lab, name: str) -> None:
    browser = lab.browse(source="codex")
    frame = browser.frame(name)
    pd.testing.assert_frame_equal(frame, lab.frame(name, source="codex"))
    column = frame.columns[-1]
    assert list(browser.frame(name, columns=[column]).columns) == [column]
    assert browser.frame(name, to="polars").height == len(frame) == browser.frame(name, to="arrow").num_rows


def test_many_selected_sessions_are_no_other_than_few(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = lab.browse(has_errors=True)
    few = browser.frame("turns")
    monkeypatch.setattr("sessionlab.browser.selecting._MOST_BOUND", 1)
    pd.testing.assert_frame_equal(browser.frame("turns"), few)


# The transcript


def test_a_transcript_marks_models_settings_errors_branches_and_reasoning(path: str) -> None:
    cool = ModelConfig(provider_name="anthropic", request_model="claude-sonnet-4-5", temperature=0.2)
    warm = ModelConfig(provider_name="anthropic", request_model="claude-haiku-4-5", temperature=0.7)
    with Recorder(path) as recorder, recorder.session("first", config=cool) as session:
        prompt = session.user("Why?")
        session.assistant("Because.", reasoning="hmm", usage=Usage(input_tokens=3, output_tokens=2))
        session.configure(warm)
        turn = session.assistant(None)
        turn.tool_call("bash", {"cmd": "x"}).result("no", is_error=True)
        session.error("slow down", error_type="RateLimitError")
        session.fork(prompt).assistant("Another answer.")
    with sessionlab.open(path) as lab:
        browser = lab.browse()
        browser.session_id = lab.frame("sessions").session_id[0]
        telling = browser._telling
    assert telling is not None
    items = telling.items(0, len(telling))
    changes = [item["changes"] for item in items]
    assert any("temperature: 0.2 → 0.7" in found for found in changes)
    assert any("request_model: claude-sonnet-4-5 → claude-haiku-4-5" in " ".join(found) for found in changes) or any(
        "model: claude-sonnet-4-5 → claude-haiku-4-5" in found for found in changes
    )
    assert len(telling.errors) == 2
    (branching,) = [item for item in items if item["follows"] is not None]
    assert items[branching["follows"]]["branches"] == [branching["place"]]
    assert items[1]["message"]["reasoning"] == ["hmm", 3, False]
    assert items[1]["turn"]["input_tokens"] == 3


def test_subagents_can_be_followed_both_ways(lab: Lab) -> None:
    sessions = all_sessions()
    children = sessions[sessions.parent_session_id.isin(sessions.session_id)]
    assert len(children)
    browser = lab.browse()
    for child in children.to_dict("records"):
        browser.session_id = child["session_id"]
        assert browser._telling is not None
        assert browser._telling.head["parent"]["session_id"] == child["parent_session_id"]
        assert browser._telling.head["parent"]["is_there"]
        browser.session_id = child["parent_session_id"]
        found = [one["session_id"] for one in browser._telling.head["children"]]
        assert child["session_id"] in found


def test_long_texts_are_cut_for_the_page_and_given_whole_when_asked(path: str) -> None:
    long = "word " * CUT
    with Recorder(path) as recorder, recorder.session("first") as session:
        session.user(long)
        session.assistant("x", reasoning=long).tool_call("bash", {"cmd": long}).result(long)
    with sessionlab.open(path) as lab:
        browser = lab.browse(session_id=ids(lab)["first"])
        messages = said(browser)
        key = ["sessionlab", ids(lab)["first"]]
        for place, part in ((0, "content"), (1, "reasoning"), (1, "result:0"), (1, "arguments:0")):
            ask(browser, "whole", key=key, place=place, part=part, until=10 * len(long))
        assert browser._telling is not None
        assert browser._telling.items(0, 1)[0]["message"]["content"] == [long[:CUT], len(long), True]
        texts = [message["text"] for message in messages]
        assert texts[:3] == [long] * 3
        assert long in texts[3]
        ask(browser, "whole", key=["sessionlab", "other"], place=0, part="content", until=10)
        assert len(messages) == 4
        ask(browser, "whole", key=key, place=0, part="content", until=10)
        assert (messages[-1]["text"], messages[-1]["is_cut"]) == (long[:10], True)
        ask(browser, "copy", key=key, place=0)
        assert messages[-1]["text"] == long


def test_every_session_of_the_samples_can_be_shown_and_its_chunks_make_it_whole(lab: Lab) -> None:
    browser = lab.browse()
    messages = said(browser)
    for source, session_id in browser._listing.keys:
        messages.clear()
        ask(browser, "open", source=source, session_id=session_id)
        (shown,) = messages
        assert shown["op"] == "session"
        assert [item["place"] for item in shown["items"]] == list(range(min(shown["total"], shown["chunk_size"])))
        for chunk in range(-(-shown["total"] // shown["chunk_size"])):
            ask(browser, "chunk", key=shown["key"], chunk=chunk)
        places = [item["place"] for message in messages[1:] for item in message["items"]]
        assert places == list(range(shown["total"]))


def test_hits_in_the_transcript_follow_the_search_text(own: Lab) -> None:
    browser = own.browse(session_id=ids(own)["first"])
    messages = said(browser)
    browser.filters = {"text": "NO RULE"}
    assert [message["hits"] for message in messages if message["op"] == "hits"] == [[1]]
    browser.filters = {}
    assert messages[-1]["hits"] == []


# Live


def test_what_is_recorded_meanwhile_comes_with_the_next_look_and_only_then(path: str) -> None:
    with Recorder(path) as recorder:
        session = recorder.session("first")
        session.user("one")
        with sessionlab.open(path) as lab:
            browser = lab.browse(session_id=session.session_id)
            messages = said(browser)
            ask(browser, "look")
            assert [message["op"] for message in messages] == ["looked"]
            session.assistant("two")
            recorder.session("second").user("three")
            ask(browser, "look")
            listed = next(message for message in messages if message["op"] == "list")
            shown = next(message for message in messages if message["op"] == "session")
            assert (listed["total"], shown["total"], shown["unchanged"]) == (2, 2, 1)
            messages.clear()
            browser.filters = {"text": "three"}
            browser.frame("sessions")  # texts are read for it, which is no change
            messages.clear()
            ask(browser, "look")
            assert [message["op"] for message in messages] == ["looked"]


def test_a_session_that_went_is_told_and_the_browser_goes_on(path: str) -> None:
    with Recorder(path) as recorder:
        first = recorder.session("first")
        first.user("one")
        recorder.session("second").user("two")
        with sessionlab.open(path) as lab:
            browser = lab.browse(session_id=first.session_id)
            browser.selected = [first.session_id]
            messages = said(browser)
            recorder.history.delete(first.session_id)
            ask(browser, "look")
            assert any(message["op"] == "closed" for message in messages)
            assert messages[-1]["op"] == "looked"
            assert (browser.session_id, browser.selected) == ("", [])
            ask(browser, "open", source="sessionlab", session_id=first.session_id)
            assert "not in the histories any more" in messages[-1]["text"]
            assert browser.frame("sessions").name.tolist() == ["second"]


def test_a_history_that_is_gone_is_an_error_in_the_page(tmp_path: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "history.db")
        with Recorder(path) as recorder:
            recorder.session("first").user("one")
        lab = sessionlab.open(path)
        browser = lab.browse()
        messages = said(browser)
    ask(browser, "look")
    lab.close()
    errors = [message for message in messages if message["op"] == "error"]
    assert path in errors[0]["text"]
