"""What the browser's list is filtered by: values from Python or from the page, and the same as SQL."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sessionlab.errors import FrameError
from sessionlab.lab.engine import literal
from sessionlab.lab.filters import moment
from sessionlab.model import storable

TEXTS = ("name", "first_prompt", "session_id")
"""Where a text is sought in the list itself."""
# Where else: frame and columns.
_OTHER_TEXTS = (("messages", ("content", "reasoning")), ("tool_calls", ("arguments", "result")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a session must be like to be listed; None asks for nothing.

    Attributes:
        text: Stands in its name, first prompt, id, messages, reasoning, tool arguments or results, in any case.
        source: The tool.
        agent_name: The agent.
        model: One of its models.
        directory: Where it ran.
        since: It began then or later.
        until: It began before.
        has_errors: A tool call or a model call of it failed.
    """

    text: str | None = None
    source: str | None = None
    agent_name: str | None = None
    model: str | None = None
    directory: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    has_errors: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Filters:
        """Return filters from a mapping; times as `Lab.frame` takes them.

        Raises:
            FrameError: There is no such filter, or a value does not fit.
        """
        names = [field.name for field in fields(cls)]
        found: dict[str, Any] = {}
        for name, value in values.items():
            if name not in names:
                close = difflib.get_close_matches(str(name), names, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise FrameError(f"There is no filter {name!r} in the browser; there are {', '.join(names)}.{hint}")
            if name == "has_errors":
                found[name] = bool(value)
            elif value is None or value == "":
                found[name] = None
            elif name in ("since", "until"):
                found[name] = moment(value, name)
            elif isinstance(value, str | os.PathLike):
                found[name] = (
                    os.path.abspath(os.path.expanduser(value)) if _is_path(name, value) else storable(str(value))
                )
            else:
                raise FrameError(f"{name}={value!r}: expected a text; the browser's filters take one value each.")
        return cls(**found)

    def plain(self) -> dict[str, Any]:
        """Return what is asked for as JSON has it, times as ISO text in UTC."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items() if value
        }

    def conditions(self) -> Iterator[str]:
        """Yield what is asked for as SQL conditions over the frame `sessions`."""
        if self.text is not None:
            yield f"({' or '.join(self._text_conditions(self.text))})"
        for name in ("source", "agent_name", "directory"):
            if (value := getattr(self, name)) is not None:
                yield f"{name} = {literal(value)}"
        if self.model is not None:
            yield f"list_contains(models, {literal(self.model)})"
        for sign, at in ((">=", self.since), ("<", self.until)):
            if at is not None:
                yield f"started_at {sign} timestamptz {literal(at.isoformat())}"
        if self.has_errors:
            failed = "select source, session_id from turns where error_type is not null"
            yield f"(tool_error_count > 0 or (source, session_id) in ({failed}))"

    def _text_conditions(self, text: str) -> Iterator[str]:
        pattern = literal(re.escape(text))
        for name in TEXTS:
            yield f"contains(lower({name}), lower({literal(text)}))"
        for frame, columns in _OTHER_TEXTS:
            hits = " or ".join(f"regexp_matches({column}, {pattern}, 'i')" for column in columns)
            yield f"(source, session_id) in (select source, session_id from {frame} where {hits})"


def _is_path(name: str, value: Any) -> bool:
    return name == "directory" and (isinstance(value, os.PathLike) or value.startswith((".", "~")))
