"""Filters keep the rows that pandas would keep of the whole frame."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_frames import COLUMNS, SAMPLE, TIMES, dtype_of

import sessionlab
from sessionlab import FrameError, ModelConfig, Recorder, SessionLabWarning, Usage
from sessionlab.lab.filters import moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sessionlab import Lab

names = pytest.mark.parametrize("name", list(COLUMNS))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with sessionlab.open(SAMPLE) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(lab: Lab) -> dict[str, pd.DataFrame]:
    return {name: lab.frame(name) for name in COLUMNS}


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), rtol=1e-12)


def read(lab: Lab, name: str, **options: Any) -> Any:
    """Read with the warning about missing times let through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionLabWarning)
        return lab.frame(name, **options)


def only(lab: Lab, name: str, column: str, value: Any) -> Any:
    """Read with one filter."""
    filters: dict[str, Any] = {column: value}
    return lab.frame(name, **filters)


@names
def test_since_is_included_and_until_is_not(lab: Lab, whole: dict[str, pd.DataFrame], name: str) -> None:
    frame, column = whole[name], TIMES[name]
    times = frame[column].dropna().sort_values()
    since, until = times.iloc[len(times) // 3], times.iloc[2 * len(times) // 3]
    for start in (since, since.to_pydatetime(), since.isoformat(), since.tz_convert("Asia/Tokyo"), str(since)):
        for end in (until, until.isoformat().replace("+00:00", "Z")):
            found = read(lab, name, since=start, until=end)
            same(found, frame[(frame[column] >= since) & (frame[column] < until)])
    same(read(lab, name, since=since), frame[frame[column] >= since])
    same(read(lab, name, until=until), frame[frame[column] < until])
    assert read(lab, name, since=since, until=since).empty
    assert len(read(lab, name, since=since, until=since + timedelta(microseconds=1))) >= 1
    assert len(read(lab, name, since=None, until=None)) == len(frame)


def test_times_without_a_zone_are_local(lab: Lab, whole: dict[str, pd.DataFrame], monkeypatch: Any) -> None:
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        turns = whole["turns"]
        noon = pd.Timestamp("2026-09-02 12:00", tz="America/New_York")
        for since in ("2026-09-02 12:00", datetime(2026, 9, 2, 12), "2026-09-02T12:00:00"):
            same(lab.frame("turns", since=since), turns[turns.started_at >= noon])
        midnight = pd.Timestamp("2026-09-02", tz="America/New_York")
        for day in ("2026-09-02", date(2026, 9, 2)):
            same(lab.frame("turns", since=day), turns[turns.started_at >= midnight])
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("90s", 90), ("5m", 300), ("5 min", 300), ("12h", 43_200), ("7d", 604_800), ("2W", 1_209_600), ("1.5h", 5400)],
)
def test_ages_count_back_from_now(age: str, seconds: int) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert moment(age, "since", now) == now - timedelta(seconds=seconds)
    assert abs((datetime.now(UTC) - moment(age, "since")).total_seconds() - seconds) < 60


def test_an_age_finds_what_is_new(path: str, recorder: Recorder) -> None:
    s = recorder.session("a")
    s.user("old", at=datetime.now(UTC) - timedelta(days=8))
    s.user("new")
    with sessionlab.open(path) as lab:
        assert lab.frame("messages", since="7d").content.tolist() == ["new"]
        assert lab.frame("messages", until="7d").content.tolist() == ["old"]
        assert lab.frame("messages", since=timedelta(days=9)).content.tolist() == ["old", "new"]


@pytest.mark.parametrize(
    "wrong", ["yesterday", "7", "7y", "", 5, 5.5, True, {}, "2026-13-01", pd.NaT, "0001-01-01T00:00:00+23:00", b"7d"]
)
def test_what_is_no_time_is_an_error(lab: Lab, wrong: Any) -> None:
    for name in ("since", "until", "started_at"):
        with pytest.raises(FrameError, match=name):
            lab.frame("turns", **{name: wrong})


def test_rows_without_a_time_fall_out_with_one_warning_that_counts_them(path: str, recorder: Recorder) -> None:
    for number in range(4):
        s = recorder.session(str(number), config=ModelConfig(request_model=f"m{number}", provider_name="p"))
        if number == 3:
            s.assistant("used")
    with sessionlab.open(path) as lab:
        with pytest.warns(SessionLabWarning, match="^3 rows of 'model_configs' have no time") as caught:
            assert lab.frame("model_configs", since="1d", until="2100-01-01").request_model.tolist() == ["m3"]
        assert len(caught) == 1
        assert caught[0].filename == __file__
        with pytest.warns(SessionLabWarning, match="^1 rows"):
            assert lab.frame("model_configs", since="1d", request_model=["m3", "m1"]).request_model.tolist() == ["m3"]
        assert len(lab.frame("model_configs", since="1d", request_model="m3")) == 1
        # Without times they stay, and count as the oldest.
        assert len(lab.frame("model_configs")) == 4
        assert lab.frame("model_configs", limit=2).request_model.tolist() == ["m2", "m3"]


