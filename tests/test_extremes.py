"""Very long messages and sessions, and texts of every kind: recorded, read back, searched, shown, framed, imported."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from command_line import run

import sessionlab
from sessionlab import Recorder

if TYPE_CHECKING:
    from pathlib import Path

LONG = 10_000_000
TEXTS = {
    "NUL": "before \0 needle \0 after",
    "lone surrogates": "\udc80 needle \ud83d end",
    "right to left": "שלום needle \u202eevil\u202c \u2067عربي\u2069",
    "not in any plane": "𐍈 needle \U0010ffff \ufffe",
    "controls": "\x1b[31m needle \x07\r\n\x85\u2028",
    "markup": "<script>needle</script> & 'quotes' \"too\"; drop table message; --",
}


def replaced(text: str) -> str:
    return "".join(f"\N{REPLACEMENT CHARACTER}\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)


def test_messages_of_ten_million_characters_are_recorded_read_back_searched_shown_and_imported(
    path: str, tmp_path: Path
) -> None:
    prompt = "p" * (LONG - 6) + "needle"
    answer = "ä" * LONG
    with Recorder(path) as recorder, recorder.session("long") as s:
        s.user(prompt)
        s.assistant(answer).tool_call("t", prompt).result(answer)
        assert [m.content for m in s.messages()] == [prompt, answer, answer]
    with sessionlab.open(path) as lab:
        assert lab.frame("messages").content.tolist() == [prompt, answer, answer]
        (call,) = lab.frame("tool_calls", columns=["arguments", "result"]).itertuples(index=False)
        assert (call.arguments, call.result) == (prompt, answer)
        hits = lab.search("NEEDLE")
        assert hits.place.tolist() == ["content", "arguments"]
        assert (hits.snippet.str.len() < 500).all()
        lengths = lab.sql("select max(length(content)) as n from messages").pandas()
        assert lengths["n"].tolist() == [LONG]
        browser = lab.browse()
        browser.session_id = lab.frame("sessions").session_id.iloc[0]
    shown = run("show", "long", path, "--no-pager").output
    assert "needle" in shown
    archive = str(tmp_path / "archive.db")
    sessionlab.import_histories(path, into=archive)
    with sessionlab.open(archive) as lab:
        assert lab.frame("messages").content.tolist() == [prompt, answer, answer]


def test_a_session_of_a_hundred_thousand_messages_is_recorded_at_once_goes_on_and_is_read_and_searched(
    path: str,
) -> None:
    count = 100_000
    with Recorder(path) as recorder:
        s = recorder.session("many")
        with s.batch():
            for number in range(count):
                s.user(f"text {number}")
        s.user("one more")
        assert len(s.messages()) == count + 1
        with sessionlab.open(path) as lab:
            messages = lab.frame("messages", columns=["message_index", "content"])
            assert messages.message_index.tolist() == list(range(count + 1))
            assert messages.content.iloc[[0, 54_321, count]].tolist() == ["text 0", "text 54321", "one more"]
            assert lab.search("text 54321").message_index.tolist() == [54_321]
            assert lab.frame("sessions").message_count.tolist() == [count + 1]
            s.user("the last")
            assert lab.frame("messages", limit=1).content.tolist() == ["the last"]
    assert json.loads(run("show", "many", path, "--format", "json").output)["messages"][-1]["content"] == "the last"


def test_a_text_of_any_kind_is_the_same_in_frames_sql_search_show_browser_and_archive(
    path: str, tmp_path: Path
) -> None:
    """Texts with NUL, lone surrogates, right to left, in no plane, that steer a terminal, and markup."""
    expected = [replaced(text) for text in TEXTS.values() for _ in range(3)]
    once = [[kept, kept] for kept in map(replaced, TEXTS.values())]
    with Recorder(path) as recorder, recorder.session("".join(TEXTS.values())) as s:
        for text in TEXTS.values():
            s.user(text)
            s.assistant(text).tool_call("t", text).result(text)
        assert [m.content for m in s.messages()] == expected
    archive = str(tmp_path / "archive.db")
    sessionlab.import_histories(path, into=archive)
    for file in (path, archive):
        with sessionlab.open(file) as lab:
            assert lab.frame("messages").content.tolist() == expected
            assert lab.frame("messages", to="arrow")["content"].to_pylist() == expected
            assert lab.frame("tool_calls")[["arguments", "result"]].to_numpy().tolist() == once
            assert lab.frame("sessions").name.tolist() == [replaced("".join(TEXTS.values()))]
            assert lab.sql("select content from messages").pandas()["content"].tolist() == expected
            assert lab.search("needle").place.tolist() == ["content", "content", "arguments", "result"] * len(TEXTS)
            assert lab.browse().frame("messages").content.tolist() == expected
    found = json.loads(run("show", "last", path, "--format", "json").output)
    assert [message["content"] for message in found["messages"]] == expected
    assert run("show", "last", path, "--no-pager").output.count("needle") >= 4 * len(TEXTS)
