"""The benchmarks measure what they say, at a tiny size, and work out for themselves whether an aim is met."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import memory, processes, reading
from benchmarks.aims import MILLION, Aim
from benchmarks.growth import flat_lines, growths
from benchmarks.peers import FRAMES, PEERS, checksum, is_installed, missing
from benchmarks.recorders import RECORDERS
from benchmarks.timing import Line, beside

MESSAGES = 1_000


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run the cheap parts, and one that cannot be run without npm; return the process and what it wrote."""
    room = tmp_path_factory.mktemp("bench")
    path = str(room / "bench.json")
    command = [sys.executable, "-m", "benchmarks", "--runs", "1", "--events", "100", "--messages", str(MESSAGES)]
    for part in ("importing", "recording", "reading", "transcripts"):
        command += ["--part", part]
    done = subprocess.run(
        [*command, "--lines", "100", "--json", path],
        cwd=processes.ROOT,
        env={**os.environ, "PATH": str(room)},
        capture_output=True,
        text=True,
        check=False,
    )
    with open(path, encoding="utf-8") as file:
        return done, json.load(file)


def by_work(written: dict[str, Any], part: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in written["lines"]:
        if line["part"] == part:
            found.setdefault(line["work"], []).append(line)
    return found


def test_each_frame_is_read_first_and_again_beside_every_other_way(ran: Any) -> None:
    works = by_work(ran[1], "reading")
    for frame in FRAMES:
        for work in (f"first open + frame('{frame}')", f"frame('{frame}'), again"):
            assert [line["other"] for line in works[work]] == list(PEERS), work
    for line in (line for lines in works.values() for line in lines):
        assert line["messages"] == MESSAGES
        if line["note"]:
            assert missing(line["other"]), line
        else:
            assert line["ratio"] == pytest.approx(line["other_s"] / line["ours_s"]), line  # of one pair, the median


def test_parts_of_a_frame_a_group_by_and_the_refresh_are_lines(ran: Any) -> None:
    works = by_work(ran[1], "reading")
    for start in (
        "frame('messages') of one session",
        "frame('messages') of the last 7 days",
        "tokens per model and day",
    ):
        assert [lines for work, lines in works.items() if work.startswith(start)], start
    others = [line["other"] for line in works["refresh after 1,000 new messages"]]
    assert others == ["a first open", "pandas.read_sql"]


def test_recording_is_measured_alone_together_and_in_short_and_long_sessions(ran: Any) -> None:
    works = by_work(ran[1], "recording")
    by_hand = [work for work, lines in works.items() if any("by hand" in line["other"] for line in lines)]
    assert len(by_hand) == 6, by_hand
    [together] = works["one message, committed, of 4 processes at once"]
    assert 0 < together["ours_share"] <= 1
    assert 0 < together["other_share"] <= 1
    grown = works["a prompt and its answer, written to a session that has messages"]
    assert [line["other"] for line in grown] == list(RECORDERS)


def test_importing_tells_time_and_modules(ran: Any) -> None:
    works = by_work(ran[1], "importing")
    [alone, *_] = works["import sessionlab, over bare Python"]
    [recorder] = works["import sessionlab and make a Recorder, over bare Python"]
    assert 0 < alone["ours_modules"] < recorder["ours_modules"]


def test_what_is_not_installed_is_a_line_that_says_how_to_get_it(ran: Any) -> None:
    modules = {"import llm": "llm", "import agents": "agents", "polars, ADBC": "adbc_driver_sqlite"}
    modules |= {"llm, log_to_db": "llm", "OpenAI Agents SDK, SQLiteSession": "agents"}
    for name, module in modules.items():
        lines = [line for line in ran[1]["lines"] if line["other"] == name]
        assert lines, name
        for line in lines:
            assert (line["ours_s"] is None) == (not is_installed(module)), line
            assert ("make bench" in line["note"]) == (not is_installed(module)), line


def test_the_aims_are_lines_and_those_for_large_stores_are_left_open_on_a_small_one(ran: Any) -> None:
    aims = {(line["work"], line["aim_text"]): line["is_met"] for line in ran[1]["lines"] if line["aim"]}
    told = {aim: is_met for aim, is_met in aims.items() if is_met is not None}
    assert {aim for _, aim in told} == {
        "at most 30 ms",
        "at most 60 ms",
        "at most 1.5 times as long",
        "flat, within 1.25 times",
    }
    left_open = [work for work, aim in aims.keys() - told.keys() if aim.endswith("at 1,000,000 messages")]
    assert sorted(left_open) == [
        "first open + frame('turns', columns=…) without text",
        "frame('messages'), again",
        "refresh after 1,000 new messages",
        "tokens per model and day, again",
    ]


def test_the_tables_show_every_work_and_a_verdict_for_every_aim(ran: Any) -> None:
    done, written = ran
    shown = done.stdout.split("Aims")
    flat = "".join(shown[0].split())
    for line in written["lines"]:
        assert line["work"][:20].replace(" ", "") in flat, line["work"]
        assert line["other"] is None or line["other"][:8].replace(" ", "") in flat
    verdicts = [row for row in shown[1].splitlines() if any(f" {word} " in row for word in ("met", "missed", "larger"))]
    assert len(verdicts) == sum(line["aim"] is not None for line in written["lines"])


def test_the_json_tells_what_it_was_measured_on(ran: Any) -> None:
    machine = ran[1]["machine"]
    assert all(machine[name] for name in ("date", "cores", "python", "sqlite", "duckdb", "pandas", "sessionlab"))
    assert (ran[1]["sizes"], ran[1]["runs"], ran[1]["events"]) == ([MESSAGES], 1, 100)


def test_a_part_that_fails_is_named_and_the_other_parts_are_written(ran: Any) -> None:
    done, written = ran
    assert done.returncode == 1
    assert written["failed"] == ["transcripts: npm is not there; install Node.js, or choose other parts with --part."]
    assert "transcripts: npm is not there" in done.stderr
    assert {line["part"] for line in written["lines"]} == {"importing", "recording", "reading"}


def test_ways_that_find_other_rows_are_not_compared() -> None:
    reading.same("turns", checksum(["a", None, "b"]), "DuckDB", checksum(["b", float("nan"), "a"]))
    reading.same("tokens", checksum([1, 22]), "pandas", checksum([22.0, 1.0]))
    for other in (["a", None], ["a", None, "c"]):
        with pytest.raises(SystemExit, match=r"turns: 3 rows .* by DuckDB"):
            reading.same("turns", checksum(["a", None, "b"]), "DuckDB", checksum(other))


def line(**values: Any) -> Line:
    return Line(**{"work": "work", "ours_s": 1.0, "other_s": 2.0, "ratio": 2.0, "messages": MILLION, **values})


@pytest.mark.parametrize(
    ("aim", "met", "missed"),
    [
        (Aim(least_ratio=20), {"ratio": 20.0}, {"ratio": 19.9}),
        (Aim(most_times=1.5), {"ratio": 0.67}, {"ratio": 0.66}),
        (Aim(flat_within=1.25), {"ratio": 0.8}, {"ratio": 0.79}),
        (Aim(most_s=0.03), {"ours_s": 0.03}, {"ours_s": 0.031}),
        (Aim(most_more_mb=40), {"ours_mb": 140.0, "other_mb": 100.0}, {"ours_mb": 141.0, "other_mb": 100.0}),
    ],
)
def test_an_aim_is_met_up_to_its_limit_and_missed_beyond(aim: Aim, met: Any, missed: Any) -> None:
    assert line(aim=aim, **met).is_met is True
    assert line(aim=aim, **missed).is_met is False
    assert line(aim=aim, **{**met, "ours_s": None}).is_met is None


def test_an_aim_for_large_stores_says_nothing_of_small_ones() -> None:
    aim = Aim(least_ratio=20, at_messages=MILLION)
    assert str(aim) == "20 times faster at 1,000,000 messages"
    assert [line(aim=aim, ratio=1.0, messages=size).is_met for size in (None, MILLION - 1, MILLION)] == [
        None,
        None,
        False,
    ]


def test_a_ratio_is_the_median_of_the_pairs_and_not_of_the_times() -> None:
    assert beside("work", [1.0, 10.0, 2.0], "other", [3.0, 20.0, 8.0]).ratio == 3.0


@given(power=st.floats(-1, 3), factor=st.floats(1e-6, 1))
def test_the_exponent_says_by_which_power_the_time_grows(power: float, factor: float) -> None:
    lines = [line(messages=size, ours_s=factor * size**power) for size in (100, 1_000, 10_000)]
    [growth] = growths([*lines, line(work="another"), line(messages=None)])
    assert growth.exponent == pytest.approx(power, abs=1e-6)


def test_what_must_not_grow_is_held_to_its_time_on_the_smallest_store() -> None:
    work = "refresh after 1,000 new messages"
    for most_s, is_met in ((0.1, True), (0.11, False)):
        lines = [line(work=work, messages=size, ours_s=s) for size, s in ((10_000, 0.05), (MILLION, most_s))]
        [flat] = flat_lines([*lines, line(messages=10_000), line()])
        assert (flat.work, flat.is_met) == (f"{work} on 1,000,000", is_met)


def test_the_most_memory_of_a_process_is_its_own() -> None:
    held = bytearray(300_000_000)
    ended = processes.run([sys.executable, "-c", "print(len(bytearray(50_000_000)))"])
    assert ended.output == "50000000\n"
    assert ended.elapsed_s > 0
    assert ended.peak_mb is not None
    assert 50 < ended.peak_mb < 150
    del held


def test_a_process_that_fails_ends_the_measuring_of_its_part() -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        processes.run([sys.executable, "-c", "raise SystemExit(3)"])


def test_whole_processes_find_the_same_rows_and_tell_their_memory(sample: str) -> None:
    found = [memory.read(way, "turn_numbers", sample) for way in ("sessionlab", "sqlite3 fetchall")]
    assert found[0].output == found[1].output
    ours = memory.of_processes("work", found[:1], "sqlite3 fetchall", found[1:])
    assert ours.ours_mb is not None
    assert ours.other_mb is not None
    assert ours.ours_mb > ours.other_mb
