"""The commands `search` and `show`: where something was said, and how a session went."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

import sessionlab
from sessionlab.cli.filters import asked_filters, filter_options
from sessionlab.cli.output import check_output, format_of, output_options, write
from sessionlab.cli.running import interruptible
from sessionlab.cli.screen import color_option, has_color, print_long, print_text, say_problems, seen
from sessionlab.cli.transcript import told
from sessionlab.exporting.records import plain
from sessionlab.exporting.telling import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sessionlab.lab.transcript import Row, Transcript

_SHOWN_HITS = 40
_WHO = 22
_MARKED = re.compile("«(.*?)»")


@click.command(
    short_help="Find a text in messages, reasoning and tool calls.",
    epilog="""\b
Examples:
  sessionlab search "missing fixture"
  sessionlab search timeout history.db --since 7d --agent coder
  sessionlab search --regex "error|fail(ed|ure)" --limit 100
  sessionlab search pytest --session 4f1c --format json | jq -r '.[].snippet'
  sessionlab search TODO -o todo.csv""",
)
@click.argument("text")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--regex", is_flag=True, help="TEXT is a pattern in RE2's words.")
@filter_options
@output_options
@color_option
@click.pass_context
def search(
    ctx: click.Context,
    /,
    text: str,
    paths: tuple[str, ...],
    regex: bool,
    limit: int | None,
    form: str | None,
    output: str | None,
    force: bool,
    color: bool | None,
    **filters: Any,
) -> None:
    """Find TEXT in the histories at PATH, or in every history found on this machine.

    Messages, reasoning, and the arguments and results of tool calls are searched; upper and lower case are one. A table
    shows the newest places by session; the other formats write everything. Exits with 1 where nothing was found.
    """
    form = format_of(form, output)
    check_output(output, force, paths)
    lab = sessionlab.open(*paths)
    most = _SHOWN_HITS if form == "table" and limit is None else limit
    asked = asked_filters(lab, filters)
    table = interruptible(lambda: lab.search(text, regex=regex, to="arrow", limit=most, **asked))
    if form != "table":
        write(table, form, output, force)
    elif table.num_rows:
        is_colored = has_color(color)
        lines = list(_by_session(table.to_pylist(), is_colored))
        lines.append(_summary(table.num_rows, limit is None and table.num_rows == most))
        print_text("\n".join(lines) + "\n", is_colored=is_colored)
    say_problems(lab)
    if not table.num_rows:
        click.echo(f"{text!r} was not found.", err=True)
        ctx.exit(1)


def _by_session(hits: Sequence[Row], is_colored: bool) -> Iterator[str]:
    """Yield the lines that tell hits by their sessions."""
    sessions: dict[tuple[str, str, str], list[Row]] = {}
    for hit in hits:
        sessions.setdefault((hit["source"], hit["session_id"], hit["origin"]), []).append(hit)
    for (source, session_id, _), found in sessions.items():
        name = seen(found[0]["session_name"] or "(no name)")
        times = [hit["created_at"] for hit in found if hit["created_at"] is not None]
        when = f"  {min(times).astimezone():%Y-%m-%d %H:%M}" if times else ""
        yield f"{click.style(name, bold=True) if is_colored else name}  {seen(session_id)}  {source}{when}"
        for hit in found:
            index = "" if hit["message_index"] is None else hit["message_index"]
            snippet = seen(hit["snippet"])
            if is_colored:
                snippet = _MARKED.sub(lambda mark: click.style(mark[1], fg="red", bold=True), snippet)
            more = f"  (+{hit['hit_count'] - 1})" if hit["hit_count"] > 1 else ""
            yield f"  {index:>5}  {_who(hit):<{_WHO}}  {snippet}{more}"
        yield ""


def _who(hit: Row) -> str:
    who = seen(hit["tool_name"]) if hit["tool_name"] else hit["role"]
    return who if hit["place"] == "content" else f"{who} {hit['place']}"


def _summary(count: int, may_be_more: bool) -> str:
    zone = f"times are local ({datetime.now().astimezone().tzname()})"
    if may_be_more:
        return f"The newest {counted(count, 'place')}; --limit N shows more, --format csv writes all; {zone}."
    return f"{counted(count, 'place')}; {zone}."


class _ShowCommand(click.Command):
    """A command that takes -1 for the newest session and not for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["last" if word == "-1" else word for word in args])


@click.command(
    cls=_ShowCommand,
    short_help="Show one session as it went.",
    epilog="""\b
Examples:
  sessionlab show last
  sessionlab show 4f1c history.db
  sessionlab show "fix the build" --full --no-pager
  sessionlab show last --color | less -R
  sessionlab show last --format json | jq '.messages | length'""",
)
@click.argument("session")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--full", is_flag=True, help="Show tool calls whole, however long.")
@click.option("--no-pager", is_flag=True, help="Never page; without it what is longer than the terminal is paged.")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", help="text unless said.")
@color_option
def show(session: str, paths: tuple[str, ...], full: bool, no_pager: bool, form: str, color: bool | None) -> None:
    """Show SESSION of the histories at PATH, or of every history found on this machine.

    SESSION is an id, the beginning of one, or a name; last or -1 is the newest. JSON has the session's rows of the
    frames sessions, messages, turns and tool_calls.
    """
    lab = sessionlab.open(*paths)

    def read() -> Transcript:
        from sessionlab.lab.finding import find_session
        from sessionlab.lab.transcript import read_transcript

        with lab.snapshot():
            found = find_session(lab, session)
            return read_transcript(lab, found["source"], found["session_id"])

    transcript = interruptible(read)
    if form == "json":
        parts = {name: plain(getattr(transcript, name)) for name in ("session", "messages", "turns", "tool_calls")}
        click.echo(json.dumps(parts, ensure_ascii=False, indent=1).encode())
    else:
        is_colored = has_color(color)
        text = "\n".join(told(transcript, is_colored=is_colored, is_full=full)) + "\n"
        print_long(text, is_colored=is_colored, has_pager=not no_pager)
    say_problems(lab)
