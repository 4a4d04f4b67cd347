"""`lab.redact()`: the same frames with no secret in them."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from opened import lab_of
from planted_secrets import planted

import sessionlab
from sessionlab import Lab, ModelConfig, Recorder, Usage
from sessionlab.errors import FrameError, SessionLabWarning
from sessionlab.lab.frames import FRAMES

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECRETS = planted(7)
ALL = " and ".join(text for text, _ in SECRETS.values())
HOME = SECRETS["home"][1]


def record(path: str, *, directory: str = f"{HOME}/projects/x", text: str = ALL, sessions: int = 1) -> None:
    config = ModelConfig(
        provider_name="openai",
        request_model=f"ft:model:{SECRETS['email'][0]}",
        api_base="https://api.example.com/v1",
        stop_sequences=[SECRETS["email"][0], "end"],
        extra={"note": f"{HOME}/notes", "n": 1},
    )
    with Recorder(path) as recorder:
        for number in range(sessions):
            with recorder.session(
                f"name {text} {number}",
                agent=f"agent {text}",
                directory=directory,
                config=config,
                metadata={"env": {"key": text}, "count": 3},
            ) as session:
                session.system(text)
                session.user(text)
                turn = session.assistant(
                    text, reasoning=text, finish_reason="tool_call", usage=Usage(input_tokens=10, output_tokens=2)
                )
                turn.tool_call(f"tool {text}", {"cmd": text, "n": [1, None]}).result(
                    json.dumps({"out": text, "ok": True}), exit_code=1, is_error=True
                )
                session.error(RuntimeError(text))
                session.note(text)


@pytest.fixture
def path(tmp_path: Path) -> str:
    folder = tmp_path / "work"
    folder.mkdir()
    path = str(folder / "history.db")
    record(path)
    return path


def texts_of(table: Any) -> str:
    return json.dumps(table.to_pylist(), default=str, ensure_ascii=False)


def test_no_planted_secret_is_in_any_cell_of_any_frame(path: str) -> None:
    redaction = lab_of(path).redact()
    plain = "".join(texts_of(lab_of(path).frame(name, to="arrow")) for name in FRAMES)
    redacted = "".join(texts_of(redaction.frame(name, to="arrow")) for name in FRAMES)
    for name, (_, secret) in SECRETS.items():
        shown = json.dumps(secret)[1:-1]
        assert shown in plain or json.dumps(shown)[1:-1] in plain, name
        assert secret not in redacted, name
        assert shown not in redacted, name
        assert json.dumps(shown)[1:-1] not in redacted, name


@pytest.mark.parametrize("sample", ["history.db", "claude_code", "codex", "appam"])
def test_rows_keys_numbers_times_and_dtypes_are_those_of_the_lab(sample: str) -> None:
    lab = lab_of(os.path.join(ROOT, "sample_data", sample))
    redaction = lab.redact()
    for name, frame in FRAMES.items():
        plain, redacted = lab.frame(name), redaction.frame(name)
        assert len(redacted) == len(plain)
        assert redacted.dtypes.equals(plain.dtypes)
        assert redacted[list(frame.key)].drop_duplicates().shape == plain[list(frame.key)].drop_duplicates().shape
        others = [column.name for column in frame.columns if column.type not in ("text", "list")]
        pd.testing.assert_frame_equal(redacted[others], plain[others])
        pd.testing.assert_frame_equal(redacted.isna(), plain.isna())
        assert redaction.frame(name, to="polars").shape == plain.shape


def test_what_stands_between_the_secrets_stays(path: str) -> None:
    content = lab_of(path).redact().frame("messages").content.dropna().iloc[0]
    assert content.count(" and ") == len(SECRETS) - 1
    assert not [
        word for word in ("postgres://app:", "@db.internal/x", "DB_PASSWORD=", "Bearer ") if word not in content
    ]


def test_frames_join_although_an_id_holds_a_home_path(path: str) -> None:
    import pyarrow as pa

    lab = lab_of(path)
    redaction = lab.redact()
    ids = [r"C:\Users\eve\a", "C:/Users/eve/a", f"{HOME}/a", "plain"]
    table = pa.table(
        {"session_id": pa.array(ids, pa.large_string()), "parent_session_id": pa.array(ids, pa.large_string())}
    )
    redacted = redaction.redacted(table)
    assert redacted["session_id"].to_pylist() == redacted["parent_session_id"].to_pylist()
    assert len(set(redacted["session_id"].to_pylist())) == 4
    assert redacted["session_id"][3].as_py() == "plain"
    assert not any(name in text for text in redacted["session_id"].to_pylist() for name in ("eve", HOME))
    again = redaction.redacted(table.slice(1))
    assert again["session_id"].to_pylist() == redacted["session_id"].to_pylist()[1:]


def test_the_same_secret_has_the_same_placeholder_in_all_frames(path: str) -> None:
    redaction = lab_of(path).redact()
    calls, messages = redaction.frame("tool_calls"), redaction.frame("messages")
    prompt = messages[messages.role == "user"].content.iloc[0]
    assert json.loads(calls.arguments.iloc[0])["cmd"] == prompt
    assert json.loads(calls.result.iloc[0])["out"] == prompt
    assert redaction.frame("sessions").first_prompt.iloc[0] == prompt
    assert redaction.frame("turns").prompt.iloc[0] == prompt


def test_redacting_twice_changes_nothing_more(path: str) -> None:
    lab = lab_of(path)
    for name in FRAMES:
        once = lab.redact().frame(name, to="arrow")
        assert lab.redact().redacted(once).equals(once)


def test_filters_go_by_what_stands_in_the_lab(path: str) -> None:
    redaction = lab_of(path).redact()
    found = redaction.frame("sessions", directory=f"{HOME}/projects/x", columns=["directory", "models"])
    assert len(found) == 1
    assert found.directory.iloc[0].endswith(">/projects/x")
    assert len(redaction.frame("turns", limit=1)) == 1
    with pytest.raises(FrameError, match="no_such"):
        redaction.frame("turns", no_such=1)
    with pytest.raises(FrameError, match="csv"):
        redaction.frame("turns", to="csv")  # type: ignore[call-overload]


def test_pieces_are_the_frame(path: str, tmp_path: Path) -> None:
    import pyarrow as pa

    record(path, sessions=3)
    lab = lab_of(path)
    redaction = lab.redact()
    for name in FRAMES:
        for filters in ({}, {"limit": 2}, {"since": "2000-01-01"}):
            whole = redaction.frame(name, to="arrow", **filters)
            pieces = list(redaction.pieces(name, row_count=2, **filters))
            assert all(0 < piece.num_rows <= 2 for piece in pieces)
            assert pa.concat_tables(pieces).equals(whole)
    with pytest.raises(FrameError, match="row_count=0"):
        lab.pieces("turns", row_count=0)


def test_what_comes_later_is_redacted_as_well_with_the_same_placeholders(path: str) -> None:
    lab = lab_of(path)
    redaction = lab.redact()
    first = redaction.frame("messages").content.dropna().iloc[0]
    record(path, directory="/home/somebody-else/x", text=f"{ALL} x/home/somebody-else/y")
    contents = redaction.frame("messages").content.dropna()
    assert contents.iloc[0] == first
    assert not contents.str.contains("somebody-else").any()


def test_counts_say_how_many_of_each_kind_were_replaced(path: str) -> None:
    record(path, text="Write to bob@example.com.", directory="/srv")
    lab = lab_of(path)
    counts = lab.redact().counts
    assert list(counts.columns) == ["kind", "secret_count", "cell_count"]
    of_kind = dict(zip(counts.kind, zip(counts.secret_count, counts.cell_count, strict=True), strict=True))
    assert of_kind["email"][0] == 2
    assert of_kind["private-key"][0] == 2
    tables = [lab.frame(name) for name in FRAMES]
    cells = sum(int(t[c].astype(str).str.contains("PRIVATE").sum()) for t in tables for c in t.columns)
    assert of_kind["private-key"][1] == cells
    redaction = lab.redact()
    shown, page = repr(redaction), redaction._repr_html_()
    assert "2 email" in shown
    assert "<td>email</td><td>2</td>" in page
    assert not any(secret in shown + page for _, secret in SECRETS.values())


def test_nothing_to_replace_is_said_so(tmp_path: Path) -> None:
    path = str(tmp_path / "plain.db")
    with Recorder(path) as recorder, recorder.session("plain", directory="/srv") as session:
        session.user("Hello.")
    with sessionlab.open(path) as lab:
        redaction = lab.redact()
        assert redaction.frame("messages", to="arrow").equals(lab.frame("messages", to="arrow"))
        emails = redaction.counts.set_index("kind").secret_count
        assert emails.drop("home").sum() == 0


def test_rows_without_a_time_are_told_once_also_piece_by_piece() -> None:
    lab = lab_of(os.path.join(ROOT, "sample_data", "awful_aj", "aj.db"))
    with pytest.warns(SessionLabWarning, match="no time") as told:
        assert list(lab.pieces("messages", since="7d")) == []
    assert len(told) == 1


def test_a_snapshot_holds_one_view(path: str) -> None:
    redaction = lab_of(path).redact()
    with redaction.snapshot() as held:
        before = len(held.frame("messages"))
        record(path)
        assert len(held.frame("messages")) == before
    assert len(redaction.frame("messages")) > before


def test_a_copy_of_the_sample_elsewhere_loses_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "somebody"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "somebody"))
    (tmp_path / "somebody").mkdir()
    shutil.copy(os.path.join(ROOT, "sample_data", "history.db"), tmp_path / "somebody" / "history.db")
    lab: Lab = lab_of(tmp_path / "somebody" / "history.db")
    origins = lab.redact().frame("sessions").origin.unique().tolist()
    assert len(origins) == 1
    assert origins[0].startswith("<home-")
    assert "somebody" not in origins[0]
