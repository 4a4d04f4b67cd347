"""Charts: every one over awkward frames, their look, their numbers, and that text from the data stays text."""

from __future__ import annotations

import json
import re
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import kaleido
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from chart_frames import CASES, DRAWN, ZONE, Frames, frames_of, one_session, some
from hypothesis import given
from hypothesis import strategies as st

from sessionlab import FrameError, SessionLabWarning, charts, mining
from sessionlab.charts import clock, look, texts
from sessionlab.lab.frames import empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def draw(name: str, frames: Frames) -> go.Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionLabWarning)  # rows without a time
        return DRAWN[name](frames)


def said(value: Any) -> Iterator[str]:
    """Yield every text in the JSON of a figure, apart from its template."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key not in ("template", "bdata"):
                yield from said(part)
    elif isinstance(value, list):
        for part in value:
            yield from said(part)


def nothing_shown(chart: go.Figure) -> str | None:
    for note in chart.layout.annotations:
        if note.text.startswith("nothing to show: "):
            return str(note.text)
    return None


def values(chart: go.Figure, axis: str, kind: Any = go.Bar) -> float:
    return float(
        sum(np.nansum(np.asarray(trace[axis], dtype=float)) for trace in chart.data if isinstance(trace, kind))
    )


def test_every_public_chart_is_drawn_here() -> None:
    assert {*DRAWN, "template"} == set(charts.__all__)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_of_awkward_frames_is_legible_and_small(name: str, case: str) -> None:
    chart = draw(name, frames_of(case))
    text = chart.to_json()

    assert isinstance(chart, go.Figure)
    assert chart.layout.template.layout.to_plotly_json() == charts.template().layout.to_plotly_json()
    assert chart.layout.title.text
    assert chart.layout.title.subtitle.text
    assert len(text) < 1_000_000
    assert not re.search("https?:", json.dumps(json.loads(text)))
    assert 200 <= chart.layout.height <= 2400
    allowed = re.compile("</?b>|<br>|<extra></extra>")
    assert not [
        one for one in said(json.loads(text)) if "<" in allowed.sub("", one) or "NaN" in one or "nan" in one.split()
    ]
    if nothing_shown(chart):
        assert not chart.data
        assert chart.layout.xaxis.visible is False
    else:
        assert chart.data
        assert chart.layout.xaxis.title.text
        hidden = [trace for trace in chart.data if trace.hovertemplate is None and trace.hoverinfo != "skip"]
        assert not hidden


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_of_the_same_frames_is_the_same_to_the_byte(name: str) -> None:
    assert draw(name, frames_of("300 names")).to_json() == draw(name, frames_of("300 names")).to_json()


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_without_rows_says_why_and_keeps_its_title(name: str) -> None:
    chart = draw(name, frames_of("no rows"))
    full = draw(name, frames_of("300 names"))
    assert nothing_shown(chart)
    assert nothing_shown(full) is None
    if name not in ("comparison", "session_timeline"):  # their titles name what is shown
        assert chart.layout.title.text == full.layout.title.text
    if name not in ("comparison", "time_spent"):  # many panels; a unit that suits what is shown
        assert chart.layout.xaxis.title.text == full.layout.xaxis.title.text


@pytest.mark.parametrize("name", DRAWN)
def test_text_from_the_data_is_no_markup_in_any_chart(name: str) -> None:
    chart = draw(name, frames_of("HTML"))
    assert nothing_shown(chart) is None
    every = list(said(json.loads(chart.to_json())))
    assert not [
        text for text in every if re.search(r"<b>bold|<a|<img|\$x|%\{x\} &|&lt;$", text) and "&amp;lt;" not in text
    ]
    assert not [text for text in every if "<b>bold" in text or "<a " in text or "<img" in text or "$x" in text]
    if name != "activity_heatmap":
        assert any("&lt;b&gt;bold" in text for text in every)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_charts_of_rows_in_another_order_are_the_same_where_order_means_nothing(name: str) -> None:
    frames = frames_of("300 names")
    turned = {key: frame.iloc[::-1].reset_index(drop=True) for key, frame in frames.items()}
    if name not in ("config_changes", "repeated_prompts", "session_timeline"):  # first comes first there
        assert draw(name, turned).to_json() == draw(name, frames).to_json()


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def over(page: str) -> str:
    """Return the colour of the figures' surface on a page."""
    red, green, blue, alpha = (float(part) for part in look.SURFACE[5:-1].split(","))
    mixed = (
        round(alpha * own + (1 - alpha) * int(page[at : at + 2], 16)) for own, at in ((red, 1), (green, 3), (blue, 5))
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


PAGES = ("#ffffff", "#111111", "#1f1f1f", "#000000")


@pytest.mark.parametrize("page", PAGES)
def test_text_is_readable_on_light_and_dark_pages(page: str) -> None:
    layout = charts.template().layout
    fonts = [layout.font.color, layout.title.font.color, layout.title.subtitle.font.color, layout.legend.font.color]
    fonts += [axis[part].color for axis in (layout.xaxis, layout.yaxis) for part in ("tickfont",)]
    fonts += [axis.title.font.color for axis in (layout.xaxis, layout.yaxis)]
    for colour in (*fonts, look.TITLE, look.TEXT, look.SOFT_TEXT):
        assert contrast(colour, over(page)) >= 4.5
        assert contrast(colour, "#ffffff") >= 4.5  # hover texts


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
@pytest.mark.parametrize("colour", [*look.COLOURS, look.OTHER, look.UNKNOWN])
def test_colours_of_marks_stand_out_on_the_surface_and_on_the_bare_page(colour: str, page: str) -> None:
    assert contrast(colour, over(page)) >= 3
    assert contrast(colour, page) >= 3


# Machado, Oliveira, Fernandes (2009), severity 1.
SIGHT = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab_colour(colour: str, sight: str) -> Any:
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)
    xyz = TO_XYZ @ seen / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_stay_apart_for_people_who_see_fewer(sight: str) -> None:
    seen = [lab_colour(colour, sight) for colour in look.COLOURS]
    apart = [np.linalg.norm(one - other) for at, one in enumerate(seen) for other in seen[:at]]
    assert min(apart) >= 15


