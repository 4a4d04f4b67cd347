"""The lines as tables for people, and as JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from benchmarks.growth import Growth
from benchmarks.peers import PEERS
from benchmarks.timing import Line

_VERDICT = {True: "met", False: "missed", None: ""}
_STYLE = {True: "green", False: "red", None: ""}


def main_table(lines: Iterable[Line]) -> Table:
    """Return the table of what is beside one other way or none, and how many times faster ours is."""
    table = Table(
        "work", "sessionlab", "beside", "takes", "times faster", "aim", title="Medians of one run, peak memory"
    )
    before = None
    for line in lines:
        if line.other in PEERS:
            continue
        head = (line.part, line.work, line.messages)
        if before is not None and head[0] != before[0]:
            table.add_section()
        is_again = head == before  # the same work beside another
        work, ours = ("", "") if is_again else (_work(line), _ours(line))
        table.add_row(work, ours, line.other or "", _other(line), _ratio(line), _aim(line))
        before = head
    return table


def reading_table(lines: Iterable[Line]) -> Table:
    """Return the table of what is beside several ways to read: a row for a work and a size, a column for each way."""
    works: dict[tuple[str, str, int | None], dict[str, Line]] = {}
    for line in lines:
        if line.other in PEERS:
            works.setdefault((line.part, line.work, line.messages), {})[line.other] = line
    table = Table("work", "messages", "sessionlab", *PEERS, "aim", title="Reading: medians, and how many times faster")
    before = None
    for (part, work, messages), found in works.items():
        if before is not None and (part, messages) != before:
            table.add_section()
        before = (part, messages)
        ours = next((_ours(line) for line in found.values() if line.ours_s is not None), "")
        cells = [_cell(found[name]) if name in found else "" for name in PEERS]
        aims = [f"{_aim(line)} ({line.other})" for line in found.values() if line.aim is not None]
        table.add_row(work, f"{messages or 0:,}", ours, *cells, "\n".join(aims))
    return table


def aims_table(lines: Iterable[Line]) -> Table:
    """Return the aims alone, each with what was measured and whether that is enough."""
    table = Table("work", "aim", "measured", "beside", "", title="Aims")
    for line in lines:
        if line.aim is None:
            continue
        if line.is_met is None:
            verdict = "not measured" if line.ours_s is None else "for larger sizes"
        else:
            verdict = _VERDICT[line.is_met]
        measured = _ours(line) + (f", {_ratio(line)} x" if line.ratio is not None else "")
        style = _STYLE[line.is_met]
        table.add_row(_work(line), str(line.aim), measured, line.other or "", verdict, style=style)
    return table


def growth_table(growths: Sequence[Growth]) -> Table:
    """Return how the time for one message changes with the size."""
    sizes = sorted({size for growth in growths for size in growth.seconds})
    table = Table(
        "work", "by", *(f"{size:,}" for size in sizes), "exponent", title="How cost grows: µs per message at each size"
    )
    before = ""
    for growth in growths:
        values = [growth.seconds.get(size) for size in sizes]
        cells = [
            "" if value is None else f"{value / size * 1e6:.2f}" for size, value in zip(sizes, values, strict=True)
        ]
        work, before = "" if growth.work == before else growth.work, growth.work
        table.add_row(work, growth.way, *cells, f"{growth.exponent:.2f}")
    return table


def one_line(line: Line) -> str:
    """Return a line as text, for who watches."""
    beside = f" | {line.other}: {_other(line)}" if line.other else ""
    ratio = f" | {_ratio(line)} x" if line.ratio is not None else ""
    verdict = f" | {line.aim}: {_VERDICT[line.is_met]}" if line.is_met is not None else ""
    return f"{_work(line)}: {_ours(line)}{beside}{ratio}{verdict}"


def write_json(path: str, about: dict[str, Any], lines: Iterable[Line], growths: Iterable[Growth]) -> None:
    """Write everything to a file, which is whole at any moment."""
    found = [{**asdict(line), "aim_text": str(line.aim or ""), "is_met": line.is_met} for line in lines]
    content = {**about, "lines": found, "growth": [asdict(growth) for growth in growths]}
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    os.replace(f"{path}.part", path)


def _work(line: Line) -> str:
    return line.work if line.messages is None else f"{line.work}, {line.messages:,} messages"


def _ours(line: Line) -> str:
    if line.ours_s is None:
        return "" if line.other else escape(line.note)
    return _shown(line.ours_s, line.ours_mb, line.ours_modules, line.ours_share, is_rate=line.is_per_event)


def _other(line: Line) -> str:
    if line.other_s is None:
        return escape(line.note) if line.other else ""
    return _shown(line.other_s, line.other_mb, line.other_modules, line.other_share, is_rate=line.is_per_event)


def _cell(line: Line) -> str:
    return escape(line.note) or f"{_other(line)}\n{_ratio(line)} x"


def _ratio(line: Line) -> str:
    return "" if line.ratio is None else f"{line.ratio:.2f}"


def _aim(line: Line) -> str:
    if line.aim is None:
        return ""
    verdict = _VERDICT[line.is_met]
    return f"{line.aim}: [{_STYLE[line.is_met]}]{verdict}[/]" if verdict else str(line.aim)


def _shown(seconds: float, megabytes: float | None, modules: int | None, share: float | None, *, is_rate: bool) -> str:
    if seconds < 1e-3:
        texts = [f"{seconds * 1e6:.1f} µs"]
    else:
        texts = [f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"]
    if is_rate:
        texts.append(f"{1 / seconds:,.0f}/s")
    if megabytes is not None:
        texts.append(f"{megabytes:,.0f} MB")
    if modules is not None:
        texts.append(f"{modules} modules")
    if share is not None:
        texts.append(f"slowest {share:.0%} of its share")
    return ", ".join(texts)
