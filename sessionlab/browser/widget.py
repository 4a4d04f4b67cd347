"""The widget: its state, what it hands to Python, and its answers to the page."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload
from zoneinfo import ZoneInfo

import anywidget
import numpy as np
import pyarrow as pa
import traitlets

from sessionlab.browser.filtering import Filters
from sessionlab.browser.listing import ROW, SORTABLE, Listing
from sessionlab.browser.selecting import FixedDict, FixedList, rows_of
from sessionlab.browser.telling import Telling
from sessionlab.errors import FrameError, SessionLabError
from sessionlab.lab.engine import literal
from sessionlab.lab.frames import to_pandas
from sessionlab.lab.result import to_polars

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from numpy.typing import NDArray

    from sessionlab.lab.lab import Lab, To

_PAGE = 200
_CHUNK = 40
_KEPT_LISTS = 3


def _read(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


# The newest sessions of each lab, and at which of its revisions they were read.
_listings: weakref.WeakKeyDictionary[Lab, tuple[int, Listing]] = weakref.WeakKeyDictionary()


class SessionBrowser(anywidget.AnyWidget):
    """A list of sessions with filters, a chart whose brush filters it, and the transcript of the one that is open.

    Show it at the end of a notebook's cell. It follows what other processes record, as long as it is in sight.

    Attributes:
        session_id: The session whose transcript is shown; set it to show another one; empty: none.
        selected: The ids of the sessions that are ticked; set it to tick others. Where none is ticked, all that the
            filters leave are selected.
        filters: What sessions must be like to be listed, a dict of `text` (in names, prompts, messages, reasoning and
            tool calls), `source`, `agent_name`, `model`, `directory`, `since`, `until` (as `Lab.frame` takes them) and
            `has_errors`. Set it to filter; times come back as ISO text in UTC.
        sort: The column that the list is in the order of, with `-` before it for descending order.
        height_px: How high the widget is.

    Example:
        >>> import tempfile
        >>> from sessionlab import Recorder, open
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/history.db"
        ...     with Recorder(path) as recorder, recorder.session("fix the build") as session:
        ...         message = session.user("Why does CI fail?")
        ...     with open(path) as lab:
        ...         browser = lab.browse(text="ci")
        ...         browser.frame("sessions")["name"].to_list()
        ['fix the build']
    """

    _esm = "\n".join(_read(f"{part}.js") for part in ("shared", "filters", "chart", "list", "transcript", "browser"))
    _css = _read("browser.css")

    session_id = traitlets.Unicode("").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode())
    filters = traitlets.Dict().tag(sync=True)
    sort = traitlets.Unicode("-started_at").tag(sync=True)
    height_px = traitlets.Int(680, min=320).tag(sync=True)

    def __init__(self, lab: Lab, /, *, session_id: str = "", height_px: int = 680, **filters: Any) -> None:
        """Make a browser of a lab's sessions.

        Args:
            lab: The lab; it must stay open.
            session_id: The session whose transcript is shown at first.
            height_px: How high the widget is.
            **filters: What it shows at first; see `filters`.

        Raises:
            FrameError: There is no such filter or session, or a value does not fit.
            HistoryFileError: A history cannot be read.
        """
        self._lab = lab
        self._zone = "UTC"
        self._revision = lab.refresh()
        self._listing = self._newest()
        self._asked = Filters.of(filters)
        self._with_text: tuple[str, NDArray[np.bool_]] | None = None
        self._picked: set[tuple[str, str]] = set()
        self._open: tuple[str, str] | None = None
        self._telling: Telling | None = None
        self._serial = 0
        self._sent: NDArray[np.int64] | None = None
        self._lists: dict[int, tuple[list[tuple[str, str]], NDArray[np.int64]]] = {}  # what the page may still show
        self._rows: NDArray[np.int64] | None = None
        self._passing: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        super().__init__(filters=self._asked.plain(), height_px=height_px)
        self.selected = []
        self.on_msg(self._on_message)
        if session_id:
            self.session_id = session_id

    def __repr__(self) -> str:
        shown = f", {self.session_id!r} is open" if self.session_id else ""
        ticked = f", {len(self._picked):,} selected" if self._picked else ""
        so_far = "" if self._is_thorough() else " so far"
        listed = f"{len(self._listed()):,}{so_far} of {len(self._listing):,}"
        return f"<SessionBrowser of {listed} sessions{ticked}{shown}>"

    # What it hands to Python

    @property
    def sql(self) -> str:
        """The SELECT that gives the selected sessions, for `lab.sql`: those ticked, else all that the filters leave."""
        conditions = [*self._asked.conditions()]
        if self._picked:
            keys = ", ".join(f"({literal(source)}, {literal(session_id)})" for source, session_id in self._picks())
            conditions = [f"(source, session_id) in ({keys})"]
        where = "\n  and ".join(conditions)
        return "select *\nfrom sessions" + (f"\nwhere {where}" if conditions else "")

    @overload
    def frame(
        self,
        name: str = ...,
        /,
        *,
        columns: Sequence[str] | str | None = ...,
        to: Literal["pandas"] = ...,
        **filters: Any,
    ) -> pd.DataFrame: ...
    @overload
    def frame(
        self, name: str = ..., /, *, columns: Sequence[str] | str | None = ..., to: Literal["polars"], **filters: Any
    ) -> pl.DataFrame: ...
    @overload
    def frame(
        self, name: str = ..., /, *, columns: Sequence[str] | str | None = ..., to: Literal["arrow"], **filters: Any
    ) -> pa.Table: ...

    def frame(
        self,
        name: str = "sessions",
        /,
        *,
        columns: Sequence[str] | str | None = None,
        to: To = "pandas",
        **filters: Any,
    ) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return the rows of a frame that are of the selected sessions: those ticked, else all that the filters leave.

        Args:
            name: The frame.
            columns: Only these columns, in this order.
            to: `pandas`, `polars` or `arrow`.
            **filters: More of what `Lab.frame` takes.

        Raises:
            FrameError: There is no such frame, column or filter, or a value does not fit.
            HistoryFileError: A history cannot be read.
            MissingPartError: A package that is needed is not installed.
        """
        self._catch_up()
        keys = self._picks() if self._picked else [self._listing.keys[row] for row in self._listed(thorough=True)]
        is_all = not self._picked and not self._asked.plain()
        table = rows_of(self._lab, name, None if is_all else keys, columns=columns, filters=filters)
        if to == "arrow":
            return table
        return to_polars(table) if to == "polars" else to_pandas(table)

    def _picks(self) -> list[tuple[str, str]]:
        return [key for key in self._listing.keys if key in self._picked]

    # Its state

    @traitlets.validate("filters")
    def _check_filters(self, proposal: Any) -> dict[str, Any]:
        return FixedDict(Filters.of(proposal["value"]).plain())

    @traitlets.observe("filters")
    def _filter(self, change: Any) -> None:
        self._asked = Filters.of(change["new"])
        self._rows = None
        self._send_list()
        if self._telling is not None:
            self.send({"op": "hits", "hits": self._telling.places_of(self._asked.text)})

    @traitlets.validate("sort")
    def _check_sort(self, proposal: Any) -> str:
        sort: str = proposal["value"]
        if sort.removeprefix("-") not in SORTABLE:
            raise FrameError(f"sort={sort!r}: expected one of {', '.join(SORTABLE)}, or one with - before it.")
        return sort

    @traitlets.observe("sort")
    def _sort(self, _: Any) -> None:
        self._rows = None
        self._send_list()

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> list[str]:
        for session_id in proposal["value"]:
            self._key_of(session_id)
        return FixedList(proposal["value"])

    @traitlets.observe("selected")
    def _select(self, change: Any) -> None:
        if [session_id for _, session_id in self._picks()] != change["new"]:
            self._picked = {self._key_of(session_id) for session_id in change["new"]}
            self._send_list()

    @traitlets.validate("session_id")
    def _check_session_id(self, proposal: Any) -> str:
        session_id: str = proposal["value"]
        if session_id:
            self._key_of(session_id)
        return session_id

    @traitlets.observe("session_id")
    def _show(self, change: Any) -> None:
        if not change["new"]:
            self._open = self._telling = None
            self.send({"op": "closed"})
        elif self._open is None or self._open[1] != change["new"]:
            self._open_session(self._key_of(change["new"]))

    def _key_of(self, session_id: str, source: str | None = None) -> tuple[str, str]:
        row = self._listing.row_of(session_id, source)
        if row is None:  # it may have come just now
            self._catch_up()
            row = self._listing.row_of(session_id, source)
        if row is None:
            raise FrameError(
                f"There is no session {session_id!r} among the {len(self._listing):,} of this lab. "
                'lab.frame("sessions") has the ids.'
            )
        return self._listing.keys[row]

    # The list

    def _listed(self, *, thorough: bool = False) -> NDArray[np.int64]:
        """Return the rows that the filters leave, in order.

        Args:
            thorough: Look for the text in messages and tool calls as well, if that was not done.
        """
        if thorough and self._asked.text and not self._is_thorough():
            self._look_in_texts()
        if self._rows is None:
            is_thorough = self._with_text is not None and self._is_thorough()
            with_text = self._with_text[1] if is_thorough and self._with_text else None
            self._passing = self._listing.mask(self._asked, with_text)
            order = self._listing.order(self.sort)
            self._rows = order[(self._passing & self._listing.in_time(self._asked))[order]]
        return self._rows

    def _is_thorough(self) -> bool:
        return not self._asked.text or (self._with_text is not None and self._with_text[0] == self._asked.text)

    def _look_in_texts(self) -> None:
        text = self._asked.text or ""
        found = self._lab.search_sessions(text)
        hits: NDArray[np.bool_] = np.zeros(len(self._listing), dtype=bool)
        for source, session_id in zip(*(column.to_pylist() for column in found.columns), strict=True):
            if (row := self._listing.row_of(session_id, source)) is not None:
                hits[row] = True
        self._with_text = (text, hits)
        self._rows = None

    def _send_list(self, view: str | None = None) -> None:
        rows = self._listed()
        listing = self._listing
        picks = [row for key in self._picked if (row := listing.row_of(key[1], key[0])) is not None]
        if rows is not self._sent:  # ticks change no row's place, so what the page says of places stays true
            self._sent = rows
            self._serial += 1
            self._lists[self._serial] = (listing.keys, rows)
            self._lists.pop(self._serial - _KEPT_LISTS, None)
        self.send(
            {
                "op": "list",
                "view": view,
                "serial": self._serial,
                "total": len(rows),
                "of": len(listing),
                "is_thorough": self._is_thorough(),
                "since": _ms(self._asked.since),
                "until": _ms(self._asked.until),
                "totals": listing.totals(np.array(picks, dtype=np.int64) if picks else rows),
                "picked": len(picks),
                "chart": listing.chart(self._passing),
                "active": self._place_of_first_pick(rows) if picks else None,
                "columns": [*ROW, "is_picked"],
                "rows": self._page(0),
            }
        )

    def _place_of_first_pick(self, rows: NDArray[np.int64]) -> int | None:
        picked = [self._listing.row_of(session_id, source) for source, session_id in self._picked]
        places = np.flatnonzero(np.isin(rows, [row for row in picked if row is not None]))
        return int(places[0]) if len(places) else None

    def _newest(self) -> Listing:
        """Return the sessions as they are now; browsers of one lab share what they read."""
        known = _listings.get(self._lab)
        if known is None or known[0] != self._revision:
            known = _listings[self._lab] = (self._revision, Listing.of(self._lab, self._zone))
        return known[1].in_zone(self._zone)

    def _page(self, start: int) -> list[list[Any]]:
        rows = self._listing.shown(self._listed()[start : start + _PAGE].tolist())
        return [[*row, (row[0], row[1]) in self._picked] for row in rows]

    # The transcript

    def _open_session(self, key: tuple[str, str], *, by: str | None = None) -> None:
        self._telling = self._told(key)
        self._open = key
        self.session_id = key[1]
        self._send_session(0, is_new=True, by=by)

    def _told(self, key: tuple[str, str]) -> Telling:
        row = self._listing.row_of(key[1], key[0])
        if row is None:
            raise FrameError(f"The session {key[1]!r} is not in the histories any more.")
        return Telling.of(self._lab, self._listing.session(row), self._listing.family(row))

    def _send_session(self, unchanged: int, *, is_new: bool, view: str | None = None, by: str | None = None) -> None:
        telling = self._telling
        if telling is None or self._open is None:
            return
        places = np.flatnonzero(self._listed() == self._listing.row_of(self._open[1], self._open[0]))
        chunk = min(unchanged, max(0, len(telling) - 1)) // _CHUNK
        self.send(
            {
                "op": "session",
                "view": view,
                "by": by,
                "is_new": is_new,
                "key": list(self._open),
                "row": int(places[0]) if len(places) and not unchanged else None,
                "head": telling.head,
                "total": len(telling),
                "chunk_size": _CHUNK,
                "errors": telling.errors,
                "hits": telling.places_of(self._asked.text),
                "unchanged": unchanged,
                "chunk": chunk,
                "items": telling.items(chunk * _CHUNK, (chunk + 1) * _CHUNK),
            }
        )

    # What the page asks

    def _on_message(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        op = str(content.get("op"))
        answer = getattr(self, f"_on_{op}", None)
        if answer is None:
            return
        try:
            answer(content)
        except SessionLabError as error:
            self.send({"op": "error", "of": op, "text": str(error)})
        except Exception as error:
            self.send({"op": "error", "of": op, "text": f"{type(error).__name__}: {error}"})
            raise

    def _on_hello(self, content: Mapping[str, Any]) -> None:
        """A view was made: it gets everything, and the others nothing."""
        view = content.get("view")
        self._zone = _known_zone(content.get("zone"))
        self._listing = self._listing.in_zone(self._zone)
        self.send({"op": "choices", "view": view, "choices": self._listing.choices()})
        self._send_list(view=view)
        self._send_session(0, is_new=True, view=view)
        self._listing.prepare_search()

    def _on_page(self, content: Mapping[str, Any]) -> None:
        start = max(0, int(content["start"]))
        self.send({"op": "rows", "serial": self._serial, "start": start, "rows": self._page(start)})

    def _on_deep(self, content: Mapping[str, Any]) -> None:
        """Nobody types any more: look for the text in messages and tool calls."""
        if content.get("serial") == self._serial and not self._is_thorough():
            self._look_in_texts()
            self._send_list()

    def _on_open(self, content: Mapping[str, Any]) -> None:
        source, session_id = str(content["source"]), str(content["session_id"])
        self._open_session((source, session_id), by=content.get("by"))

    def _on_pick(self, content: Mapping[str, Any]) -> None:
        """Tick a session, or the rows of a range, or untick them; without either untick all."""
        if "session_id" in content:
            keys = {self._key_of(str(content["session_id"]), str(content["source"]))}
        elif "start" in content:
            keys = self._keys_in_range(content)
        else:
            keys = self._picked
        self._picked = self._picked | keys if content.get("on") else self._picked - keys
        self.selected = [session_id for _, session_id in self._picks()]
        self._send_list()

    def _keys_in_range(self, content: Mapping[str, Any]) -> set[tuple[str, str]]:
        """Return the sessions of a range of the list that the page showed, though a newer one may be on its way."""
        known, rows = self._lists.get(content.get("serial", 0), ([], None))
        if rows is None:
            raise FrameError("The list has changed several times meanwhile. Choose the range in the new one.")
        keys = {known[row] for row in rows[int(content["start"]) : int(content["end"])].tolist()}
        return {key for key in keys if self._listing.row_of(key[1], key[0]) is not None}

    def _on_chunk(self, content: Mapping[str, Any]) -> None:
        if self._telling is not None and list(self._open or ()) == content.get("key"):
            chunk = int(content["chunk"])
            items = self._telling.items(chunk * _CHUNK, (chunk + 1) * _CHUNK)
            self.send({"op": "chunk", "key": list(self._open or ()), "chunk": chunk, "items": items})

    def _on_whole(self, content: Mapping[str, Any]) -> None:
        if self._telling is not None and list(self._open or ()) == content.get("key"):
            place, part, until = int(content["place"]), str(content["part"]), int(content["until"])
            text = self._telling.whole(place, part)
            answer = {"place": place, "part": part, "until": until, "text": text[:until], "is_cut": len(text) > until}
            self.send({"op": "whole", "key": list(self._open or ()), **answer})

    def _on_copy(self, content: Mapping[str, Any]) -> None:
        if self._telling is not None and list(self._open or ()) == content.get("key"):
            self.send({"op": "copied", "text": self._telling.copied(int(content["place"]))})

    def _on_look(self, _: Mapping[str, Any]) -> None:
        """See whether something was recorded meanwhile, and show it."""
        is_done = False
        try:
            self._catch_up()
            is_done = True
        finally:
            self.send({"op": "looked", "is_done": is_done})

    def _catch_up(self) -> None:
        """Read what was recorded meanwhile, and tell the page."""
        revision = self._lab.refresh()
        if revision == self._revision:
            return
        self._revision = revision
        self._listing = self._newest()
        self._rows = self._with_text = None
        if self._asked.text:
            self._look_in_texts()
        self._forget_gone()
        self.send({"op": "choices", "choices": self._listing.choices()})
        self._send_list()
        self._follow()

    def _forget_gone(self) -> None:
        """Untick and close sessions that are in the histories no more."""
        there = set(self._listing.keys)
        if not self._picked <= there:
            self._picked &= there
            self.selected = [session_id for _, session_id in self._picks()]
        if self._open is not None and self._open not in there:
            self.session_id = ""

    def _follow(self) -> None:
        """Read the open session again, and send what is new in it."""
        if self._open is None or self._telling is None:
            return
        before, self._telling = self._telling, self._told(self._open)
        unchanged = before.first_change(self._telling)
        is_same = unchanged == len(before) == len(self._telling) and before.head == self._telling.head
        if not is_same:
            self._send_session(unchanged, is_new=False)


def _known_zone(name: Any) -> str:
    try:
        return ZoneInfo(str(name)).key
    except (KeyError, ValueError, OSError):  # not known here, or no name of a zone
        return "UTC"


def _ms(at: Any) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