def of_sessions(whole: dict[str, pd.DataFrame], name: str, keep: Any) -> pd.DataFrame:
    """Return the rows of a frame whose sessions are kept; of configurations, those that such sessions used."""
    ids = set(whole["sessions"][keep(whole["sessions"])].session_id)
    if name == "model_configs":
        used = set(whole["turns"][whole["turns"].session_id.isin(ids)].model_config_id.dropna())
        return whole[name][whole[name].model_config_id.isin(used)]
    return whole[name][whole[name].session_id.isin(ids)]


@names
def test_session_agent_and_directory_filter_every_frame(lab: Lab, whole: dict[str, pd.DataFrame], name: str) -> None:
    sessions = whole["sessions"]
    for column in ("session_id", "agent_name", "directory"):
        values = sessions[column].dropna().unique().tolist()
        for value in (
            values[0],
            values[-1],
            values[:2],
            tuple(values),
            np.array(values[:2]),
            {values[1]},
            "nobody",
            [],
        ):
            wanted = [value] if isinstance(value, str) else list(value)
            found = only(lab, name, column, value)
            same(found, of_sessions(whole, name, lambda s, c=column, w=wanted: s[c].isin(w)))
    same(lab.frame(name, source="sessionlab"), whole[name])
    assert lab.frame(name, source=["awful_aj", "x"]).empty
    assert len(lab.frame(name, agent_name=None, directory=None, model=None, limit=None)) == len(whole[name])


