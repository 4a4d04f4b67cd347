"""Comparing two groups: numbers worked out by hand, and intervals that mean what they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mining_frames import frame, rows_of
from pandas.testing import assert_frame_equal

import sessionlab
from sessionlab import mining
from sessionlab.mining.estimates import LEAST_SESSIONS, bundles, drawn_interval, drawn_sums, newcombe, wilson

Group = list[tuple[str, float | None]]


def turns(**groups: Group) -> pd.DataFrame:
    """Return turns of models, written as (session, cost)."""
    return frame(
        "turns",
        *(
            {"response_model": model, "session_id": session, "cost_usd": cost}
            for model, rows in groups.items()
            for session, cost in rows
        ),
    )


def row(found: pd.DataFrame, unit: str, metric: str, role: str) -> dict[str, Any]:
    """Return one row as a dictionary; NULL is None."""
    which = (found["unit"] == unit) & (found["metric"] == metric) & (found["role"] == role)
    (values,) = rows_of(found[which])
    return dict(zip(found.columns, values, strict=True))


def test_means_and_medians_are_of_what_is_known_by_turn_and_by_session() -> None:
    found = mining.compare(
        turns(
            a=[("s", 1.0), ("s", 2.0), ("t", 6.0), ("u", None), ("u", 4.0)],
            b=[("v", 5.0), ("w", 1.0)],
        )
    )
    assert len(found) == 30
    a, b, difference = (row(found, "turn", "cost_usd", role) for role in ("a", "b", "difference"))
    names = ("group", "n", "missing_count", "session_count", "mean", "median")
    assert [a[name] for name in names] == ["a", 4, 1, 3, 3.25, 3.0]
    assert [b[name] for name in names] == ["b", 2, 0, 2, 3.0, 3.0]
    assert [difference[name] for name in names] == [None, 6, 1, 5, -0.25, 0.0]
    a, b, difference = (row(found, "session", "cost_usd", role) for role in ("a", "b", "difference"))
    # Of session u one turn is not known, so its sum is not.
    assert [a[name] for name in names] == ["a", 2, 1, 2, 4.5, 4.5]
    assert [b[name] for name in names] == ["b", 2, 0, 2, 3.0, 3.0]
    assert [difference[name] for name in names] == [None, 4, 1, 4, -1.5, -1.5]


def test_error_rates_have_wilsons_and_newcombes_intervals() -> None:
    rows = [
        {
            "response_model": model,
            "session_id": f"{model}{number}",
            "error_type": "timeout" if number < errors else None,
        }
        for model, errors, count in (("a", 48, 80), ("b", 56, 70))
        for number in range(count)
    ]
    found = mining.compare(frame("turns", *rows))
    for unit in ("turn", "session"):
        a, difference = row(found, unit, "error_rate", "a"), row(found, unit, "error_rate", "difference")
        assert (a["n"], a["missing_count"], a["mean"], a["median"]) == (80, 0, 0.6, None)
        assert (a["low"], a["high"]) == (pytest.approx(0.4905, abs=5e-5), pytest.approx(0.7004, abs=5e-5))
        # Newcombe's own example: 56/70 and 48/80 differ by 0.2, from 0.0524 to 0.3339.
        assert difference["mean"] == pytest.approx(0.2)
        assert (difference["low"], difference["high"]) == (
            pytest.approx(0.0524, abs=5e-5),
            pytest.approx(0.3339, abs=5e-5),
        )


def test_a_session_fails_once_however_many_of_its_turns_fail() -> None:
    rows = [("s", "timeout"), ("s", "timeout"), ("s", None), ("t", None)]
    made = [{"response_model": "a", "session_id": session, "error_type": error} for session, error in rows]
    found = mining.compare(frame("turns", *made))
    assert (row(found, "turn", "error_rate", "a")["mean"], row(found, "session", "error_rate", "a")["mean"]) == (
        0.5,
        0.5,
    )
    assert row(found, "session", "error_rate", "a")["n"] == 2


def test_intervals_of_means_need_eight_sessions_on_each_side() -> None:
    def ends(count: int) -> list[tuple[Any, Any]]:
        found = mining.compare(
            turns(a=[(f"a{n}", float(n)) for n in range(count)], b=[(f"b{n}", float(n % 5)) for n in range(30)])
        )
        found = found[found["metric"] == "cost_usd"]
        # By group, and not by role: the larger one is a.
        return [
            (role["low"], role["high"]) for role in (row(found, "turn", "cost_usd", r) for r in ("b", "difference"))
        ]

    assert ends(LEAST_SESSIONS - 1) == [(None, None)] * 2
    for low, high in ends(LEAST_SESSIONS):
        assert low < high


def test_many_turns_of_few_sessions_do_not_make_an_interval_narrow() -> None:
    random = np.random.default_rng(3)
    apart: Group = [(f"s{n}", float(random.normal(n % 10, 0.1))) for n in range(200)]
    alike: Group = [(f"t{n % 10}", float(random.normal(n % 10, 0.1))) for n in range(200)]
    found = mining.compare(turns(a=apart, b=alike), a="a", b="b")
    wide = {role: row(found, "turn", "cost_usd", role) for role in ("a", "b")}
    assert wide["a"]["mean"] == pytest.approx(wide["b"]["mean"], abs=0.1)
    assert wide["b"]["high"] - wide["b"]["low"] > 3 * (wide["a"]["high"] - wide["a"]["low"])


def test_a_session_with_both_models_is_drawn_for_both() -> None:
    # Within each session b costs 1 more; between sessions costs differ much.
    both = {f"s{n}": float(10 * n) for n in range(20)}
    found = mining.compare(
        turns(a=list(both.items()), b=[(session, cost + 1 + 0.01 * (cost % 3)) for session, cost in both.items()])
    )
    difference = row(found, "turn", "cost_usd", "difference")
    assert difference["session_count"] == 20
    assert difference["low"] > 0.99
    assert difference["high"] < 1.03


def test_the_two_values_with_most_turns_are_compared_unless_others_are_named() -> None:
    rows = turns(a=[("s", 1.0)], b=[("s", 1.0)] * 3, c=[("s", 1.0)] * 2)

    def groups(**options: Any) -> list[Any]:
        found = mining.compare(rows, **options)
        return [row(found, "turn", "cost_usd", role)["group"] for role in ("a", "b")]

    assert groups() == ["b", "c"]
    assert groups(a="a") == ["a", "b"]
    assert groups(b="b") == ["c", "b"]
    assert groups(a="c", b="a") == ["c", "a"]


def test_turns_of_other_values_change_nothing() -> None:
    two: dict[str, Group] = {
        "a": [(f"s{n}", float(n)) for n in range(12)],
        "b": [(f"s{n}", float(n % 4)) for n in range(6, 18)],
    }
    three: dict[str, Group] = {**two, "c": [(f"t{n}", 5.0) for n in range(30)]}
    assert_frame_equal(mining.compare(turns(**three), a="a", b="b"), mining.compare(turns(**two), a="a", b="b"))


def test_any_column_can_tell_the_groups_apart() -> None:
    rows = [{"exchange_index": index, "cost_usd": float(index)} for index in (0, 0, 1)]
    found = mining.compare(frame("turns", *rows), "exchange_index")
    assert [row(found, "turn", "cost_usd", role)["group"] for role in ("a", "b")] == ["0", "1"]
    assert row(mining.compare(frame("turns", *rows), "exchange_index", a=1), "turn", "cost_usd", "a")["mean"] == 1.0


def test_one_value_alone_stands_alone_and_null_is_no_value() -> None:
    found = mining.compare(turns(a=[("s", 1.0)]))
    assert set(found["role"]) == {"a"}
    assert len(found) == 10
    assert len(mining.compare(frame("turns", {"cost_usd": 1.0}))) == 0


def test_a_call_that_failed_counts_with_the_model_that_was_asked() -> None:
    rows: list[dict[str, Any]] = [
        {"request_model": "x", "response_model": "x"},
        {"request_model": "x", "response_model": None, "error_type": "RateLimitError"},
        {"request_model": "x", "response_model": "y"},
    ]
    rates = mining.compare(frame("turns", *({"session_id": "s", **row} for row in rows)))
    rates = rates[(rates["unit"] == "turn") & (rates["metric"] == "error_rate") & (rates["role"] != "difference")]
    assert rates[["group", "n", "mean"]].to_numpy().tolist() == [["x", 2, 0.5], ["y", 1, 0.0]]


def test_values_that_are_not_there_or_the_same_are_refused() -> None:
    rows = turns(a=[("s", 1.0)], b=[("s", 1.0)])
    with pytest.raises(sessionlab.FrameError, match=r"a='z': no turn has that model\. There are 'a', 'b'"):
        mining.compare(rows, a="z")
    with pytest.raises(sessionlab.FrameError, match="a and b are both 'a'"):
        mining.compare(rows, a="a", b="a")
    assert len(mining.compare(turns(), a="z")) == 0


def test_the_same_frame_gives_the_same_ends() -> None:
    rows = turns(a=[(f"a{n}", n**1.5) for n in range(20)], b=[(f"b{n}", float(n)) for n in range(20)])
    assert_frame_equal(mining.compare(rows), mining.compare(rows))


@settings(max_examples=25)
@given(st.data())
def test_intervals_contain_what_they_are_of(data: st.DataObject) -> None:
    cost = st.none() | st.floats(0, 1e6)
    sessions = [f"s{n}" for n in range(data.draw(st.integers(1, 15)))]
    made = {
        model: data.draw(st.lists(st.tuples(st.sampled_from(sessions), cost), min_size=1, max_size=40))
        for model in "ab"
    }
    found = mining.compare(turns(**made))
    known = found.dropna(subset="low")
    assert (known["low"] <= known["mean"]).all()
    assert (known["mean"] <= known["high"]).all()
    assert known["high"].notna().all()
    by_turn = found[(found["unit"] == "turn") & (found["role"] != "difference")]
    counts = (by_turn["n"] + by_turn["missing_count"]).groupby(by_turn["group"]).unique()
    assert {model: counts[model].tolist() for model in made} == {model: [len(rows)] for model, rows in made.items()}


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 10, 0.0179, 0.4042),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilsons_interval_is_that_of_the_textbooks(count: int, of: int, low: float, high: float) -> None:
    lows, highs = wilson(np.array([float(count)]), np.array([float(of)]))
    assert (lows[0], highs[0]) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_no_cases_have_no_interval() -> None:
    assert all(np.isnan(ends).all() for ends in wilson(np.array([0.0]), np.array([0.0])))
    assert all(math.isnan(end) for end in newcombe((0, 0), (1, 2)))


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    # Newcombe 1998, table II, method 10, turned around: there it is the first minus the second.
    [((9, 10), (3, 10), -0.8090, -0.1705), ((6, 7), (2, 7), -0.8062, -0.0582), ((5, 56), (0, 29), -0.1926, 0.0381)],
)
def test_newcombes_interval_is_that_of_his_table(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    assert list(newcombe(first, second)) == pytest.approx([low, high], abs=5e-5)


@pytest.mark.parametrize("sessions", [8, 15, 40])
def test_intervals_of_means_hold_the_true_mean_about_95_times_in_100(sessions: int) -> None:
    random = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        values = random.normal(5, 2, sessions)
        drawn = drawn_sums(values[:, None], seed=1)[:, 0] / sessions
        low, high = drawn_interval(drawn, float(values.mean()), sessions)
        held += low <= 5 <= high
    # 200 trials of 95%: 4 standard deviations are 12.
    assert held >= 178


def test_bundles_of_very_many_sessions_vary_as_the_sessions_do() -> None:
    values = np.random.default_rng(5).normal(0, 1, 60_000)
    bundle = bundles(len(values), seed=1)
    drawn = drawn_sums(np.column_stack([np.bincount(bundle, values), np.bincount(bundle)]), seed=1)
    means = drawn[:, 0] / drawn[:, 1]
    assert means.mean() == pytest.approx(values.mean(), abs=5e-4)
    # The standard error of 2,000 draws' deviation is 1.6%.
    assert means.std() == pytest.approx(values.std() / np.sqrt(len(values)), rel=0.07)