def test_no_default_of_plotly_changes() -> None:
    assert pio.templates.default == "plotly"
    assert go.Figure().layout.template.layout.paper_bgcolor == "white"


def test_the_template_that_users_get_is_a_copy() -> None:
    charts.template().layout.font.size = 99
    assert charts.template().layout.font.size != 99


def test_bars_add_up_to_what_mining_says() -> None:
    frames = frames_of("300 names")
    usage = mining.usage_over_time(frames["token_usage"], timezone=ZONE)
    assert values(draw("tokens_over_time", frames), "y") == usage["tokens"].sum()
    assert values(draw("cost_over_time", frames), "y") == pytest.approx(usage["cost_usd"].sum())
    tools = mining.tool_reliability(frames["tool_calls"])
    assert values(draw("tool_reliability", frames), "x") == tools["call_count"].sum() == 3000
    loops = mining.tool_loops(frames["tool_calls"])
    assert values(draw("tool_loops", frames), "x") == loops["call_count"].nlargest(20).sum() > 0
    runs = mining.tool_sequences(frames["tool_calls"], length=3, limit=20)
    assert values(draw("tool_sequences", frames), "x") == runs["count"].sum() > 0
    prompts = mining.repeated_prompts(frames["turns"], limit=20)
    assert values(draw("repeated_prompts", frames), "x") == prompts["count"].sum() > 0
    costs = mining.expensive_sessions(frames["sessions"], frames["turns"]).drop_duplicates("rank")
    assert values(draw("expensive_sessions", frames), "x") == pytest.approx(costs["session_cost_usd"].sum())
    (cells,) = draw("activity_heatmap", frames).data
    assert np.nansum(cells.z) == mining.activity(frames["turns"], timezone=ZONE)["turn_count"].sum() == 3000


def test_time_spent_adds_up_to_the_time_of_the_sessions_without_idle_time() -> None:
    frames = some(600, sessions=5)
    spent = mining.time_spent(frames["turns"], frames["tool_calls"], frames["messages"])
    chart = draw("time_spent", frames)
    unit = {"seconds": 1, "minutes": 60, "hours": 3600}[chart.layout.xaxis.title.text]
    assert values(chart, "x") * unit == pytest.approx((spent["total_s"] - spent["idle_s"].fillna(0)).sum())


