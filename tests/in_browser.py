"""A real Chromium for tests: it cannot leave this machine, and a `Bridge` runs our widget in it without Jupyter.

    def test_a_click_counts(page: Page) -> None:
        with Bridge(page) as bridge:
            counter = bridge.show(Counter(), width="400px", theme="dark")
            page.get_by_role("button").click()
            bridge.until(lambda: counter.value == 1)

The `page` fixture fails a test whose page asked for anything off this machine, wrote an error to its console or threw
an exception; the bridge one in which a Python handler did.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import comm
from comm.base_comm import BaseComm
from ipywidgets.widgets.widget import Widget, _remove_buffers
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

NOTE = os.path.join(sys.prefix, "chromium-path")
_HERE = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|(data|blob|about):")
_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "in_browser.js")
_THEMES = os.path.join(sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab")
_DOCUMENT = '<!doctype html><html lang="en"><head><title>widget</title></head><body><main></main></body></html>'
_WidgetT = TypeVar("_WidgetT", bound=Widget)


def chromium_path() -> str:
    """Return the Chromium that `make test` found or installed."""
    try:
        with open(NOTE, encoding="utf-8") as file:
            path = file.read().strip()
    except FileNotFoundError:
        path = ""
    if not os.path.isfile(path):
        raise RuntimeError(
            f"These tests need a Chromium, and {NOTE!r} names {path!r}, which is not there. Run `make chromium`."
        )
    return path


@contextlib.contextmanager
def running_chromium(home: str) -> Iterator[Browser]:
    """Start Chromium; whatever it writes goes to `home`.

    Playwright's event loop counts as running for as long as it is open, and no other can run in the thread then: so
    this is for the tests of one module, and not for all.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(),
            env={**os.environ, "HOME": home},
            # What is no request of a page, as for updates, goes nowhere either.
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--disable-gpu"],
        )
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What the pages of a context did that they should not: requests off this machine (blocked), and errors."""

    def __init__(self, context: BrowserContext, *, with_console: bool = True) -> None:
        self.outside: list[str] = []
        self.errors: list[str] = []
        self._with_console = with_console
        context.route("**/*", self._route)
        context.on("page", self._watch)

    def _route(self, route: Route) -> None:
        if _HERE.match(route.request.url):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def _watch(self, page: Page) -> None:
        page.on("websocket", lambda socket: None if _HERE.match(socket.url) else self.outside.append(socket.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if self._with_console:
            page.on("console", self._on_console)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def check(self) -> None:
        """Fail where there was anything."""
        assert not self.outside, f"asked for what is not on this machine: {self.outside}"
        assert not self.errors, f"errors in the page: {self.errors}"


class Bridge:
    """A page as the place where widgets are shown, with the real Python behind them; a context manager.

    Not carried: buffers from the page to Python, and widgets inside widgets.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        """What went wrong in Python handlers; it must be empty at the end."""
        self._comms: dict[str, _Comm] = {}
        self._queue: list[tuple[str, Any]] = []
        self._widgets: dict[str, Widget] = {}
        self._is_called = False
        self._log = _Collect(self.errors)

    def __enter__(self) -> Bridge:
        self._create_comm = comm.create_comm
        comm.create_comm = self._open
        logging.getLogger("traitlets").addHandler(
            self._log
        )  # ipywidgets says there what an observer or a callback raised
        self.page.set_content(_DOCUMENT)
        self.page.expose_function("__python", self._from_page)
        with open(_SCRIPT, encoding="utf-8") as file:
            self.page.evaluate(f"() => {{ {file.read()} }}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        comm.create_comm = self._create_comm
        logging.getLogger("traitlets").removeHandler(self._log)
        for widget in self._widgets.values():
            widget.close()
        if kind is None:
            assert not self.errors, f"Python handlers failed: {self.errors}"

    def show(
        self, widget: _WidgetT, *, width: str = "900px", height: str = "auto", theme: str | None = "light"
    ) -> _WidgetT:
        """Show a widget in a place of its own, with JupyterLab's variables of a theme (None: without any)."""
        if widget.comm is None or widget.comm.comm_id not in self._comms:  # it was made before the bridge
            widget.comm = None
            widget.open()
        self.theme(theme)
        state, paths, buffers = _remove_buffers(widget.get_state())
        _put_buffers(state, paths, buffers)
        key = widget.comm.comm_id
        self._queue = [(one, message) for one, message in self._queue if one != key]  # the state has them already
        size = {"width": width, "height": height}
        self.page.evaluate("([id, state, size]) => openWidget(id, state, size)", [key, _as_json(state), size])
        self._widgets[key] = widget
        self.flush()
        return widget

    def show_again(self, widget: Widget, *, width: str = "900px", height: str = "auto") -> None:
        """Show a second view of a widget that is shown already."""
        size = {"width": width, "height": height}
        self.page.evaluate("([id, size]) => widgets.get(id).show(size)", [widget.comm.comm_id, size])

    def close(self, widget: Widget) -> int:
        """Close a widget's views as a notebook does; return how many listeners they left on the model."""
        left = self.page.evaluate("id => widgets.get(id).close()", widget.comm.comm_id)
        del self._widgets[widget.comm.comm_id]
        widget.close()
        return int(left)

    def theme(self, name: str | None) -> None:
        """Give the page the variables of JupyterLab's theme `light` or `dark`, or of none."""
        variables = ""
        if name is not None:
            with open(os.path.join(_THEMES, f"theme-{name}-extension", "index.css"), encoding="utf-8") as file:
                variables = file.read().split("}")[0] + "}"
        self.page.evaluate(
            """([variables, name]) => {
                document.querySelector("#theme")?.remove();
                const style = Object.assign(document.createElement("style"), { id: "theme" });
                style.textContent = variables + (name ? "body { background: var(--jp-layout-color0) }" : "");
                document.head.prepend(style);
                if (name) document.body.dataset.jpThemeLight = String(name === "light");
                else delete document.body.dataset.jpThemeLight;
            }""",
            [variables, name],
        )

    def until(self, condition: Callable[[], object], *, timeout_s: float = 10) -> None:
        """Let page and Python talk until something is true in Python."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"was not true within {timeout_s} s; handlers: {self.errors}"
            self.page.wait_for_timeout(5)
            self.flush()

    def flush(self) -> None:
        """Bring what Python has to say to the page; it happens by itself, except for what another thread sends."""
        self.page.evaluate("messages => fromPython(messages)", self._take())

    def _take(self) -> list[tuple[str, Any]]:
        taken, self._queue = self._queue, []
        return taken

    def _open(self, *arguments: Any, **options: Any) -> _Comm:
        return _Comm(self, *arguments, **options)

    def _from_page(self, key: str, message: Any) -> list[tuple[str, Any]]:
        self._is_called = True
        try:
            self._comms[key].handle_msg({"content": {"data": message}, "buffers": []})
        except Exception as error:
            self.errors.append(repr(error))
        finally:
            self._is_called = False
        return self._take()

    def _to_page(self, key: str, message: Any, buffers: list[Any]) -> None:
        message = _as_json(message)
        if message["method"] == "update":
            _put_buffers(message["state"], message.pop("buffer_paths", []), buffers)
        elif message["method"] == "custom":
            message["buffers"] = [_packed(one) for one in buffers]
        else:  # echo_update: the page knows what it said
            return
        self._queue.append((key, message))
        if key in self._widgets and not self._is_called and threading.current_thread() is threading.main_thread():
            self.flush()


class _Comm(BaseComm):
    """One widget's line to the page."""

    def __init__(self, bridge: Bridge, *arguments: Any, **options: Any) -> None:
        self._bridge = bridge
        super().__init__(*arguments, **options)

    def publish_msg(self, msg_type: str, data: Any = None, *_: Any, buffers: Any = None, **__: Any) -> None:
        if msg_type == "comm_open":
            self._bridge._comms[self.comm_id] = self
        elif msg_type == "comm_msg":
            self._bridge._to_page(self.comm_id, data, buffers or [])


class _Collect(logging.Handler):
    """Keeps warnings and errors that are logged, with their exceptions."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        raised = f": {record.exc_info[1]!r}" if record.exc_info else ""
        self._errors.append(record.getMessage() + raised)


def _put_buffers(state: Any, paths: list[list[Any]], buffers: list[Any]) -> None:
    for path, buffer in zip(paths, buffers, strict=True):
        place = state
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = _packed(buffer)


def _packed(buffer: Any) -> dict[str, str]:
    return {"__base64__": base64.b64encode(bytes(buffer)).decode()}


def _as_json(value: Any) -> Any:
    """Return what arrives on the other side: JSON, and nothing else."""
    return json.loads(json.dumps(value))
