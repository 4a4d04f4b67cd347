"""awful_aj: what its histories say, what they cannot say, and the key in them that nobody gets to see."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from test_foreign_files import ROOT, SAMPLES, contents_of_sample
from test_frames import COLUMNS

import sessionlab
from sessionlab import SessionLabWarning

if TYPE_CHECKING:
    from pathlib import Path

BRAIN = (
    "Below is a JSON representation of our conversation leading up to this point. "
    'Please only respond to this message with "Ok.":\n{"memories":[]}'
)
DOCUMENTS = "Below is supplementary documentation that may be relevant to answering the user's question:\n\nText."
READ = "I have reviewed the supplementary documentation."
KEY = "sk-recognisable-4f8a21c7d9e35b60"


def schema(name: str) -> str:
    """Return one of the statements by which such files are made."""
    with open(os.path.join(ROOT, "sample_data", "schemas", "awful_aj", name), encoding="utf-8") as file:
        return file.read()


_BOOKKEEPING = schema("migration.sql").index("CREATE TABLE __diesel")
VARIANTS = {
    "by migration": schema("migration.sql"),
    "by the tool": schema("migration.sql")[:_BOOKKEEPING].replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"),
    "by hand": schema("by_hand.sql"),
}


class Written:
    """A history that is being written, and a lab of it."""

    def __init__(self, path: Path, variant: str = "by hand") -> None:
        self.path = str(path)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript("pragma foreign_keys = off; pragma journal_mode = off; pragma synchronous = off")
        self.db.executescript(VARIANTS[variant])

    def say(self, conversation: int | None, *texts: tuple[str, str]) -> None:
        """Add messages."""
        self.db.executemany(
            "insert into messages (role, content, conversation_id) values (?, ?, ?)",
            [(role, text, conversation) for role, text in texts],
        )

    def conversation(self, name: str) -> int:
        """Add a conversation and return its id."""
        return int(self.db.execute("insert into conversations (session_name) values (?)", [name]).lastrowid or 0)

    def config(self, conversation: int | None, model: str = "m", **more: Any) -> None:
        """Add a configuration."""
        row = {"api_base": "http://x/v1", "api_key": KEY, "context_max_tokens": 8192, "model": model}
        row |= {"assistant_minimum_context_tokens": 2048, "stop_words": "", "conversation_id": conversation} | more
        self.db.execute(
            f"insert into awful_configs ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values())
        )

    def lab(self) -> sessionlab.Lab:
        """Open it, with nobody else at it."""
        self.db.close()
        os.utime(self.path, (1_700_000_000, 1_700_000_000))
        return sessionlab.open(self.path)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "aj.db")


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_of_all_three_makes_are_read_alike(tmp_path: Path, variant: str) -> None:
    written = Written(tmp_path / "aj.db", variant)
    number = written.conversation("first")
    written.config(number, "demo-7b", stop_words="\n<|im_start|>,<|im_end|>")
    written.say(number, ("system", "s"), ("user", BRAIN), ("assistant", "Ok"), ("user", "q"), ("assistant", "a"))
    with written.lab() as lab:
        assert [source for source, _ in lab.sources] == ["awful_aj"]
        turn = lab.frame("turns").iloc[0]
        assert (turn.prompt, turn.response, turn.request_model) == ("q", "a", "demo-7b")
        assert lab.frame("messages").is_preamble.tolist()[:3] == [True] * 3
        assert lab.frame("model_configs").stop_sequences.tolist() == [["\n<|im_start|>", "<|im_end|>"]]
        assert len(lab.problems) == 0


def test_a_name_used_twice_is_two_sessions(written: Written) -> None:
    for word in ("one", "two"):
        written.say(written.conversation("same"), ("user", word), ("assistant", f"{word} too"))
    with written.lab() as lab:
        sessions = lab.frame("sessions")
        assert sessions.name.tolist() == ["same", "same"]
        assert sessions.session_id.is_unique
        assert sessions.native_id.tolist() == ["1", "2"]
        assert sessions.first_prompt.tolist() == ["one", "two"]


def test_messages_without_a_conversation_or_of_one_that_is_gone_are_sessions_without_a_name(written: Written) -> None:
    written.say(None, ("user", "of none"), ("assistant", "a"))
    written.say(77, ("user", "of one that is gone"), ("assistant", "b"))
    written.db.execute("insert into messages (role, content, conversation_id) values ('user', 'odd', 'what')")
    written.db.execute("insert into messages (role, content, conversation_id) values ('user', 'between', 1.5)")
    written.say(written.conversation("a"), ("user", "first"))
    written.say(written.conversation("b"), ("user", "second"))
    with written.lab() as lab:
        sessions = lab.frame("sessions").set_index("native_id", drop=False)
        assert sessions.name.dropna().tolist() == ["a", "b"]
        assert sessions.message_count.tolist() == [4, 1, 1, 2]
        assert sessions[sessions.native_id.isna()].first_prompt.tolist() == ["of none"]
        assert sessions.first_prompt["77"] == "of one that is gone"
        assert sessions.first_prompt["2"] == "second"  # 1.5 is not rounded
        assert sorted(lab.problems.record) == ["conversations 77", "messages 5", "messages 6"]


PREAMBLES: dict[str, tuple[list[tuple[str, str]], list[bool]]] = {
    "system and brain": ([("system", "s"), ("user", BRAIN), ("assistant", "Ok")], [True] * 3),
    "with documents": (
        [("system", "s"), ("user", DOCUMENTS), ("assistant", READ), ("user", BRAIN), ("assistant", "Ok")],
        [True] * 5,
    ),
    "no system": ([("user", BRAIN), ("assistant", "Ok")], [True] * 2),
    "a system row only": ([("system", "s")], [True]),
    "two system rows": ([("system", "s"), ("system", "t")], [True, False]),
    "brain without Ok": ([("system", "s"), ("user", BRAIN)], [True, False]),
    "brain with another answer": ([("system", "s"), ("user", BRAIN), ("assistant", "Ok.")], [True, False, False]),
    "documents without the answer": (
        [("system", "s"), ("user", DOCUMENTS), ("user", BRAIN), ("assistant", "Ok")],
        [True, False, False, False],
    ),
    "brain before documents": (
        [("system", "s"), ("user", BRAIN), ("assistant", "Ok"), ("user", DOCUMENTS), ("assistant", READ)],
        [True, True, True, False, False],
    ),
    "a user who types the literal later": (
        [("system", "s"), ("user", "q"), ("assistant", "a"), ("user", BRAIN), ("assistant", "Ok")],
        [True, False, False, False, False],
    ),
    "the literal from the model": ([("system", "s"), ("assistant", BRAIN), ("assistant", "Ok")], [True, False, False]),
    "Ok to something else": ([("system", "s"), ("user", "Ok?"), ("assistant", "Ok")], [True, False, False]),
    "nothing before": ([], []),
}


@pytest.mark.parametrize("which", PREAMBLES)
def test_only_what_is_proven_to_be_preamble_is_and_nothing_is_ever_known_not_to_be(
    written: Written, which: str
) -> None:
    begin, proven = PREAMBLES[which]
    number = written.conversation("x")
    template = [("user", "an example"), ("assistant", "its answer")]
    written.say(number, *begin, *template, ("user", "q"), ("assistant", "Ok"))
    with written.lab() as lab:
        messages = lab.frame("messages")
        assert messages.is_preamble.isna().tolist() == [not is_proven for is_proven in proven] + [True] * 4
        assert messages.is_preamble.dropna().all()
        answers = sum(role == "assistant" and not is_proven for (role, _), is_proven in zip(begin, proven, strict=True))
        turns = lab.frame("turns")
        assert len(turns) == answers + 2
        assert turns.response.tolist()[-2:] == ["its answer", "Ok"]
        assert turns.prompt.tolist()[-2:] == ["an example", "q"]


def test_configurations_noted_again_and_again_are_one_and_which_answered_is_never_guessed(written: Written) -> None:
    several, one, none = (written.conversation(name) for name in ("several", "one", "none"))
    for model in ("A", "B", "B", "B"):
        written.config(several, model)
    for _ in range(3):
        written.config(one, "A")
    for number in (several, one, none):
        written.say(number, ("user", "q"), ("assistant", "a"))
    with written.lab() as lab:
        configs = lab.frame("model_configs")
        assert configs.request_model.tolist() == ["A", "B"]
        assert configs.session_count.tolist() == [2, 1]
        assert configs.turn_count.tolist() == [1, 0]
        turns = lab.frame("turns")
        assert turns.model_config_status.tolist() == ["unknown", "only", "unknown"]
        assert turns.request_model.fillna("-").tolist() == ["-", "A", "-"]
        assert turns.model_config_id.isna().tolist() == [True, False, True]
        assert lab.frame("turns", model="A").shape[0] == 1
        assert lab.frame("turns", model="B").shape[0] == 0


def test_stop_words_are_what_the_text_says_without_guessing(written: Written) -> None:
    given = ["", "\n<|im_start|>,<|im_end|>", "a", "a,,b", ",", "\n", "\r\n,\t"]
    for number, words in enumerate(given):
        written.config(written.conversation(str(number)), f"m{number}", stop_words=words)
    with written.lab() as lab:
        configs = lab.frame("model_configs")
        assert configs.stop_sequences.tolist() == [
            [], ["\n<|im_start|>", "<|im_end|>"], ["a"], ["a", "b"], [], ["\n"], ["\r\n", "\t"],
        ]  # fmt: skip
        # Where a word may have held a comma itself, the text is kept as it is.
        assert configs.extra.fillna("").tolist() == ["", "", "", '{"stop_words":"a,,b"}', '{"stop_words":","}', "", ""]


def test_a_context_that_cannot_be_is_null_and_a_problem(written: Written) -> None:
    for tokens in (-1294967296, -1, 0, 2**31 - 1):
        written.config(written.conversation(str(tokens)), str(tokens), context_max_tokens=tokens)
    with written.lab() as lab:
        assert lab.frame("model_configs").context_max_tokens.fillna(-9).tolist() == [-9, -9, 0, 2**31 - 1]
        assert lab.problems.record.tolist() == ["awful_configs 1", "awful_configs 2"]


def test_there_are_no_times_so_since_and_until_leave_out_all_with_one_warning() -> None:
    with sessionlab.open(SAMPLES["awful_aj"]) as lab:
        for name in ("sessions", "turns", "messages"):
            frame = lab.frame(name)
            times = [column for column in frame.columns if column.endswith("_at")]
            assert frame[times].isna().all().all()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                assert len(lab.frame(name, since="2000-01-01", until="2100-01-01")) == 0
            assert [(w.category, str(w.message).split()[0]) for w in caught] == [(SessionLabWarning, str(len(frame)))]
        assert len(lab.frame("turns", limit=3)) == 3


def with_keys(tmp_path: Path, how: str) -> str:
    """Write a history whose keys can be recognised, sound or such that it must be read row by row."""
    written = Written(tmp_path / "aj.db")
    for number in range(200):
        key = written.conversation(f"c{number}")
        written.config(key, f"m{number}", api_base=f"http://ada:{KEY}@proxy.example/v1?api_key={KEY}")
        written.say(key, ("user", "q" * 50), ("assistant", "a"))
    if how == "not UTF-8":
        written.db.execute("update messages set content = cast(x'ff' as text) where id = 5")
        written.db.execute("update awful_configs set model = cast(x'ff' as text) where id = 5")
    if how == "unlikely values":
        written.db.execute("update awful_configs set context_max_tokens = 'x', conversation_id = 'y' where id = 7")
    written.db.close()
    if how == "damaged":
        with open(written.path, "rb") as file:
            data = bytearray(file.read())
        leaves = [at for at in range(0, len(data), 4096) if data[at] == 13 and KEY.encode() in data[at : at + 4096]]
        data[leaves[2] + 8 : leaves[2] + 200] = b"\xff" * 192
        with open(written.path, "wb") as file:
            file.write(data)
    if how == "wal left behind":
        program = (
            "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('pragma journal_mode = wal');"
            "db.execute('update messages set content = 1 where id = 1'); db.commit(); os._exit(9)"
        )
        subprocess.run([sys.executable, "-c", program, written.path], check=False)
        os.remove(written.path + "-shm")
        os.utime(written.path + "-wal", (1_700_000_000, 1_700_000_000))
    os.utime(written.path, (1_700_000_000, 1_700_000_000))
    return written.path


@pytest.mark.parametrize("how", ["sound", "not UTF-8", "unlikely values", "damaged", "wal left behind"])
def test_a_key_is_in_no_frame_no_problem_no_page_and_no_file_that_is_spilled(tmp_path: Path, how: str) -> None:
    path = with_keys(tmp_path, how)
    with open(path, "rb") as file:
        assert KEY.encode() in file.read()
    with sessionlab.open(path) as lab:
        shown = [repr(lab), lab._repr_html_()]
        for name in COLUMNS:
            shown.append(lab.frame(name).to_csv())
            result = lab.sql(f"from {name}")
            shown += [result.pandas().to_csv(), result._repr_html_(), repr(result)]
        shown.append(lab.problems.to_csv())
        shown.append(lab.search("http").to_csv() + lab.search("sk-").to_csv())
        assert lab._engine is not None
        for folder, _, names in os.walk(os.path.join(lab._engine.folder, "spill")):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    assert KEY.encode() not in file.read()
        assert len(lab.frame("model_configs")) > 150
        assert (how in ("sound", "wal left behind")) == (len(lab.problems) == 0)
    assert not any(KEY in text for text in shown)
    assert "proxy.example" in "".join(shown)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_key_is_in_nothing_that_the_command_line_writes(tmp_path: Path, form: str) -> None:
    from click.testing import CliRunner

    from sessionlab.cli import main

    path = with_keys(tmp_path, "sound")
    for name in ("model_configs", "sessions", "turns"):
        target = str(tmp_path / f"{name}.{form}")
        done = CliRunner().invoke(main, ["frame", name, path, "--format", form, "-o", target])
        assert done.exit_code == 0, done.output
        assert KEY not in done.output
        with open(target, "rb") as file:
            data = file.read()
        assert len(data) > 100
        assert KEY.encode() not in data
        if form == "parquet":
            import pyarrow.parquet as pq

            assert KEY not in str(pq.read_table(target).to_pylist())


def test_the_sample_reads_as_it_was_told() -> None:
    found = contents_of_sample("awful_aj")
    assert (found["sessions"], found["messages"], found["turns"]) == (20, 160, 51)
    assert (found["tool_calls"], found["token_usage"]) == (0, 0)
    assert len(found["reasons"]) == 5
