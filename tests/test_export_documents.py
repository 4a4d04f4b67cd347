"""Exports for people: Markdown and HTML in which nothing of a history is markup or runs."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from opened import lab_of
from playwright.sync_api import expect

import sessionlab
from sessionlab import Recorder
from sessionlab.exporting.documents import Entry, Family
from sessionlab.exporting.markdown import Markdown
from sessionlab.exporting.naming import file_names
from sessionlab.exporting.pages import Pages, passages
from sessionlab.exporting.telling import laid_out, visible
from sessionlab.lab.transcript import Transcript, read_transcript

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
PIECES = (
    "``` ```` ~~~ # --- === <script> </div> <!-- | [a](javascript:x) ![a](http://x) http://x.y www.x.y a@b.co &lt; ` * "
    "</title> ]]> $$ \\ > - 1."
)
SPACES = [" ", "    ", "\n", "\n\n", "\t", "\r", "\x00", "\u202e", "\u2028"]
MARKUP = st.lists(st.sampled_from([*PIECES.split(" "), *SPACES]), max_size=14).map("".join)
HOSTILE = (
    "</title></style></div></main><script>window.ran='script'</script><img src=x onerror=\"window.ran='img'\">"
    "<meta http-equiv=refresh content='0;url=http://evil.example/'><link rel=stylesheet href=http://evil.example/a.css>"
    "<a href=\"javascript:window.ran='link'\">click</a><iframe src=http://evil.example></iframe>"
    "<style>body{background:url(http://evil.example/b.png)}</style><svg onload=\"window.ran='svg'\"></svg>"
    "<base href=http://evil.example/>\x00\u202etxt.exe\u2066 \x1b[31mred\x1b[0m ``` ]]> --> {{ 7*7 }} {% raw %}"
)


WHERE = "/srv/" + HOSTILE.replace("\x00", "")


def record_hostile(path: str) -> None:
    with Recorder(path) as recorder:
        with recorder.session(HOSTILE, agent=HOSTILE, directory=WHERE, metadata={"x": HOSTILE}) as session:
            session.system(HOSTILE)
            session.user(HOSTILE)
            turn = session.assistant(HOSTILE, reasoning=HOSTILE, finish_reason="tool_call")
            turn.tool_call(HOSTILE, {HOSTILE: HOSTILE}).result(f"{HOSTILE}\n" * 30, exit_code=1, is_error=True)
            session.error(RuntimeError(HOSTILE))
        recorder.session("a child", parent=session).end()


def only_transcript(path: str) -> Transcript:
    lab = lab_of(path)
    row = lab.frame("sessions", to="arrow").to_pylist()[0]
    return read_transcript(lab, row["source"], row["session_id"])


@pytest.fixture(scope="module")
def plain_transcript(tmp_path_factory: pytest.TempPathFactory) -> Transcript:
    path = str(tmp_path_factory.mktemp("plain") / "history.db")
    with Recorder(path) as recorder, recorder.session("plain") as session:
        session.user("Hello.")
        turn = session.assistant("Hi.", reasoning="Greet.", finish_reason="tool_call")
        turn.tool_call("bash", {"cmd": "ls"}).result("a", is_error=False)
    with sessionlab.open(path) as lab:
        row = lab.frame("sessions", to="arrow").to_pylist()[0]
        return read_transcript(lab, row["source"], row["session_id"])


def with_texts(plain: Transcript, text: str) -> Transcript:
    """Return the transcript with one text wherever a history has a text."""
    call = {**plain.tool_calls[0], "tool_name": text, "result": text, "arguments": text}
    messages = [
        {**m, "content": text, "reasoning": text if m["role"] == "assistant" else None}
        for m in plain.messages
        if m["role"] != "tool"
    ]
    session = {**plain.session, "name": text, "agent_name": text, "directory": text, "models": [text]}
    return Transcript(session=session, messages=messages, turns=plain.turns, tool_calls=[call])


def alone() -> Family:
    return Family(parent=None, children=[])


# Markdown


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(TEXTS, MARKUP))
def test_nothing_of_a_transcript_is_markup_in_markdown(text: str, plain_transcript: Transcript) -> None:
    transcript = with_texts(plain_transcript, text)
    written = "".join(Markdown().session(transcript, alone()))
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(written)
    kinds = [token.type for token in tokens if token.level == 0 and token.nesting != -1]
    count = sum(kind == "heading_open" for kind in kinds)
    assert count == 1 + len(transcript.messages) + len(transcript.tool_calls)
    assert set(kinds) <= {"heading_open", "bullet_list_open", "paragraph_open", "fence", "blockquote_open"}
    inline = {child.type for token in tokens for child in token.children or []}
    assert inline <= {"text", "code_inline", "text_special", "softbreak"}
    fences = [token.content for token in tokens if token.type == "fence"]
    shown = visible(text) + "\n"
    # The message twice, its reasoning, and of the call the arguments and the result, each as it is.
    expected = [*[shown] * (3 if text else 0), *[shown] * (2 if text else 1)]
    assert fences == expected


def test_the_markdown_of_a_session_reads_as_it_went(path: str, tmp_path: Path) -> None:
    with Recorder(path) as recorder, recorder.session("fix *it*") as session:
        session.user("Why?\n```\ncode\n```")
        turn = session.assistant("Because.", reasoning="Think.", finish_reason="tool_call")
        turn.tool_call("bash", {"cmd": "pytest"}).result("1 failed", exit_code=1, is_error=True)
    sessionlab.export(path, into=tmp_path / "out", format="markdown")
    (file,) = (tmp_path / "out" / "sessions").iterdir()
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# fix \\*it\\*\n")
    assert "````text\nWhy?\n```\ncode\n```\n````\n" in text
    assert "> Reasoning:\n>\n> ```text\n> Think.\n> ```\n" in text
    assert re.search(r"### Failed: bash, error, exit code 1.*\n\ncmd:\n\n```text\npytest\n```\n", text)
    assert f"(sessions/{file.name})" in (tmp_path / "out" / "index.md").read_text(encoding="utf-8")


# File names


NAMES = st.one_of(TEXTS, st.sampled_from(["CON", "nul", "a/../b", "C:\\x", "x" * 300, "数据", "", "A", "a", ".", "-"]))


@given(ids=st.lists(st.tuples(NAMES, NAMES), max_size=12, unique=True))
def test_file_names_are_safe_on_every_platform_and_no_two_alike(ids: list[tuple[str, str]]) -> None:
    rows = [
        {"source": "x", "session_id": number + id, "name": name, "first_prompt": None, "started_at": None}
        for number, (id, name) in zip(map(str, range(len(ids))), ids, strict=True)
    ]
    names = file_names(rows, ".html")
    assert len(set(names)) == len(rows)
    for name in names:
        assert re.fullmatch(r"undated-[a-z0-9-]*[0-9a-f]{10}\.html", name)
        assert len(name) < 90
    assert file_names(rows, ".html") == names


# HTML


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(TEXTS, MARKUP))
def test_a_page_holds_the_tags_of_its_templates_and_no_others(text: str, plain_transcript: Transcript) -> None:
    def tags(of: str) -> list[str]:
        page = "".join(Pages().session(with_texts(plain_transcript, of), alone()))
        page = re.sub('<span class="code" dir="ltr">([^<]*)</span>', "\\1", page)  # what is fenced is code
        return re.findall(r"<!?/?[a-zA-Z!][^>]*>", page)

    kept = "x\n" * (visible(text).count("\n") + 1) if len(visible(text)) < 1_600 else "x" * len(text)
    if text:
        assert [re.sub(r" open(?=>)", "", tag) for tag in tags(text)] == [
            re.sub(r" open(?=>)", "", tag) for tag in tags(kept)
        ]


@given(text=st.one_of(TEXTS, MARKUP))
def test_passages_of_code_and_others_are_the_whole_text(text: str) -> None:
    found = passages(text)
    assert "".join(part for _, part in found) == text
    assert all(part for _, part in found) or not text
    for is_code, part in found:
        assert is_code == bool(re.match("[ \\t]*(```|~~~)", part)) or not is_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("So:\n```sh\nls\n```\nDone.", ["```sh\nls\n```\n"]),
        ("1. See\n   ~~~~\n   ```\n   ~~~\n   ~~~~\nafter", ["   ~~~~\n   ```\n   ~~~\n   ~~~~\n"]),
        ("```\na\n``` b\nstill", ["```\na\n``` b\nstill"]),
        ("```one``` is inline", []),
        ("```\na\n```\n```\nb\n```", ["```\na\n```\n", "```\nb\n```"]),
    ],
)
def test_code_is_what_markdown_takes_for_a_fence(text: str, code: list[str]) -> None:
    assert [part for is_code, part in passages(text) if is_code] == code


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_json_that_is_laid_out_is_the_same_json(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, separators=(",", ":"))):
        assert json.loads(laid_out(text)) == value
        assert "".join(laid_out(text).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text", ["{no json}", "[1, 2", "{} {}", "plain", "", "[" * 30 + "]" * 30, f"[{'1,' * 100_000}1]"]
)
def test_what_is_no_json_or_not_for_people_stays_as_it_is(text: str) -> None:
    assert laid_out(text) == text


@pytest.fixture(scope="module")
def hostile_pages(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("hostile")
    record_hostile(str(folder / "history.db"))
    sessionlab.export(str(folder / "history.db"), into=folder / "out", format="html")
    return str(folder / "out")


def pages_of(folder: str) -> list[str]:
    return [f"file://{folder}/index.html", *(f"file://{folder}/sessions/{n}" for n in os.listdir(f"{folder}/sessions"))]


class Opened:
    """A page of files, what it asked for and what it said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(dialog.message))


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Opened]:
    """Return a page for files; the test fails if it asked for anything else or said anything."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(20_000)
    opened = Opened(context.new_page())
    yield opened
    context.close()
    assert [url for url in opened.asked if not url.startswith("file:///")] == []
    assert opened.said == []


def test_nothing_of_a_hostile_history_runs_or_loads_and_its_texts_are_seen_as_text(
    opened: Opened, hostile_pages: str
) -> None:
    page = opened.page
    urls = pages_of(hostile_pages)
    for url in urls:
        page.goto(url)
        assert page.evaluate("window.ran ?? null") is None
        assert (
            page.evaluate("document.querySelectorAll('script, img, iframe, svg, link, base, object, form').length") == 0
        )
        assert page.evaluate("document.querySelectorAll('style').length") == 1
        assert page.evaluate("[...document.links].every(a => a.protocol === 'file:')")
        assert page.url == url
        for element in page.locator("[href]").all():
            assert "javascript" not in (element.get_attribute("href") or "")
    session = next(url for url in urls if "title" in url)
    page.goto(session)
    message = page.locator("article.user .text")
    assert message.text_content() == visible(HOSTILE)
    assert "⟨U+202E⟩txt.exe" in (message.text_content() or "")
    assert sorted(set(opened.asked)) == sorted(set(urls))


def test_what_would_run_all_the_same_is_forbidden_by_the_pages_policy(opened: Opened, hostile_pages: str) -> None:
    page = opened.page
    page.goto(pages_of(hostile_pages)[0])
    blocked = page.evaluate(
        """() => new Promise(resolve => {
            document.addEventListener("securitypolicyviolation", event => resolve(event.effectiveDirective));
            const image = document.createElement("div");
            image.innerHTML = "<img src=data:image/png;base64,AAAA>";
            document.body.append(image);
        })"""
    )
    assert blocked == "img-src"
    assert "Content Security Policy" in opened.said.pop()
    assert page.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # and its own style is let in


@pytest.fixture(scope="module")
def sample_pages(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sample") / "out"
    sample = os.path.join(ROOT, "sample_data", "claude_code")
    sessionlab.export(sample, into=folder, format="html", since="2026-09-01")
    return str(folder)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_page(
    scheme: Any, width: int, opened: Opened, sample_pages: str, hostile_pages: str
) -> None:
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    largest = max(pages_of(sample_pages)[1:], key=lambda url: os.path.getsize(url.removeprefix("file://")))
    for url in (pages_of(sample_pages)[0], largest, pages_of(hostile_pages)[1]):
        page.goto(url)
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert not found, found
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_one_can_go_from_the_index_to_a_session_its_failed_call_its_children_and_back(
    opened: Opened, sample_pages: str
) -> None:
    page = opened.page
    page.goto(pages_of(sample_pages)[0])
    sessions = lab_of(os.path.join(ROOT, "sample_data", "claude_code")).frame("sessions", since="2026-09-01")
    expect(page.locator(".sessions li")).to_have_count(len(sessions))
    child = sessions[sessions.parent_session_id.isin(sessions.session_id)].iloc[0]
    parent = sessions[sessions.session_id == child.parent_session_id].iloc[0]
    own = next(url for url in pages_of(sample_pages)[1:] if f">{child.session_id}" in open_text(url))
    page.goto(own)
    page.get_by_role("definition").filter(has=page.get_by_role("link")).first.get_by_role("link").click()
    expect(page.locator("dd").first).to_contain_text(parent.session_id)
    assert page.locator(f"dd a[href='{own.rpartition('/')[2]}']").count() == 1
    page.get_by_role("link", name="All sessions").click()
    failing = page.locator(".sessions li").filter(has=page.locator(".failed")).first
    failing.get_by_role("link").click()
    page.locator(".failed a").first.click()
    expect(page.locator("article:target .error").first).to_be_visible()


def test_a_long_result_is_folded_and_printed_all_the_same(opened: Opened, path: str, tmp_path: Path) -> None:
    page = opened.page
    with Recorder(path) as recorder, recorder.session("long") as session:
        turn = session.assistant("Look.", finish_reason="tool_call")
        turn.tool_call("bash", {"cmd": "ls"}).result("\n".join(f"line {n}" for n in range(200)), is_error=False)
    sessionlab.export(path, into=tmp_path / "out", format="html")
    page.goto(pages_of(str(tmp_path / "out"))[1])
    result = page.locator("details.result .text")
    expect(result).to_be_hidden()
    page.locator("details.result summary").click()
    expect(result).to_be_visible()
    page.locator("details.result summary").click()
    expect(result).to_be_hidden()
    page.emulate_media(media="print")
    expect(result).to_be_visible()


def open_text(url: str) -> str:
    with open(url.removeprefix("file://"), encoding="utf-8") as file:
        return file.read()


def test_a_session_without_anything_said_has_a_page(path: str, tmp_path: Path) -> None:
    with Recorder(path) as recorder:
        recorder.session("empty").end()
    report = sessionlab.export(path, into=tmp_path / "out", format="html")
    assert report.rows == {"sessions": 1}
    assert "Nothing was said in this session." in open_text(pages_of(str(tmp_path / "out"))[1])


def test_an_entry_without_a_name_is_called_by_its_prompt() -> None:
    row = {"name": None, "first_prompt": " Why? ", "started_at": None, "updated_at": None}
    assert Entry(session=row, file="x").title == "Why?"


def test_a_session_without_a_name_is_headed_by_its_prompt(plain_transcript: Transcript) -> None:
    session = {**plain_transcript.session, "name": None, "first_prompt": " Why? "}
    transcript = Transcript(
        session=session, messages=plain_transcript.messages, turns=plain_transcript.turns, tool_calls=[]
    )
    assert "".join(Markdown().session(transcript, alone())).startswith("# Why?\n")
    page = "".join(Pages().session(transcript, alone()))
    assert "<title>Why?</title>" in page
    assert re.search(r"<h1[^>]*>Why\?</h1>", page)


def test_a_redacted_page_does_not_say_where_the_history_lies(path: str, tmp_path: Path) -> None:
    with Recorder(path) as recorder, recorder.session("plain", directory="/srv") as session:
        session.user("Hello.")
    sessionlab.export(path, into=tmp_path / "out", format="html", redact=True)
    page = open_text(pages_of(str(tmp_path / "out"))[1])
    assert os.path.basename(path) in page
    assert os.path.dirname(path) not in page
