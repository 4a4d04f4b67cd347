"""The session browser in a real Chromium: mouse, keys, both ways with Python, live, readable by all, safe."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from in_browser import Bridge
from playwright.sync_api import expect

import sessionlab
from sessionlab import ModelConfig, Recorder, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from sessionlab import Lab, SessionBrowser

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "sample_data"))

HOSTILE = "<img src=x onerror=\"window.ran='img'\"><script>window.ran='script'</script><b>bold</b> javascript:ran()"


@cache
def lab_of_samples() -> Lab:
    return sessionlab.open(*(os.path.join(ROOT, "sample_data", name) for name in ("history.db", "claude_code")))


@pytest.fixture
def lab() -> Lab:
    return lab_of_samples()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a lab with 3,000 sessions of two messages and one of 2,000."""
    from large_store import write_large

    path = str(tmp_path_factory.mktemp("large") / "history.db")
    Recorder(path).close()
    write_large(path, 8_000, [2_000] + [2] * 3_000)
    with sessionlab.open(path) as opened:
        yield opened


@pytest.fixture
def bridge(page: Page) -> Iterator[Bridge]:
    with Bridge(page) as opened:
        yield opened


def show(bridge: Bridge, browser: SessionBrowser, *, width: str = "1200px", theme: str = "light") -> SessionBrowser:
    bridge.show(browser, width=width, theme=theme)
    expect(totals(bridge.page)).not_to_have_text("")
    return browser


def totals(page: Page) -> Locator:
    return page.locator(".slb-totals strong")


def rows(page: Page) -> Locator:
    return page.get_by_role("grid", name="Sessions").locator(".slb-space [role=row]")


def search(page: Page) -> Locator:
    return page.get_by_role("searchbox")


# Mouse and keys