def test_a_directory_may_be_relative_and_a_path(
    path: str, recorder: Recorder, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder.session("here", directory=".").user("q")
    recorder.session("there", directory="/elsewhere").user("q")
    with sessionlab.open(path) as lab:
        for value in (".", tmp_path, str(tmp_path) + "/", [tmp_path, "/nowhere"]):
            assert lab.frame("sessions", directory=value).name.tolist() == ["here"]
            assert len(lab.frame("messages", directory=value)) == 1


@names
def test_model_is_the_one_that_answered_or_else_was_asked_for(
    lab: Lab, whole: dict[str, pd.DataFrame], name: str
) -> None:
    turns = whole["turns"].assign(model=whole["turns"].response_model.fillna(whole["turns"].request_model))
    models = turns.model.dropna().unique().tolist()
    for wanted in ([models[0]], models[:2], [models[-1], "nobody"], ["nobody"]):
        kept = turns[turns.model.isin(wanted)]
        frame = whole[name]
        key = pd.MultiIndex.from_frame(kept[["session_id", "turn_id"]])
        if name == "sessions":
            expected = frame[frame.session_id.isin(kept.session_id)]
        elif name == "model_configs":
            expected = frame[frame.model_config_id.isin(kept.model_config_id)]
        else:
            expected = frame[pd.MultiIndex.from_frame(frame[["session_id", "turn_id"]]).isin(key)]
        same(lab.frame(name, model=wanted), expected)
        same(lab.frame(name, model=wanted[0]), lab.frame(name, model=wanted[:1]))


def newest(frame: pd.DataFrame, column: str, limit: int) -> pd.DataFrame:
    """Return the newest rows as DESIGN has it: by time, ties and missing times by recording order."""
    ordered = frame.reset_index(drop=True).assign(place=lambda f: range(len(f)))
    by_age = ordered.sort_values([column, "place"], ascending=False, na_position="last", kind="stable")
    missing = by_age[by_age[column].isna()].sort_values("place", ascending=False)
    by_age = pd.concat([by_age[by_age[column].notna()], missing])
    return by_age.head(limit).sort_values("place").drop(columns="place")


@names
@pytest.mark.parametrize("limit", [0, 1, 3, 17, 10_000, np.int64(5)])
def test_limit_gives_the_newest_in_recording_order(
    lab: Lab, whole: dict[str, pd.DataFrame], name: str, limit: int
) -> None:
    same(lab.frame(name, limit=limit), newest(whole[name], TIMES[name], int(limit)))
    some = whole[name].columns[-1]
    same(lab.frame(name, limit=limit, columns=[some]), newest(whole[name], TIMES[name], int(limit))[[some]])


def test_limit_and_text_work_together_over_several_histories(tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    for place, name in enumerate(("a.db", "b.db")):
        with Recorder(tmp_path / name) as recorder:
            s = recorder.session(name)
            for number in (3, 1, 2, 2, 5, 4):
                s.user(f"{number} {'odd' if number % 2 else 'even'}", at=at + timedelta(hours=2 * number + place))
                s.assistant("same", at=at)
    with sessionlab.open(tmp_path / "b.db", tmp_path / "a.db") as lab:
        frame = lab.frame("messages")
        for limit in range(14):
            same(lab.frame("messages", limit=limit), newest(frame, "created_at", limit))
            same(
                lab.frame("messages", content=["same", "2 even"], limit=limit, columns=["content", "message_index"]),
                newest(frame[frame.content.isin(["same", "2 even"])], "created_at", limit)[
                    ["content", "message_index"]
                ],
            )


@names
def test_every_column_filters_by_equality_lists_and_none(lab: Lab, whole: dict[str, pd.DataFrame], name: str) -> None:
    frame = whole[name]
    for column in COLUMNS[name].split():
        values = frame[column].dropna()
        if column in ("agent_name", "directory", "session_id", "source", "model"):
            continue  # tested above; None means "not given" there
        if dtype_of(column) == "object":
            known = sorted({v for listed in values for v in listed})
            for wanted in (known[:1], known[:2], ["nobody"]):
                keep = [listed is not None and not set(listed).isdisjoint(wanted) for listed in frame[column]]
                same(only(lab, name, column, wanted), frame[keep])
                if wanted:
                    same(only(lab, name, column, wanted[0]), only(lab, name, column, wanted[:1]))
            same(only(lab, name, column, None), frame[frame[column].isna()])
            continue
        unique = list(values.unique())
        for wanted in (unique[:1], unique[1:3], unique[-1:]):
            if wanted:
                same(only(lab, name, column, wanted), frame[frame[column].isin(wanted)])
                same(only(lab, name, column, wanted[0]), frame[frame[column] == wanted[0]])
                same(
                    only(lab, name, column, [*wanted, None]),
                    frame[frame[column].isin(wanted) | frame[column].isna()],
                )
        same(only(lab, name, column, None), frame[frame[column].isna()])
        assert only(lab, name, column, []).empty


@settings(max_examples=40)
@given(st.data())
def test_filters_together_keep_what_all_of_them_keep(lab: Lab, whole: dict[str, pd.DataFrame], data: Any) -> None:
    frame = whole["turns"]
    columns = ["request_model", "finish_reason", "turn_index", "response", "prompt", "is_sidechain", "exchange_index"]
    filters = {}
    for column in data.draw(st.lists(st.sampled_from(columns), unique=True, max_size=3)):
        known = st.sampled_from([*frame[column].dropna().unique().tolist(), None])
        filters[column] = data.draw(st.lists(known, min_size=1, max_size=4))
    keep = pd.Series(True, index=frame.index)
    for column, wanted in filters.items():
        given_values = [v for v in wanted if v is not None]
        keep &= frame[column].isin(given_values) | (frame[column].isna() if None in wanted else False)
    same(lab.frame("turns", **filters), frame[keep])
    limit = data.draw(st.integers(0, 30))
    same(lab.frame("turns", limit=limit, **filters), newest(frame[keep], "started_at", limit))


@pytest.mark.parametrize(
    ("name", "filters", "said"),
    [
        ("turns", {"modell": "x"}, "no filter 'modell'.*Did you mean 'model'"),
        ("turns", {"name": "x"}, "no filter 'name'"),
        ("model_configs", {"tool_name": "x"}, "no filter 'tool_name'"),
        ("turns", {"turn_index": "x"}, "turn_index='x': the column holds whole numbers"),
        ("turns", {"turn_index": 1.5}, "whole numbers"),
        ("turns", {"turn_index": True}, "whole numbers"),
        ("turns", {"turn_index": 2**63}, "whole numbers"),
        ("turns", {"cost_usd": "much"}, "numbers"),
        ("turns", {"is_sidechain": "perhaps"}, "true or false"),
        ("turns", {"response_model": 5}, "expected text"),
        ("turns", {"response": 5}, "expected text"),
        ("turns", {"session_id": 5}, "expected text"),
        ("turns", {"agent_name": [None]}, "expected text"),
        ("turns", {"directory": 5}, "expected a path"),
        ("turns", {"model": {"a": 1}}, "expected text"),
        ("turns", {"limit": -1}, "limit=-1"),
        ("turns", {"limit": 1.5}, "limit=1.5"),
        ("turns", {"limit": True}, "limit=True"),
        ("turns", {"limit": "5"}, "limit='5'"),
    ],
)
def test_a_filter_that_does_not_fit_is_an_error_that_says_why(
    lab: Lab, name: str, filters: dict[str, Any], said: str
) -> None:
    with pytest.raises(FrameError, match=said):
        lab.frame(name, **filters)


def test_numbers_and_truth_may_come_from_numpy_and_as_text(lab: Lab, whole: dict[str, pd.DataFrame]) -> None:
    turns = whole["turns"]
    for value in (1, np.int64(1), "1", 1.0, np.array([1]), pd.Series([1]), [1]):
        same(lab.frame("turns", turn_index=value), turns[turns.turn_index == 1])
    calls = whole["tool_calls"]
    for truth in (True, "true", 1, np.bool_(True), [True]):
        same(lab.frame("tool_calls", is_error=truth), calls[calls.is_error.fillna(False).astype(bool)])


def test_values_with_quotes_surrogates_and_wildcards_are_only_values(path: str, recorder: Recorder) -> None:
    odd = ["it's", '"q"', "%", "_", "*", "'; drop table x; --", "a\0b", "\ud800"]
    for name in odd:
        recorder.session(name).assistant(name, usage=Usage(input_tokens=1))
    with sessionlab.open(path) as lab:
        for name in odd[:-1]:
            assert len(lab.frame("sessions", name=name)) == 1
            assert len(lab.frame("turns", response=name)) == 1
        assert lab.frame("sessions", name="\udfff").empty
        assert lab.frame("turns", response="\udfff").empty
