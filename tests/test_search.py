"""`lab.search`: every place with a hit and no other, with a snippet that shows it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from command_line import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sessionlab
from sessionlab import FrameError, Lab, ModelConfig, Recorder, SessionLabWarning
from sessionlab.lab.frames import schema_of
from sessionlab.lab.search import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLE = os.path.join(ROOT, "sample_data", "history.db")
UNSEEN = "[\\s\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with sessionlab.open(SAMPLE) as opened:
        yield opened


def searched(path: str, text: str, **options: Any) -> list[dict[str, Any]]:
    with sessionlab.open(path) as opened:
        rows: list[dict[str, Any]] = opened.search(text, to="arrow", **options).to_pylist()
        return rows


def said(path: str, *texts: str) -> None:
    with Recorder(path) as recorder, recorder.session("s") as s, s.batch():
        for text in texts:
            s.user(text)


def test_every_place_has_one_row_with_where_it_is(path: str) -> None:
    with Recorder(path) as recorder, recorder.session("fix the build") as s:
        s.user("Where is the NEEDLE?")
        turn = s.assistant("A needle and a needle.", reasoning="needles, then")
        call = turn.tool_call("grep", {"pattern": "needle"}, tool_call_id="call_1")
        call.result("hay\nneedle\nhay")
        s.assistant("nothing to find here")
    rows = searched(path, "needle")
    assert [
        (row["place"], row["role"], row["message_index"], row["tool_name"], row["tool_call_index"], row["hit_count"])
        for row in rows
    ] == [
        ("content", "user", 0, None, None, 1),
        ("reasoning", "assistant", 1, None, None, 1),
        ("content", "assistant", 1, None, None, 2),
        ("arguments", "assistant", 1, "grep", 0, 1),
        ("result", "tool", 2, "grep", 0, 1),
    ]
    assert [row["snippet"] for row in rows] == [
        "Where is the «NEEDLE»?",
        "«needle»s, then",
        "A «needle» and a needle.",
        '{"pattern":"«needle»"}',
        "hay «needle» hay",
    ]
    assert {row["session_name"] for row in rows} == {"fix the build"}
    assert {row["origin"] for row in rows} == {path}
    assert {row["tool_call_id"] for row in rows} == {None, "call_1"}
    assert rows[3]["message_id"] == rows[2]["message_id"] == rows[2]["turn_id"]


def test_a_call_that_was_recorded_before_its_turn_comes_with_its_result(path: str) -> None:
    with Recorder(path) as recorder, recorder.session("s") as s:
        s.user("needle 1")
        s.tool_call("bash", "needle 2").result("needle 3")
        s.assistant("needle 4")
    assert [row["snippet"] for row in searched(path, "needle")] == [f"«needle» {n}" for n in (1, 2, 3, 4)]


def test_the_columns_and_types_never_depend_on_the_rows(lab: Lab, path: str) -> None:
    Recorder(path).close()
    with sessionlab.open(path) as nothing:
        for found in (lab.search("fixture", to="arrow"), lab.search("nowhere to be found", to="arrow")):
            assert found.schema.equals(schema_of(COLUMNS))
        assert nothing.search("x", to="arrow").schema.equals(schema_of(COLUMNS))
        assert list(nothing.search("x").dtypes) == list(lab.search("fixture").dtypes)
    assert lab.search("fixture", to="polars").columns == [column.name for column in COLUMNS]


@pytest.mark.parametrize("sample", ["history.db", "awful_aj/aj.db", "appam/data/sessions.db"])
def test_the_samples_have_the_hits_that_pandas_finds(tmp_path: Path, sample: str) -> None:
    path = shutil.copy(os.path.join(ROOT, "sample_data", sample), str(tmp_path))
    with sessionlab.open(path) as opened:
        messages, calls = opened.frame("messages"), opened.frame("tool_calls")
        for text in ("fixture", "e", "Let me look", '"cmd"', "…"):
            found = opened.search(text)["place"].value_counts()
            counts = {
                place: int(column.str.contains(re.escape(text), case=False).fillna(False).sum())
                for place, column in (
                    ("content", messages["content"]),
                    ("reasoning", messages["reasoning"]),
                    ("arguments", calls["arguments"]),
                    ("result", calls["result"]),
                )
            }
            counts["content"] -= counts["result"]  # which are messages as well
            assert {place: found.get(place, 0) for place in counts} == counts


def test_hits_come_in_recording_order_and_limit_keeps_the_newest(lab: Lab) -> None:
    whole = lab.search("the")
    assert len(whole) > 100
    of_messages = whole[whole["place"] != "arguments"]
    assert all(
        list(group["message_index"]) == sorted(group["message_index"]) for _, group in whole.groupby("session_id")
    )
    assert list(of_messages["session_id"].unique()) == [
        i for i in lab.frame("messages")["session_id"].unique() if i in set(of_messages["session_id"])
    ]
    newest = lab.search("the", limit=7)
    kept = whole.sort_values("created_at", kind="stable").tail(7).sort_index().reset_index(drop=True)
    pd.testing.assert_frame_equal(newest, kept)
    assert lab.search("the", limit=0).empty


def test_filters_keep_the_rows_that_pandas_would_keep(lab: Lab) -> None:
    whole = lab.search("the")
    sessions, turns = lab.frame("sessions"), lab.frame("turns")
    middle = whole["created_at"].sort_values().iloc[len(whole) // 2]
    one = whole["session_id"].iloc[40]
    of_ops = sessions[sessions["agent_name"] == "ops"]["session_id"]
    harbor = sessions[sessions["directory"] == "/home/ada/projects/harbor"]["session_id"]
    model = "gpt-5.5"
    of_model = turns[turns["response_model"].fillna(turns["request_model"]) == model]
    pairs = set(zip(of_model["session_id"], of_model["turn_id"], strict=True))
    is_of_model = [pair in pairs for pair in zip(whole["session_id"], whole["turn_id"], strict=True)]
    for filters, kept in (
        ({"since": middle}, whole["created_at"] >= middle),
        ({"until": middle}, whole["created_at"] < middle),
        ({"session_id": one}, whole["session_id"] == one),
        ({"source": "awful_aj"}, whole["source"] == "awful_aj"),
        ({"agent_name": "ops"}, whole["session_id"].isin(of_ops)),
        ({"directory": "/home/ada/projects/harbor"}, whole["session_id"].isin(harbor)),
        ({"model": model}, pd.Series(is_of_model)),
        ({"model": model, "place": ["result", "arguments"], "tool_name": "bash", "since": middle},
         pd.Series(is_of_model) & whole["place"].isin(["result", "arguments"]) & (whole["tool_name"] == "bash")
         & (whole["created_at"] >= middle)),
        ({"role": "user", "session_name": None}, (whole["role"] == "user") & whole["session_name"].isna()),
    ):  # fmt: skip
        pd.testing.assert_frame_equal(lab.search("the", **filters), whole[kept].reset_index(drop=True))


def test_hits_without_a_time_are_counted_in_one_warning(tmp_path: Path) -> None:
    path = shutil.copy(os.path.join(ROOT, "sample_data", "awful_aj", "aj.db"), str(tmp_path))
    with sessionlab.open(path) as opened:  # this tool notes no times
        whole = opened.search("the")
        assert whole["created_at"].isna().all()
        with pytest.warns(SessionLabWarning, match=f"^{len(whole)} hits have no time"):
            assert opened.search("the", since="2020-01-01").empty
        newest = opened.search("the", limit=3)
    pd.testing.assert_frame_equal(newest, whole.tail(3).reset_index(drop=True))


def test_search_sees_what_has_just_been_recorded_and_a_snapshot_does_not(path: str) -> None:
    with Recorder(path) as recorder, sessionlab.open(path) as opened:
        s = recorder.session("s")
        s.user("needle one")
        assert len(opened.search("needle")) == 1
        s.user("needle two")
        assert len(opened.search("needle")) == 2
        with opened.snapshot():
            s.user("needle three")
            assert len(opened.search("needle")) == 2
        assert len(opened.search("needle")) == 3
        recorder.history.delete(s.session_id)
        assert opened.search("needle").empty


def test_histories_come_in_the_order_given(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("b.db", "a.db")]
    for path in paths:
        said(path, "needle in " + path)
    with sessionlab.open(*paths) as opened:
        assert opened.search("needle")["origin"].to_list() == paths
        assert opened.search("needle", limit=1)["origin"].to_list() == [paths[1]]
        assert len(opened.search("needle", limit=1, source="sessionlab")) == 1


def test_a_pattern_is_told_by_regex_alone(path: str) -> None:
    said(path, "error 12", "Error twelve", "a.c", "abc", "one\ntwo")
    assert [row["snippet"] for row in searched(path, r"error \d+", regex=True)] == ["«error 12»"]
    assert [row["snippet"] for row in searched(path, "(e)(r)+or", regex=True)] == ["«error» 12", "«Error» twelve"]
    assert [row["snippet"] for row in searched(path, "(?-i:Error)", regex=True)] == ["«Error» twelve"]
    assert [row["snippet"] for row in searched(path, r"\btwo$", regex=True)] == ["one «two»"]
    assert [row["snippet"] for row in searched(path, "a.c")] == ["«a.c»"]
    assert len(searched(path, "a.c", regex=True)) == 2
    assert searched(path, r"error \d+") == []


@pytest.mark.parametrize(
    ("text", "regex", "expected"),
    [
        ("", False, "not empty"),
        ("", True, "not empty"),
        (None, False, "expected a text"),
        (b"bytes", False, "expected a text"),
        ("(", True, r"missing \)"),
        ("(?<=a)b", True, r"no look-around.*invalid perl operator: \(\?<="),
        ("x*", True, "fits an empty text"),
    ],
)
def test_what_cannot_be_sought_is_refused(lab: Lab, text: Any, regex: bool, expected: str) -> None:
    with pytest.raises(FrameError, match=expected) as caught:
        lab.search(text, regex=regex)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("filters", [{"colour": 1}, {"snippet": "x"}, {"limit": -1}, {"since": "soon"}, {"to": "xml"}])
def test_a_filter_that_is_none_is_refused(lab: Lab, filters: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match=next(iter(filters))):
        lab.search("x", **filters)


def test_upper_and_lower_case_are_one_as_far_as_one_letter_is_one(path: str) -> None:
    said(path, "GRÖSSE", "größe", "ΣΊΣΥΦΟΣ", "\N{KELVIN SIGN}elvin")
    assert [row["snippet"] for row in searched(path, "grö")] == ["«GRÖ»SSE", "«grö»ße"]
    assert [row["snippet"] for row in searched(path, "σίσυφος")] == ["«ΣΊΣΥΦΟΣ»"]
    assert [row["snippet"] for row in searched(path, "kelvin")] == ["«\N{KELVIN SIGN}elvin»"]


def test_a_long_text_is_cut_around_the_first_hit(path: str) -> None:
    said(path, "ä" * 500 + "needle" + "世" * 500 + "needle", "needle" + "x" * 500, "x" * 500 + "needle", "n" * 500)
    middle, start, end = (row["snippet"] for row in searched(path, "needle"))
    assert middle == "…" + "ä" * 37 + "«needle»" + "世" * 37 + "…"
    assert start == "«needle»" + "x" * 74 + "…"
    assert end == "…" + "x" * 74 + "«needle»"
    (long,) = (row["snippet"] for row in searched(path, "n{100,}", regex=True))
    assert long == "«" + "n" * 79 + "…»"


def test_what_steers_a_terminal_is_a_blank_and_marks_of_the_text_are_others(path: str) -> None:
    said(path, "\x1b[31mred\u202e\r\n\tneedle\x00\x07 «quoted»", "one\nneedle\n\n\ntwo", "«")
    assert [row["snippet"] for row in searched(path, "needle")][1] == "one «needle» two"
    first = searched(path, "needle")[0]["snippet"]
    assert first.startswith("[31mred «needle»")
    assert first.endswith(
        "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}quoted\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
    )
    assert re.search(UNSEEN, first.replace(" ", "")) is None
    assert [row["snippet"] for row in searched(path, "one\nneedle")] == ["«one needle» two"]
    assert len(searched(path, "«")) == 2


# One letter of these is one letter in either case, and Python folds them as RE2 does.
letters = st.text(st.sampled_from("aAbB ä.*(\\\n\x07世\N{GRINNING FACE}é«»"), max_size=40)


@settings(max_examples=40)  # each makes a store
@given(texts=st.lists(st.one_of(letters, st.none()), min_size=1, max_size=8), needle=letters.filter(bool))
@example(texts=["aaa", "aa", None], needle="AA")
@example(texts=["世世世"], needle="世")
@example(texts=["x\\Ey"], needle="\\E")
def test_hits_are_those_that_python_finds(texts: list[str | None], needle: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "history.db")
        with Recorder(path) as recorder, recorder.session("s") as s, s.batch():
            for text in texts:
                s.assistant(text)
        rows = searched(path, needle)
    expected = [(n, text) for n, text in enumerate(texts) if text and needle.casefold() in text.casefold()]
    assert [row["message_index"] for row in rows] == [n for n, _ in expected]
    for row, (_, text) in zip(rows, expected, strict=True):
        assert row["hit_count"] == text.casefold().count(needle.casefold())
        assert row["snippet"].count("«") == row["snippet"].count("»") == 1
        before, _, rest = row["snippet"].partition("«")
        hit, _, after = rest.partition("»")
        assert blank(hit) == blank(needle)
        at = text.casefold().index(needle.casefold())
        assert blank(text[:at]).endswith(blank(before.removeprefix("…")))
        assert blank(text[at + len(needle) :]).startswith(blank(after.removesuffix("…")))


def blank(text: str) -> str:
    """Return a text without what a snippet may change: blanks, case and marks."""
    text = text.casefold().translate({0x2039: "«", 0x203A: "»"})
    return re.sub(UNSEEN, "", text)


def test_the_model_of_a_hit_is_that_of_its_turn(path: str) -> None:
    with Recorder(path) as recorder:
        for model in ("small", "large"):
            with recorder.session(model, config=ModelConfig(request_model=model)) as s:
                s.user("needle")
                s.assistant("needle").tool_call("bash", "needle").result("needle")
    rows = searched(path, "needle", model="large")
    assert {row["session_name"] for row in rows} == {"large"}
    assert [row["place"] for row in rows] == ["content", "arguments", "result"]


def test_an_age_counts_back_from_now(path: str) -> None:
    said(path, "needle")
    assert len(searched(path, "needle", since=timedelta(hours=1))) == 1
    assert len(searched(path, "needle", until="1h")) == 0