def test_with_the_mouse_a_session_is_found_opened_and_ticked_and_python_sees_it(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    search(page).fill("fix the build")
    expect(totals(page)).to_contain_text("of")
    page.get_by_label("Filter by tool").select_option("sessionlab")
    row = rows(page).filter(has_text="fix the build").first
    row.locator(".slb-cell").nth(2).click()
    page.get_by_role("heading", name="fix the build").wait_for()
    bridge.until(lambda: browser.session_id)
    session = lab.frame("sessions", session_id=browser.session_id)
    assert session.name.tolist() == ["fix the build"]
    row.locator(".slb-tick").click()
    expect(totals(page)).to_have_text("1 session selected")
    assert browser.selected == [browser.session_id]
    assert browser.filters == {"text": "fix the build", "source": "sessionlab"}
    page.get_by_role("button", name="Unselect").click()
    bridge.until(lambda: browser.selected == [])
    page.get_by_role("button", name="Clear").click()
    bridge.until(lambda: browser.filters == {})
    expect(totals(page)).to_have_text(f"{len(lab.frame('sessions'))} sessions")


def test_with_keys_alone_a_session_is_found_opened_ticked_and_read(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    grid = page.get_by_role("grid", name="Sessions")
    page.keyboard.press("Tab")
    expect(search(page)).to_be_focused()
    page.keyboard.type("tools that did not work")
    expect(totals(page)).to_contain_text("1 of")
    for _ in range(30):  # past the other filters and the heads of the columns
        page.keyboard.press("Tab")
        if grid.evaluate("grid => document.activeElement === grid"):
            break
    expect(grid).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="tools that did not work").wait_for()
    page.keyboard.press(" ")
    bridge.until(lambda: browser.selected == [browser.session_id] != [""])
    page.keyboard.press("Escape")
    bridge.until(lambda: browser.selected == [])
    page.keyboard.press("/")
    expect(search(page)).to_be_focused()
    feed = page.get_by_role("feed", name="Transcript")
    feed.focus()
    page.keyboard.press("e")
    expect(page.locator("article.slb-current")).to_contain_text("error")
    first = page.locator("article.slb-current").get_attribute("aria-posinset")
    page.keyboard.press("e")
    expect(page.locator("article.slb-current")).not_to_have_attribute("aria-posinset", str(first))
    page.keyboard.press("Home")
    expect(page.locator("article.slb-current")).to_have_attribute("aria-posinset", "1")
    page.keyboard.press("j")
    expect(page.locator("article.slb-current")).to_have_attribute("aria-posinset", "2")
    expect(page.locator("article.slb-current")).to_be_focused()


def test_the_keys_of_the_list_move_by_rows_pages_and_to_its_ends(bridge: Bridge, large: Lab) -> None:
    page = bridge.page
    show(bridge, large.browse())
    grid = page.get_by_role("grid", name="Sessions")
    expect(grid).to_have_attribute("aria-rowcount", "3002")
    grid.focus()

    def active() -> int:
        row = page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
        row.wait_for()
        return int(str(row.get_attribute("aria-rowindex"))) - 2

    for key, place in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", 3000), ("ArrowDown", 3000)):
        page.keyboard.press(key)
        page.locator(f"[aria-rowindex='{place + 2}'].slb-active").wait_for()
        assert active() == place
    page.keyboard.press("PageUp")
    page.wait_for_function("() => !document.querySelector('[aria-rowindex=\"3002\"].slb-active')")
    assert 2900 < active() < 3000
    page.keyboard.press("Home")
    page.locator("[aria-rowindex='2'].slb-active").wait_for()


def test_no_key_that_is_pressed_inside_reaches_the_notebook(bridge: Bridge, lab: Lab) -> None:
    page = bridge.page
    show(bridge, lab.browse())
    page.evaluate("() => { window.heard = []; document.addEventListener('keydown', (e) => heard.push(e.key)) }")
    for target in (page.get_by_role("grid"), search(page), page.get_by_label("Filter by model"), rows(page).first):
        target.focus()
        for key in ("a", "b", "x", "m", "d", "ArrowDown", "Enter", "Escape", " "):
            page.keyboard.press(key)
    assert page.evaluate("heard") == []


def test_shift_ticks_a_range_and_a_tick_stays_while_filters_change(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    rows(page).nth(1).locator(".slb-tick").click()
    rows(page).nth(4).click(modifiers=["Shift"])
    bridge.until(lambda: len(browser.selected) == 4)
    search(page).fill("no such session at all")
    page.get_by_text("No session fits the filters.").wait_for()
    expect(totals(page)).to_have_text("4 sessions selected")
    assert len(browser.frame("sessions")) == 4


def test_a_tick_counts_while_another_list_is_on_its_way(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    row = rows(page).filter(has_text="fix the build").first
    row.evaluate(
        """row => {
            const filter = document.querySelector("[aria-label='Filter by tool']");
            filter.value = "sessionlab";
            filter.dispatchEvent(new Event("change"));
            row.querySelector(".slb-tick").click();
        }"""
    )
    expect(totals(page)).to_have_text("1 session selected")
    assert browser.frame("sessions").name.tolist() == ["fix the build"]
    assert browser.filters == {"source": "sessionlab"}


@pytest.mark.parametrize("opened", [0, 1])
def test_the_row_that_keys_have_gone_on_to_stays_when_the_session_that_was_opened_is_there(
    bridge: Bridge, lab: Lab, opened: int
) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    keys = ["Enter", "ArrowDown"] * (opened + 1)
    page.get_by_role("grid", name="Sessions").evaluate(
        """(grid, keys) => {
            for (const key of keys) grid.dispatchEvent(new KeyboardEvent("keydown", { key }));
        }""",
        keys,
    )
    bridge.until(lambda: browser.session_id)
    expect(rows(page).nth(opened)).to_have_attribute("aria-current", "true")
    page.get_by_role("grid", name="Sessions").focus()
    page.keyboard.press("Space")
    bridge.until(lambda: browser.selected)
    expect(rows(page).nth(opened + 1)).to_have_attribute("aria-selected", "true")
    assert len(browser.selected) == 1


@pytest.mark.parametrize(("title", "name"), [("Tokens", "tokens"), ("Session", "name"), ("Directory", "directory")])
def test_a_click_on_a_head_sorts_and_another_one_turns_it_round(
    bridge: Bridge, lab: Lab, title: str, name: str
) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    head = page.get_by_role("columnheader", name=title)
    head.get_by_role("button").click()
    bridge.until(lambda: browser.sort.removeprefix("-") == name)
    before = browser.sort
    expect(head).to_have_attribute("aria-sort", "descending" if before.startswith("-") else "ascending")
    first = rows(page).first.inner_text()
    head.get_by_role("button").click()
    bridge.until(lambda: browser.sort != before)
    expect(rows(page).first).not_to_have_text(first)
    assert browser.sort.removeprefix("-") == name


def test_the_brush_filters_by_time_and_a_double_click_takes_it_back(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse(source="claude_code"))
    box = page.locator(".slb-chart svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.99, box["y"] + 30, steps=5)
    page.mouse.up()
    bridge.until(lambda: {"since", "until"} <= set(browser.filters))
    page.locator(".slb-brush").wait_for()
    sessions = browser.frame("sessions")
    expect(totals(page)).to_contain_text(f"{len(sessions)} of")
    assert 0 < len(sessions) < (lab.frame("sessions").source == "claude_code").sum()
    assert page.get_by_label("From day").input_value() != ""
    page.locator(".slb-chart svg").dblclick()
    bridge.until(lambda: set(browser.filters) == {"source"})


def test_days_are_those_of_the_readers_zone(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    page.get_by_label("From day").fill("2026-09-22")
    page.get_by_label("To day").fill("2026-09-22")
    bridge.until(lambda: {"since", "until"} <= set(browser.filters))
    midnights = page.evaluate(
        "[new Date(2026, 8, 22), new Date(2026, 8, 23)].map((at) => at.toISOString().slice(0, 19))"
    )
    assert [browser.filters[name][:19] for name in ("since", "until")] == midnights
    assert (browser.frame("sessions").started_at.dt.strftime("%F") == "2026-09-22").all()


# Python to page


def test_what_python_sets_is_seen_in_the_page(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    sessions = lab.frame("sessions")
    named = sessions[sessions.name.notna()]
    browser.selected = named.session_id.tolist()[:3]
    bridge.flush()
    expect(totals(page)).to_have_text("3 sessions selected")
    expect(page.locator("[role=row][aria-selected=true]").first).to_be_visible()
    browser.session_id = named.session_id.iloc[-1]
    bridge.flush()
    page.get_by_role("heading", name=named.name.iloc[-1]).wait_for()
    expect(page.locator("[role=row][aria-current=true]")).to_be_visible()
    browser.filters = {"text": "tools", "source": "sessionlab", "since": "2026-01-01"}
    bridge.flush()
    expect(search(page)).to_have_value("tools")
    expect(page.get_by_label("Filter by tool")).to_have_value("sessionlab")
    expect(page.get_by_label("From day")).to_have_value("2026-01-01")
    browser.selected = []
    browser.sort = "-tokens"
    bridge.flush()
    expect(page.get_by_role("columnheader", name="Tokens")).to_have_attribute("aria-sort", "descending")
    browser.height_px = 400
    bridge.flush()
    page.wait_for_function("() => document.querySelector('.slb').offsetHeight === 400")
    browser.session_id = ""
    bridge.flush()
    page.get_by_text("Choose a session to read it").wait_for()


def test_new_sessions_and_turns_appear_while_they_are_recorded(bridge: Bridge, path: str) -> None:
    with Recorder(path) as recorder:
        session = recorder.session("first")
        session.user("one")
        with sessionlab.open(path) as lab:
            page = bridge.page
            show(bridge, lab.browse(session_id=session.session_id))
            expect(totals(page)).to_have_text("1 session")
            for n in range(60):
                session.assistant(f"answer {n}")
            recorder.session("second").user("two")
            expect(totals(page)).to_have_text("2 sessions")
            page.get_by_text("61 messages").wait_for()
            page.get_by_role("button", name="Last message").click()
            page.get_by_text("answer 59", exact=True).wait_for()
            session.assistant("and one more")
            page.get_by_text("and one more").wait_for()
            assert page.get_by_text("answer 59", exact=True).is_visible()


def test_two_views_show_the_same_and_a_closed_widget_leaves_nothing_behind(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    bridge.show_again(browser, width="900px")
    expect(page.locator(".slb")).to_have_count(2)
    search(page).first.fill("tools that did not work")
    expect(totals(page).nth(1)).to_contain_text("1 of")
    expect(search(page).nth(1)).to_have_value("tools that did not work")
    assert bridge.close(browser) == 0
    expect(page.locator(".slb")).to_have_count(0)


def test_without_a_kernel_it_says_what_to_do(bridge: Bridge, lab: Lab) -> None:
    browser = lab.browse()
    browser._msg_callbacks.callbacks.clear()  # as if nobody were there
    bridge.show(browser, width="1000px")
    bridge.page.get_by_role("alert").get_by_text("No kernel answers. Run the cell").wait_for()


# The transcript


def test_a_kernel_that_went_away_is_told_and_breaks_nothing(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    assert browser.comm is not None
    page.evaluate(
        """id => {
            const { model } = window.widgets.get(id);
            model.send = model.save_changes = () => { throw new Error("Cannot send"); };
        }""",
        browser.comm.comm_id,
    )
    page.get_by_role("alert").get_by_text("No kernel answers. Run the cell").wait_for()  # it looks every two seconds
    page.get_by_label("Filter by tool").select_option("sessionlab")
    rows(page).first.click()
    rows(page).first.locator(".slb-tick").click()
    page.wait_for_timeout(6_000)
    expect(page.get_by_role("alert")).to_have_text("No kernel answers. Run the cell that makes this browser to use it.")


def test_only_what_is_near_the_window_is_in_the_page(bridge: Bridge, large: Lab) -> None:
    page = bridge.page
    browser = show(bridge, large.browse())
    assert rows(page).count() < 80
    sessions = large.frame("sessions", columns=["session_id", "message_count"])
    browser.session_id = sessions.session_id[sessions.message_count.argmax()]
    bridge.flush()
    page.get_by_role("article").first.wait_for()
    total = int(str(page.get_by_role("article").first.get_attribute("aria-setsize")))
    assert total > 1_000
    assert page.get_by_role("article").count() < 250
    for _ in range(3):
        page.get_by_role("button", name="Last message").click()
        last = page.locator(f"article[aria-posinset='{total}']")
        expect(last).to_be_in_viewport()
        page.get_by_role("button", name="First message").click()
        expect(page.locator("article[aria-posinset='1']")).to_be_in_viewport()
    assert page.get_by_role("article").count() < 250


def test_calls_and_reasoning_are_folded_and_unfold(bridge: Bridge, path: str) -> None:
    with Recorder(path) as recorder, recorder.session("first") as session:
        turn = session.assistant("Look.", reasoning="deep thought", usage=Usage(input_tokens=1_234, output_tokens=56))
        turn.tool_call("bash", {"cmd": "make"}).result("no rule to make target", exit_code=2, is_error=True)
        warm = ModelConfig(provider_name="openai", request_model="gpt-5.5", temperature=1.0)
        session.configure(ModelConfig(provider_name="openai", request_model="gpt-5.4", temperature=0.5))
        session.assistant("One.", response_model="gpt-5.4")
        session.configure(warm)
        session.assistant("Two.", response_model="gpt-5.5")
    with sessionlab.open(path) as lab:
        page = bridge.page
        show(bridge, lab.browse(session_id=lab.frame("sessions").session_id[0]))
        article = page.get_by_role("article").first
        expect(article).to_contain_text("1.23k → 56 tokens")
        expect(article.get_by_text("deep thought")).to_be_hidden()
        article.get_by_text("Reasoning, 12 characters").click()
        expect(article.get_by_text("deep thought")).to_be_visible()
        expect(article.get_by_text("no rule to make target")).to_be_hidden()
        article.locator("summary", has_text="bash").click()
        expect(article.get_by_text("no rule to make target")).to_be_visible()
        expect(article).to_contain_text("error, exit code 2")
        expect(page.locator(".slb-change")).to_contain_text(["model: gpt-5.4 → gpt-5.5", "temperature: 0.5 → 1.0"])


def test_a_long_text_is_cut_and_shown_and_copied_whole(bridge: Bridge, path: str) -> None:
    long = "".join(f"word {n} 🚢 " for n in range(20_000))
    with Recorder(path) as recorder, recorder.session("first") as session:
        session.user(long)
    with sessionlab.open(path) as lab:
        page = bridge.page
        page.evaluate("() => document.addEventListener('copy', () => { window.copied = document.activeElement.value })")
        show(bridge, lab.browse(session_id=lab.frame("sessions").session_id[0]))
        article = page.get_by_role("article")
        expect(article).not_to_contain_text("word 19999")
        page.get_by_role("button", name="Copy message 1").click()
        page.wait_for_function("() => window.copied")
        assert page.evaluate("copied") == long
        article.get_by_role("button", name="Show more of").click()
        expect(article).to_contain_text("word 12000")
        expect(article).not_to_contain_text("word 19999")
        article.get_by_role("button", name="Show all").click()
        expect(article).to_contain_text("word 19999")
        expect(article.get_by_role("button", name="Show")).to_have_count(0)


def test_hits_are_marked_and_the_next_one_is_a_key_away(bridge: Bridge, path: str) -> None:
    with Recorder(path) as recorder, recorder.session("first") as session:
        recorder.session("second").user("hay")
        for n in range(200):
            turn = session.assistant(f"answer {n}")
            turn.tool_call("bash", {"n": n}).result("needle (1)" if n in (50, 150) else "hay")
    with sessionlab.open(path) as lab:
        page = bridge.page
        show(bridge, lab.browse())
        search(page).fill("needle (1)")
        expect(totals(page)).to_have_text("1 of 2 sessions")
        rows(page).first.locator(".slb-cell").nth(2).click()
        expect(page.locator("article.slb-current")).to_contain_text("answer 50")
        expect(page.locator("article.slb-current mark").last).to_be_visible()
        for answer in ("answer 150", "answer 50"):
            page.keyboard.press("n")
            expect(page.locator("article.slb-current")).to_contain_text(answer)
            expect(page.locator("article.slb-current")).to_be_in_viewport()


def test_branches_and_subagents_can_be_followed(bridge: Bridge, path: str, lab: Lab) -> None:
    with Recorder(path) as recorder, recorder.session("first") as session:
        prompt = session.user("Why?")
        session.assistant("Because.")
        session.fork(prompt).assistant("Another answer.")
    page = bridge.page
    with sessionlab.open(path) as own:
        shown = show(bridge, own.browse(session_id=own.frame("sessions").session_id[0]))
        page.get_by_role("button", name="a branch: goes on from message 1").click()
        expect(page.locator("article.slb-current")).to_contain_text("Why?")
        page.get_by_role("button", name="↳ message 3").click()
        expect(page.locator("article.slb-current")).to_contain_text("Another answer.")
        bridge.close(shown)
    sessions = lab.frame("sessions")
    child = sessions[sessions.parent_session_id.isin(sessions.session_id)].iloc[0]
    browser = show(bridge, lab.browse(session_id=child.session_id))
    page.get_by_role("button", name="↑ started by").click()
    bridge.until(lambda: browser.session_id == child.parent_session_id)
    expect(page.locator(".slb-family button").first).to_contain_text("↓")
    fold = page.locator(".slb-family summary")
    if fold.count():
        fold.click()
    page.locator(".slb-family button").last.click()
    bridge.until(lambda: browser.session_id != child.parent_session_id)
    expect(page.get_by_role("button", name="↑ started by")).to_be_visible()


def test_json_is_shown_on_lines_of_its_own_and_no_number_becomes_another(bridge: Bridge, path: str) -> None:
    arguments = '{"id": 12345678901234567890, "share": 1.0, "text": "a, {b}: \\"c\\"", "none": {}, "list": [1, []]}'
    with Recorder(path) as recorder, recorder.session("first") as session:
        session.assistant("Look.").tool_call("bash", arguments).result("done")
    with sessionlab.open(path) as lab:
        page = bridge.page
        show(bridge, lab.browse(session_id=lab.frame("sessions").session_id[0]))
        page.locator("article summary").click()
        lines = page.locator("article pre").nth(1).inner_text().split("\n")
        assert lines[:3] == ["{", '  "id": 12345678901234567890,', '  "share": 1.0,']
        assert lines[3:5] == ['  "text": "a, {b}: \\"c\\"",', '  "none": {},']
        assert "".join("".join(lines).split()) == "".join(arguments.split())


def test_a_reader_at_the_end_sees_what_comes_and_one_who_is_not_keeps_the_place(bridge: Bridge, path: str) -> None:
    with Recorder(path) as recorder, sessionlab.open(path) as lab:
        session = recorder.session("first")
        for n in range(38):
            session.assistant(f"answer {n}\n" * 12)
        page = bridge.page
        show(bridge, lab.browse(session_id=session.session_id))
        feed = page.get_by_role("feed", name="Transcript")
        feed.evaluate("feed => { feed.scrollTop = feed.scrollHeight }")
        with session.batch():
            for n in range(38, 60):
                session.assistant(f"answer {n}\n" * 12)
        expect(page.locator("article[aria-posinset='60']")).to_be_in_viewport()
        page.get_by_role("button", name="First message").click()
        first = page.locator("article[aria-posinset='1']")
        expect(first).to_be_focused()
        session.assistant("one more")
        page.get_by_text("61 messages").wait_for()
        expect(first).to_be_in_viewport()
        expect(first).to_be_focused()
        top = feed.evaluate("feed => feed.scrollTop")
        bridge.show_again(next(iter(bridge._widgets.values())))
        expect(page.locator("article[aria-posinset='1']")).to_have_count(2)
        assert feed.first.evaluate("feed => feed.scrollTop") == top


def test_a_history_that_is_away_for_a_while_is_told_and_read_again(bridge: Bridge, path: str) -> None:
    with Recorder(path) as recorder:
        recorder.session("first").user("one")
    with sessionlab.open(path) as lab:
        page = bridge.page
        show(bridge, lab.browse())
        os.rename(path, path + ".away")
        page.get_by_role("alert").get_by_text("history.db").wait_for()
        os.rename(path + ".away", path)
        expect(page.get_by_role("alert")).to_be_hidden(timeout=15_000)
        with Recorder(path) as recorder:
            recorder.session("second").user("two")
        expect(totals(page)).to_have_text("2 sessions", timeout=15_000)


def test_a_day_can_be_typed(bridge: Bridge, lab: Lab) -> None:
    page, browser = bridge.page, show(bridge, lab.browse())
    page.get_by_label("From day").focus()
    page.keyboard.type("09222026", delay=60)
    bridge.until(lambda: browser.filters.get("since", "")[:4] == "2026")
    expect(page.get_by_label("From day")).to_have_value("2026-09-22")


# Safe, and for all


def test_what_stands_in_a_history_stays_text(bridge: Bridge, path: str) -> None:
    config = ModelConfig(provider_name="x", request_model=HOSTILE)
    with (
        Recorder(path) as recorder,
        recorder.session(HOSTILE, agent=HOSTILE, directory="/" + HOSTILE, config=config) as session,
    ):
        session.user(HOSTILE)
        turn = session.assistant(HOSTILE, reasoning=HOSTILE, response_model=HOSTILE)
        turn.tool_call(HOSTILE, {HOSTILE: HOSTILE}).result(HOSTILE, is_error=True)
        session.error(HOSTILE, error_type=HOSTILE)
    with sessionlab.open(path) as lab:
        page = bridge.page
        browser = show(bridge, lab.browse())
        rows(page).first.locator(".slb-cell").nth(2).click()
        page.get_by_role("article").nth(2).wait_for()
        for summary in page.locator("article summary").all():
            summary.click()
        search(page).fill("<img src=x")
        expect(page.locator("article mark").first).to_be_visible()
        assert page.evaluate("window.ran") is None
        assert page.locator(".slb img, .slb script, .slb b, .slb a").count() == 0
        assert page.get_by_role("article").first.inner_text().count(HOSTILE) == 1
        assert browser.frame("messages").content[0] == HOSTILE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(bridge: Bridge, lab: Lab, theme: str) -> None:
    page = bridge.page
    browser = lab.browse()
    sessions = lab.frame("sessions")
    failing = sessions[(sessions.tool_error_count > 0) & (sessions.source == "sessionlab")]
    show(bridge, browser, theme=theme)
    browser.session_id = failing.session_id.iloc[0]
    browser.selected = failing.session_id.tolist()[:2]
    bridge.flush()
    page.get_by_role("article").first.wait_for()
    page.locator("article summary").first.click()
    search(page).fill("e")
    expect(totals(page)).not_to_have_text("")
    found = Axe().run(page, context=".slb").response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.parametrize("width", [1280, 800, 420])
def test_nothing_hangs_out_at_any_width(bridge: Bridge, lab: Lab, width: int) -> None:
    page = bridge.page
    browser = show(bridge, lab.browse(), width=f"{width}px")
    browser.session_id = lab.frame("sessions").session_id[0]
    bridge.flush()
    page.locator(".slb-title").wait_for()
    wide = page.evaluate(
        """() => { const edge = document.querySelector('.slb').getBoundingClientRect().right + 1;
        const parts = ['.slb-filters', '.slb-summary', '.slb-panes', '.slb-tools', '.slb-chunk'];
        return [...document.querySelectorAll(parts.map((one) => `${one} > *`).join())]
            .filter((one) => one.getBoundingClientRect().right > edge).map((one) => one.className) }"""
    )
    assert wide == []


def test_it_reads_in_every_theme(bridge: Bridge, lab: Lab, tmp_path: Path) -> None:
    page = bridge.page
    show(bridge, lab.browse(), theme="dark")
    dark = page.locator(".slb").evaluate("one => getComputedStyle(one).backgroundColor")
    bridge.theme("light")
    light = page.locator(".slb").evaluate("one => getComputedStyle(one).backgroundColor")
    assert dark != light
    bridge.theme(None)
    page.emulate_media(color_scheme="dark")
    assert page.locator(".slb").evaluate("one => getComputedStyle(one).backgroundColor") not in (
        light,
        "rgba(0, 0, 0, 0)",
    )
