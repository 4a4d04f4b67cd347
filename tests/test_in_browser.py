"""The page that widgets are tested in: it carries what a notebook carries, and fails where one should notice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anywidget
import pytest
import traitlets
from in_browser import Bridge, Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class Counter(anywidget.AnyWidget):
    _esm = """
    export default { render({ model, el, signal }) {
      const button = document.createElement("button");
      const draw = () => { button.textContent = `${model.get("name")}: ${model.get("count")}`; };
      button.addEventListener("click", () => {
        model.set("count", model.get("count") + 1);
        model.save_changes();
        model.send({ half: model.get("count") / 2 });
      }, { signal });
      const said = document.createElement("output");
      const onMessage = (message, buffers) => {
        said.textContent = `${message.said} ${buffers.map((buffer) => buffer.getUint8(0))}`;
      };
      model.on("change:count change:name", draw);
      model.on("msg:custom", onMessage);
      el.append(button, said);
      draw();
      return () => { model.off("change:count change:name", draw); model.off("msg:custom", onMessage); };
    } };
    """
    _css = "button { color: var(--jp-ui-font-color1, rgb(1, 2, 3)) }"
    name = traitlets.Unicode("clicks").tag(sync=True)
    count = traitlets.Int().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.heard: list[Any] = []
        self.on_msg(self._hear)

    def _hear(self, _widget: object, content: Any, _buffers: object) -> None:
        self.heard.append(content)
        self.send({"said": f"heard {content['half']}"}, [b"\x07"])


def test_traits_and_messages_go_both_ways(page: Page) -> None:
    with Bridge(page) as bridge:
        counter = bridge.show(Counter(count=3))
        page.get_by_role("button", name="clicks: 3").click()
        page.get_by_text("heard 2 7", exact=True).wait_for()
        assert (counter.count, counter.heard) == (4, [{"half": 2}])
        counter.name = "more"
        assert page.get_by_role("button").inner_text() == "more: 4"
        bridge.show_again(counter)
        page.get_by_role("button").nth(1).click()
        bridge.until(lambda: counter.count == 5)
        assert page.get_by_role("button").all_inner_texts() == ["more: 5", "more: 5"]


def test_a_widget_made_before_the_bridge_is_shown_in_its_width_and_theme(page: Page) -> None:
    counter = Counter(name="early")
    with Bridge(page) as bridge:
        bridge.show(counter, width="321px", theme="dark")
        button = page.get_by_role("button", name="early: 0")
        colour = "one => getComputedStyle(one).color"
        box = page.locator(".widget").bounding_box()
        assert box is not None
        assert box["width"] == 321
        assert button.evaluate(colour) == "rgba(255, 255, 255, 0.87)"
        bridge.theme("light")
        assert button.evaluate(colour) == "rgba(0, 0, 0, 0.87)"
        bridge.theme(None)
        assert button.evaluate(colour) == "rgb(1, 2, 3)"


def test_what_another_thread_sends_arrives_while_the_test_waits(page: Page) -> None:
    with Bridge(page) as bridge:
        counter = bridge.show(Counter())
        thread = threading.Thread(target=lambda: setattr(counter, "name", "from a thread"))
        thread.start()
        bridge.until(lambda: page.get_by_role("button", name="from a thread: 0").count())
        thread.join()


def test_closing_says_whether_listeners_are_left(page: Page) -> None:
    class Careless(Counter):
        _esm = 'export default { render({ model }) { model.on("change:count", () => {}); } };'

    with Bridge(page) as bridge:
        assert bridge.close(bridge.show(Counter())) == 0
        assert page.get_by_role("button").count() == 0
        assert bridge.close(bridge.show(Careless())) == 1


def test_what_a_python_handler_raises_fails_the_test(page: Page) -> None:
    def refuse(_change: object) -> None:
        raise ValueError("not that many")

    with pytest.raises(AssertionError, match="not that many"), Bridge(page) as bridge:  # noqa: PT012 -- all of it
        counter = bridge.show(Counter())
        counter.observe(refuse, "count")
        page.get_by_role("button").click()
        bridge.until(lambda: bridge.errors)


def test_requests_off_this_machine_and_errors_are_kept_and_fail_the_check(chromium: Browser) -> None:
    context = chromium.new_context()
    watch = Watch(context)
    page = context.new_page()
    page.set_content(
        '<img src="https://example.com/a.png"><script>fetch("http://192.0.2.1/b").catch(() => {})</script>'
    )
    page.evaluate("() => { setTimeout(() => { throw new Error('thrown') }); console.error('written') }")
    page.wait_for_event("pageerror", predicate=lambda error: "thrown" in str(error))
    context.close()
    assert sorted(watch.outside) == ["http://192.0.2.1/b", "https://example.com/a.png"]
    assert "thrown" in watch.errors
    assert "written" in watch.errors
    with pytest.raises(AssertionError, match=r"example\.com"):
        watch.check()
