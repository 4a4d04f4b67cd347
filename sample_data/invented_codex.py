"""An invented history of Codex CLI: rollouts of all ages, forks and agents' agents, and every odd line."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from codex_rollout import BARE, EARLY, PAGED, WRAPPED, Rollout, Use, dumps, usage
from vocabulary import PROJECTS, SEED, moment, tasks, text_pool, told, uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNTS = ("turns", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")


class _Home:
    """The files that are being made."""

    def __init__(self) -> None:
        self.chance = random.Random(SEED)
        self.rollouts: list[Rollout] = []
        self.others: dict[str, tuple[str, datetime]] = {}  # files that are no lines

    def start(self, *, at: datetime | None = None, **more: Any) -> Rollout:
        return Rollout(self.chance, at or moment(self.chance), **more)

    def begin(self, *, at: datetime | None = None, **more: Any) -> Rollout:
        rollout = self.start(at=at, **more)
        rollout.begin()
        return rollout

    def save(self, rollout: Rollout) -> Rollout:
        self.rollouts.append(rollout)
        return rollout

    def fork(self, parent: Rollout, *, until: int | None = None, **more: Any) -> Rollout:
        """Go on from another session in a file of its own; one of the newest age copies nothing."""
        fork = self.start(at=parent.now + timedelta(minutes=40), version=parent.version, model=parent.model, **more)
        if parent.is_paged:
            fork.follow(parent)
        else:
            fork.write_meta(forked_from_id=parent.id)
            fork.replay(parent, until=until)
        return fork

    def agent(self, parent: Rollout, name: str, *, filtered: bool) -> Rollout:
        """Let a session start an agent, which begins with what its parent has said so far."""
        spawn = {"parent_thread_id": parent.id, "depth": 1, "agent_nickname": name, "agent_role": "explorer"}
        agent = self.start(at=parent.now, version=parent.version, source={"subagent": {"thread_spawn": spawn}})
        agent.write_meta(forked_from_id=parent.id, agent_nickname=name, agent_role="explorer")
        agent.replay(parent, filtered=filtered)
        return agent


def make(folder: str) -> list[str]:
    """Write the files into the folder, as old as what they tell, and return their names."""
    home = _invented()
    files = {rollout.name: (rollout.text(), rollout.now) for rollout in home.rollouts} | home.others
    for name, (text, time) in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.utime(path, (time.timestamp(), time.timestamp()))
    return sorted(files)


def expected() -> dict[str, dict[str, int]]:
    """Return what a reader should count for each session: its own responses, and what they used."""
    return {rollout.id: {name: rollout.own[name] for name in _COUNTS} for rollout in _invented().rollouts}


def write_large(path: str, message_count: int) -> None:
    """Write one rollout of about `message_count` messages."""
    chance = random.Random(SEED)
    pool = text_pool(chance)
    rollout = Rollout(chance, datetime(2026, 9, 1, 8, tzinfo=UTC))
    rollout.begin()
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for number in range(0, message_count, 4):
            rollout.prompt(pool[number % len(pool)])
            call = Use(arguments={"cmd": "make test"}, output=pool[(number + 1) % len(pool)])
            rollout.respond(None, call, used=usage(9_000, 6_400, 240, 64))
            rollout.respond(pool[(number + 2) % len(pool)], used=usage(9_400, 8_960, 180))
            rollout.end()
            file.write(rollout.text())
            rollout.lines.clear()


def _invented() -> _Home:
    home = _Home()
    for tell in (_ordinary, *_ODD):
        tell(home)
    return home


def _ordinary(home: _Home) -> None:
    """Do the known tasks, in the three newer ages of the format."""
    doings = (
        (tasks("coder")[0], WRAPPED, "gpt-5.3-codex"),
        (tasks("coder")[1], PAGED, "gpt-5.5"),
        (tasks("reviewer")[0], WRAPPED, "gpt-5.5"),
        (tasks("researcher")[0], PAGED, "gpt-5.5"),
        (tasks("ops")[0], EARLY, None),
    )
    for number, (task, version, model) in enumerate(doings):
        project = PROJECTS[number % 3]
        rollout = home.begin(version=version, model=model, project=project)
        for exchange in told(task["exchanges"], task, project):
            rollout.prompt(exchange["prompt"])
            for at, step in enumerate(exchange.get("steps", ())):
                thought = exchange.get("reasoning") if at == 0 else None
                rollout.respond("Let me look." if at == 0 else None, _use(step), reasoning=thought)
            rollout.respond(exchange["answer"])
            rollout.end(exchange["answer"])
        home.save(rollout)


def _use(step: dict[str, Any]) -> Use:
    """Return a step of a task as a call."""
    if step["tool"] == "edit":
        patch = f"*** Begin Patch\n*** Update File: {step['arguments']['path']}\n*** End Patch"
        return Use(kind="custom", name="apply_patch", arguments=patch, output=step["result"])
    if step["tool"] == "web_search":
        return Use(kind="search", arguments=step["arguments"].get("query", ""))
    command = step["arguments"].get("cmd") or f"{step['tool']} {' '.join(map(str, step['arguments'].values()))}"
    return Use(arguments={"cmd": command}, output=step["result"], exit_code=step.get("exit_code"))


def _counters(home: _Home) -> None:
    """Show a total again, show none, begin the counter anew, and let responses pass without a count."""
    rollout = home.begin(project="tidepool")
    rollout.show_count(None)
    rollout.prompt("How warm is the pool?")
    rollout.respond("I measure.", Use(arguments={"cmd": "probe --warm"}, output="14.2"), used=usage(4_000, 0, 60, 32))
    rollout.show_count(usage(4_000, 0, 60, 32))
    rollout.respond("14.2 degrees.", used=usage(4_300, 3_968, 40))
    rollout.show_count(usage(225_513, 0, 12))  # shown again after a pause, with a last usage that is of nothing
    rollout.end()
    rollout.reset()
    rollout.prompt("And now?")
    rollout.respond("Still 14.2 degrees.", used=usage(4_000, 0, 60, 32))  # the same numbers as in the first epoch
    rollout.show_count(None)
    rollout.end()
    home.save(rollout)
    rollout = home.begin(project="tidepool")
    rollout.prompt("Count the crabs twice.")
    rollout.respond("Once.", Use(arguments={"cmd": "crabs"}, output="7"), counted=False)
    rollout.respond("Twice.", Use(arguments={"cmd": "crabs"}, output="8"), counted=False)
    rollout.respond("Seven, then eight.", used=usage(5_000, 2_048, 90, 64))
    rollout.end()
    home.save(rollout)


def _family(home: _Home) -> None:
    """Fork a session, fork the fork, and let the first start agents that begin with all or some of what it said."""
    parent = home.begin(project="lantern")
    parent.prompt("Which lamps are broken?")
    parent.respond("I look.", Use(arguments={"cmd": "lamps --broken"}, output="lamp 3, lamp 9"))
    parent.respond("Lamps 3 and 9.")
    parent.end()
    cut = len(parent.lines)
    parent.prompt("Order new ones.")
    parent.respond("Two are ordered.")
    parent.end()
    home.save(parent)
    fork = home.fork(parent, until=cut, project="lantern")
    fork.prompt("Repair them instead.")
    fork.respond("Lamp 3 can be repaired, lamp 9 cannot.")
    fork.end()
    home.save(fork)
    second = home.fork(fork, project="lantern")
    second.prompt("Then repair lamp 3.")
    second.respond("It shines again.")
    second.end()
    home.save(second)
    for name, filtered in (("Curie", False), ("Noether", True)):
        agent = home.agent(parent, name, filtered=filtered)
        agent.prompt(f"You are {name}. Find the fuse box.")
        agent.respond("Behind the door.", Use(arguments={"cmd": "map fuse"}, output="door 2"))
        agent.respond("Door 2.")
        agent.end()
        home.save(agent)
    paged = home.begin(project="lantern", version=PAGED, model="gpt-5.5")
    paged.prompt("Name the lamps.")
    paged.respond("Ada to Zuse.")
    paged.end()
    home.save(paged)
    copy = home.fork(paged, project="lantern")
    copy.prompt("Shorter.")
    copy.respond("A to Z.")
    copy.end()
    home.save(copy)


def _orphans(home: _Home) -> None:
    """Fork one session twice and lose it; the first of the forks has the counts of both."""
    lost = home.begin(project="harbor")
    lost.prompt("List the berths.")
    lost.respond("Berths 1 to 12.", used=usage(6_100, 0, 75))
    lost.end()
    for number, prompt in enumerate(("Which are free?", "Which are deep?")):
        fork = home.fork(lost, project="harbor")
        fork.started = fork.now = fork.now + timedelta(hours=number)
        fork.prompt(prompt)
        fork.respond("Berths 4 and 7." if number else "Berth 4.")
        fork.end()
        if number == 0:
            fork.own.update(lost.own)
        home.save(fork)


def _archived(home: _Home) -> None:
    """Put a session away."""
    rollout = home.begin(archived=True)
    rollout.prompt("Say hello.")
    rollout.respond("Hello.")
    rollout.end("Hello.")
    home.save(rollout)


def _configured(home: _Home) -> None:
    """Change the model and the effort in the middle, and forget to say the model."""
    rollout = home.begin(model="gpt-5.3-codex", effort="low")
    for model, effort in (("gpt-5.3-codex", "low"), ("gpt-5.5", "low"), ("gpt-5.5", "xhigh"), (None, None)):
        rollout.model, rollout.effort = model, effort
        rollout.prompt(f"Who are you, {model}?")
        rollout.respond(f"I am {model}.")
        rollout.end()
    home.save(rollout)


def _early(home: _Home) -> None:
    """Count as single versions did: 0.50 and 0.51, and as a resume did."""
    rollout = home.start(version=EARLY, model=None)
    rollout.begin(cli_version="0.50.0")
    rollout.prompt("What is 6 times 7?")
    rollout.respond("42.", counted=False)
    rollout.event("token_count", info={"prompt": 3_210, "completion": 18}, rate_limits=None)
    rollout.own.update({"input_tokens": 3_210, "output_tokens": 18})
    home.save(rollout)
    rollout = home.start(version=EARLY, model=None)
    rollout.begin(cli_version="0.51.0")
    rollout.prompt("And 7 times 8?")
    rollout.respond("56.", counted=False)
    used = {"input_tokens": 3_300, "cached_input_tokens": 2_048, "output_tokens": 21}
    rollout.lines.append({"type": "turn.completed", "usage": used})
    rollout.own.update(used)
    home.save(rollout)
    rollout = home.begin(version=EARLY, model=None)
    for prompt, used in (("Is it 56?", usage(1_400, 1_152, 90, 64)), ("Sure?", usage(1_500, 1_280, 100, 64))):
        rollout.totals = usage(0, 0, 0)  # a resume begins anew without saying so
        rollout.prompt(prompt)
        rollout.show_count(None)
        rollout.respond("Yes.", used=used)
    home.save(rollout)


def _bare(home: _Home) -> None:
    """Write items alone, in lines, and before that as one JSON text."""
    rollout = home.begin(at=datetime(2025, 8, 4, 9, tzinfo=UTC), version=BARE)
    rollout.prompt("Why is the harbor empty?")
    output = dumps({"output": "no ships\n", "metadata": {"exit_code": 1, "duration_seconds": 0.3}})
    call = Use(name="shell", arguments={"command": ["bash", "-lc", "ships"]}, output=output)
    rollout.respond(None, call, reasoning="Ships are listed by a tool.")
    rollout.respond("It is Sunday.")
    home.save(rollout)
    session_id = uuid4(home.chance)
    items: list[dict[str, Any]] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Rename main to trunk."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "duration_ms": 900},
        {
            "type": "function_call",
            "id": "fc_1",
            "status": "completed",
            "name": "shell",
            "arguments": '{"command":["git","branch","-m","main","trunk"]}',
            "call_id": "call_1",
        },
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": '{"output":"","metadata":{"exit_code":0,"duration_seconds":0.1}}',
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Renamed.", "annotations": []}],
        },
    ]
    session = {"timestamp": "2025-04-22T10:04:31.512Z", "id": session_id, "instructions": ""}
    text = json.dumps({"session": session, "items": items}, indent=2)
    written = datetime(2025, 4, 22, 10, 5, tzinfo=UTC)
    home.others[os.path.join("sessions", f"rollout-2025-04-22-{session_id}.json")] = (text, written)


def _tools(home: _Home) -> None:
    """Call every kind of tool, and get every kind of output."""
    rollout = home.begin(project="tidepool")
    rollout.prompt("Try all of your tools.")
    rollout.respond(
        "Several at once.",
        Use(arguments={"cmd": "false"}, output="Process exited with code 1\nOutput:\n", exit_code=1),
        Use(kind="shell", arguments=["ls", "-l"], output={"content": "total 0", "success": True}),
        Use(kind="search", arguments="crab season"),
        reasoning="First the shell.",
    )
    rollout.respond(
        None,
        Use(kind="mcp", name="mcp__tides__next", arguments={"place": "quay"}, output="high at 14:10"),
        Use(kind="mcp", name="mcp__tides__last", arguments={"place": "moon"}, output="no tides there", exit_code=1),
        Use(kind="custom", name="apply_patch", arguments="*** Begin Patch\n*** End Patch", output="Done!"),
        Use(kind="custom", name="apply_patch", arguments="*** Begin", output="invalid patch", exit_code=1),
    )
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aW52ZW50ZWQ="}
    rollout.respond(
        None,
        Use(
            name="view_image",
            arguments={"path": "crab.png"},
            output=[{"type": "input_text", "text": "A crab."}, picture],
        ),
        Use(name="update_plan", arguments='{"plan": [', output="failed to parse function arguments: EOF"),
        Use(name="wait", arguments={"ids": []}),
    )
    rollout.event("turn_aborted", turn_id=rollout.turn_id, reason="interrupted", duration_ms=41_000)
    rollout.prompt("Go on.")
    rollout.respond("All were tried.")
    rollout.end()
    home.save(rollout)


def _compacted(home: _Home) -> None:
    """Put summaries in the place of what was said, in both shapes."""
    for version in (WRAPPED, PAGED):
        rollout = home.begin(version=version, model="gpt-5.5", project="harbor")
        rollout.prompt("Tell me about every ship.")
        rollout.respond("There are many.")
        rollout.end()
        rollout.compact("So far: ships were asked for.", replaced=version == PAGED)
        rollout.write_envelopes()
        rollout.prompt("Only the red ones.")
        rollout.respond("The Ruby.")
        rollout.end()
        home.save(rollout)


def _broken(home: _Home) -> None:
    """Fail, hold lines that nobody knows or can read, and be cut off."""
    rollout = home.begin(project="lantern")
    rollout.prompt("Light the lamp. <script>alert('hello')</script>")
    rollout.event("error", message="stream disconnected before completion", codex_error_info="other")
    rollout.event("turn_aborted", turn_id=rollout.turn_id, reason="interrupted")
    rollout.lines.append('{"timestamp":"2026-09-01T10:00:00.000Z","type":"event_msg","payload":{"type":')
    rollout.write("world_state", {"full": True, "state": {"agents_md": {"directory": rollout.cwd}}})
    rollout.write("hologram", {"depth": 3})
    rollout.event("thread_settings_applied", thread_settings={"model": rollout.model})
    rollout.lines.append("[1, 2, 3]")
    rollout.prompt("Try again: 数据, naïve, 👋.")
    half = '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"It is \\ud83d lit."}]}'
    rollout.lines.append(f'{{"timestamp":"{rollout.stamp()}","type":"response_item","payload":{half}}}')
    rollout.own["turns"] += 1
    rollout.count(usage(3_900, 2_048, 44))
    rollout.end()
    rollout.lines.append('{"timestamp":"2026-09-01T10:00:09.000Z","type":"response_item","payl')
    rollout.has_end = False
    home.save(rollout)


def _empty(home: _Home) -> None:
    """Open a session and say nothing."""
    home.save(home.begin())


_ODD: tuple[Callable[[_Home], None], ...] = (
    _counters,
    _family,
    _orphans,
    _archived,
    _configured,
    _early,
    _bare,
    _tools,
    _compacted,
    _broken,
    _empty,
)