def test_shares_of_the_cache_add_up_to_one_for_each_model() -> None:
    frames = frames_of("two turns")
    chart = charts.cache_economics(frames["turns"])
    assert values(chart, "x") == pytest.approx(len(frames["turns"]["response_model"].unique()))


def test_many_values_become_other_with_their_number_and_null_is_grey() -> None:
    frames = some(3000, names=(None, *(f"name {n:03}" for n in range(299))), sessions=40)
    bars = {bar.name: bar for bar in draw("tokens_over_time", frames).data}
    assert list(bars)[-2:] == ["other (293)", "unknown"]
    assert len(bars) == 8
    assert bars["unknown"].marker.color == look.UNKNOWN
    assert bars["other (293)"].marker.color == look.OTHER


def test_a_model_has_the_same_colour_in_tokens_and_in_cost() -> None:
    frames = some(500, names=("cheap", "dear", "middle"))
    frames["token_usage"].loc[frames["token_usage"]["model"] == "dear", "cost_usd"] = 9.0
    of_tokens = {bar.name: bar.marker.color for bar in draw("tokens_over_time", frames).data}
    of_cost = {bar.name: bar.marker.color for bar in draw("cost_over_time", frames).data if isinstance(bar, go.Bar)}
    assert of_tokens == of_cost


def test_a_missing_price_is_said_and_does_not_look_like_no_cost() -> None:
    chart = draw("cost_over_time", some(400))
    (marks,) = (trace for trace in chart.data if isinstance(trace, go.Scatter))
    assert "tokens" in chart.layout.title.subtitle.text
    assert "have no price" in chart.layout.title.subtitle.text
    assert marks.name == "has tokens without a price"
    assert len(marks.x)


def test_days_are_those_of_the_zone_that_was_asked_for() -> None:
    usage = some(1)["token_usage"].assign(started_at=pd.Timestamp("2026-10-24T22:30Z"), tokens=5)
    berlin = charts.tokens_over_time(usage, timezone="Europe/Berlin")
    utc = charts.tokens_over_time(usage, timezone="UTC")
    assert berlin.data[0].x == ("2026-10-25T00:00:00",)
    assert utc.data[0].x == ("2026-10-24T00:00:00",)
    assert berlin.layout.xaxis.title.text == "day (Europe/Berlin)"


def test_an_hour_that_clocks_show_twice_is_drawn_once_with_both() -> None:
    times = pd.to_datetime(["2026-10-25T00:30Z", "2026-10-25T01:30Z"]).as_unit("us")
    usage = some(2, names=("alpha",))["token_usage"].assign(started_at=times, tokens=[5, 7])
    (bar,) = charts.tokens_over_time(usage, period="hour", timezone=ZONE).data
    assert bar.x == ("2026-10-25T02:00:00",)
    assert list(bar.y) == [12]


def test_one_day_is_a_bar_among_free_days_and_one_moment_has_a_minute() -> None:
    frames = frames_of("one row")
    day = draw("tokens_over_time", frames)
    first, last = (pd.Timestamp(end) for end in day.layout.xaxis.range)
    assert last - first >= pd.Timedelta(days=7)
    assert day.data[0].width < 86_400_000
    moment = draw("session_timeline", {**frames, "tool_calls": empty("tool_calls"), "messages": empty("messages")})
    first, last = (pd.Timestamp(end) for end in moment.layout.xaxis.range)
    assert last - first >= pd.Timedelta(seconds=59)


def test_too_many_periods_become_longer_ones_and_the_chart_says_so() -> None:
    chart = charts.tokens_over_time(some(5000, step_s=7200)["token_usage"], period="hour", timezone="UTC")
    assert chart.layout.xaxis.title.text == "day (UTC)"
    assert "too many hours" in chart.layout.title.subtitle.text


