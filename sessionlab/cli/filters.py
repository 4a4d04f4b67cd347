"""The filters that `frame` and `search` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sessionlab.lab.lab import Lab

_OPTIONS = (
    click.option("--since", metavar="TIME", help="From this time on: ISO text, or an age such as 7d."),
    click.option("--until", metavar="TIME", help="Before this time."),
    click.option(
        "--session",
        "session_id",
        multiple=True,
        metavar="ID",
        help="Only this session, by its id or the beginning of it; may be repeated.",
    ),
    click.option("--source", multiple=True, metavar="TOOL", help="Only this tool; may be repeated."),
    click.option("--agent", "agent_name", multiple=True, metavar="NAME", help="Only this agent; may be repeated."),
    click.option("--directory", multiple=True, metavar="FOLDER", help="Only sessions of this folder; may be repeated."),
    click.option("--model", multiple=True, metavar="MODEL", help="Only this model; may be repeated."),
    click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Only the N newest rows."),
)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filters that every frame has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked_filters(lab: Lab, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters that were given as `Lab.frame` takes them.

    Raises:
        FrameError: Several sessions have an id that begins as one that was given.
    """
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items() if value}
    if "session_id" in asked:
        from sessionlab.lab.finding import whole_ids

        asked["session_id"] = whole_ids(lab, asked["session_id"])
    return asked