def test_what_runs_at_once_lies_apart_and_gaps_are_cut_out_of_the_axis() -> None:
    at = pd.to_datetime(["2026-10-01T10:00Z", "2026-10-01T10:00Z", "2026-10-01T15:00Z"]).as_unit("us")
    calls = one_session(some(3)["tool_calls"]).assign(started_at=at, duration_s=20.0, is_error=False)
    chart = charts.session_timeline(empty("turns"), calls, timezone="UTC")
    (bars,) = chart.data
    assert bars.y[0] != bars.y[1]
    assert len(chart.layout.xaxis.rangebreaks) == 1
    assert any(note.text == "5 h" or "4 h 59 min" in note.text for note in chart.layout.annotations)


def test_a_session_of_100000_calls_is_small_and_keeps_its_length() -> None:
    frames = frames_of("100,000 rows")
    chart = draw("session_timeline", frames)
    assert len(chart.to_json()) < 1_000_000
    drawn = [
        pd.Timestamp(start) for trace in chart.data for start in (trace.base if isinstance(trace, go.Bar) else trace.x)
    ]
    first, last = (pd.Timestamp(end) for end in chart.layout.xaxis.range)
    assert max(drawn) - min(drawn) > (last - first) * 0.9


@pytest.mark.parametrize(
    "wrong",
    [
        (charts.tokens_over_time, "token_usage", {"by": "colour"}),
        (charts.tokens_over_time, "token_usage", {"period": "year"}),
        (charts.activity_heatmap, "turns", {"measure": "joy"}),
        (charts.activity_heatmap, "turns", {"timezone": "Atlantis"}),
        (charts.comparison, "turns", {"unit": "week"}),
        (charts.tool_reliability, "turns", {}),
        (charts.tool_sequences, "tool_calls", {"limit": 0}),
        (charts.repeated_prompts, "turns", {"limit": "ten"}),
        (charts.context_growth, "turns", {"sessions": pd.DataFrame()}),
    ],
)
def test_a_wrong_argument_or_frame_is_refused(wrong: tuple[Callable[..., go.Figure], str, dict[str, Any]]) -> None:
    function, frame, arguments = wrong
    with pytest.raises(FrameError):
        function(frames_of("one row")[frame], **arguments)


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=60), st.sampled_from(["x" * 50 + "a", "x" * 50 + "b"])), max_size=30)
)
def test_labels_are_short_harmless_and_all_different(names: list[str | None]) -> None:
    made = texts.labels(names, 12)
    assert len(set(made)) == len(names)
    for label in made:
        assert not re.search(r"[<>$%\x00-\x1f]", label)
        assert len(re.sub("&[^;]+;", "x", label)) <= 12 + len(" (30)")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
def test_numbers_in_words_never_fail(number: float) -> None:
    for form in (texts.short, texts.money, texts.percent, texts.duration):
        assert form(number)


def test_period_names_cover_all_that_mining_knows() -> None:
    assert set(clock.LENGTH_MS) == set(clock.NAMES) == set(clock.HOVER) == set(mining.zones.PERIODS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[None]:
    kaleido.start_sync_server(n=1, mathjax=False, silence_warnings=True, timeout=60)
    yield
    kaleido.stop_sync_server(silence_warnings=True)


def pixels(png: bytes) -> bytes:
    """Return the bytes of the lines of a PNG as they are filtered: all alike where the picture is blank."""
    assert png.startswith(b"\x89PNG")
    at, data = 8, b""
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return zlib.decompress(data)


def test_chromium_draws_every_chart(chromium: None) -> None:
    for name in DRAWN:
        for case in ("300 names", "no rows"):
            chart = draw(name, frames_of(case))
            options = {"width": 500, "height": chart.layout.height, "format": "png"}
            assert len(set(pixels(kaleido.calc_fig_sync(chart, opts=options)))) > 20, name


# Those with names from the data beside their bars or in their legend; others have them in hovers only.
WITH_NAMES = sorted({*DRAWN} - {"activity_heatmap", "config_changes", "session_timeline"})


def test_chromium_shows_markup_in_the_data_as_text(chromium: None) -> None:
    for name in DRAWN:
        drawn = kaleido.calc_fig_sync(draw(name, frames_of("HTML")), opts={"format": "svg"}).decode()
        assert "<a" not in drawn
        assert "<img" not in drawn
        if name in WITH_NAMES:
            assert "&#60;b&#62;bold" in drawn or "&lt;b&gt;bold" in drawn, name
