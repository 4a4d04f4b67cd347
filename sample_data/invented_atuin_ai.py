"""An invented history of atuin-ai: what Ada asked at the prompt of her shell, and every odd event."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

from atuin_terminal import CANCELLED, History, Window, shell_result
from vocabulary import HOME, PROJECTS, SEED, tasks, told

if TYPE_CHECKING:
    from collections.abc import Callable

_HARBOR, _TIDEPOOL, _LANTERN = (f"{HOME}/{project}" for project in PROJECTS)


def make(folder: str) -> list[str]:
    """Write the file into the folder and return its name."""
    history = History(random.Random(SEED))
    _ordinary(history)
    for tell in _ODD:
        tell(history)
    history.write(os.path.join(folder, "ai_sessions.db"))
    return ["ai_sessions.db"]


def _ordinary(history: History) -> None:
    asked = [*tasks("ops"), *tasks("coder")[2:5], *tasks("researcher")[:2]]
    for number, task in enumerate(asked):
        project = PROJECTS[number % 3]
        folder = f"{HOME}/{project}"
        window = history.open(folder if number % 4 else f"{folder}/src", folder)
        window.chat.with_metadata = number != 0  # from before there was any
        for exchange in told(task["exchanges"], task, project):
            window.user(exchange["prompt"])
            if "reasoning" in exchange:
                window.text("Let me look.")
            for step in exchange.get("steps", ()):
                _use(window, folder, step)
            window.text(exchange["answer"])
            window.persist()
    for number in range(3):
        window = history.open((_LANTERN, None, _HARBOR)[number], (_LANTERN, None, None)[number])
        for task in tasks("terminal")[2 * number : 2 * number + 2]:
            _suggest(window, task)


def _use(window: Window, folder: str, step: dict[str, Any]) -> None:
    """Let the model use one of its tools for a step of a task."""
    tool, arguments, result = step["tool"], step["arguments"], step["result"]
    failed = step.get("status") == "error"
    path = f"{folder}/{arguments.get('path', '')}"
    if tool == "read_file":
        window.read(path)
        window.result(window.call("read_file", {"file_path": path, "offset": 0, "limit": 100}), result)
    elif tool == "edit":
        old_and_new = {"file_path": path, "old_string": arguments["old"], "new_string": arguments["new"]}
        window.chat.grants[path] = window.now_ms
        window.result(window.call("edit_file", old_and_new | {"replace_all": False}), result, is_error=failed)
    elif tool in ("web_search", "fetch"):
        call_id = window.call({"fetch": "web_scrape"}.get(tool, tool), arguments)
        reference = f"ref:{window.history.chance.getrandbits(32):08x}"
        window.result(call_id, reference, remote=True, length=800 + 37 * len(result))
    else:
        command = arguments.get("cmd") or {"grep": "grep -rn '{pattern}' {path}", "list_folder": "ls {path}"}[
            tool
        ].format(**arguments)
        code = step.get("exit_code") or int(failed)
        window.shell(command, code, *(("", result) if code else (result, "")), dir=folder, timeout=30)


def _suggest(window: Window, task: dict[str, Any]) -> None:
    window.user(task["prompt"])
    if task["text"]:
        window.text(task["text"])
    danger = {key: task[key] for key in ("danger", "danger_notes", "confidence")}
    more = {"confidence_notes": "", "description": task["description"]}
    window.call("suggest_command", {"command": task["command"]} | danger | more)
    window.persist()


def _outcomes(history: History) -> None:
    """Let every tool fail in every way."""
    window = history.open(_HARBOR, _HARBOR)
    window.user("Clean up this machine.")
    for name, call_input, content in (
        (
            "read_file",
            {"file_path": "/etc/shadow", "offset": 0, "limit": 100},
            "Permission denied on the user's system",
        ),
        (
            "write_file",
            {"file_path": f"{_HARBOR}/x", "content": "", "overwrite": True},
            "Permission denied by the user",
        ),
        (
            "atuin_history",
            {"query": "rm", "filter_modes": ["global"], "limit": 10, "only_failed": False, "authors": []},
            "Tool not enabled: capability 'client_invented_history' was not advertised by this client",
        ),
        ("defragment", {"disk": "/dev/vda"}, "Error: Unknown tool call: defragment"),
        ("read_file", {"offset": 3}, "Error: Missing file_path"),
    ):
        window.result(window.call(name, call_input), content, is_error=True)
    for command, result in (
        ("make clean", shell_result(2, 310, "", "make: *** No rule to make target 'clean'.  Stop.")),
        ("find / -size +1G", shell_result(None, 30_006, "/var/log/huge", "", "[Timed out after 30s]")),
        ("tail -f /var/log/syslog", shell_result(None, 8_211, "", "", "[Interrupted by user]")),
        ("false", shell_result(1, 3)),
    ):
        call_id = window.call("execute_shell_command", {"command": command, "shell": "bash"})
        window.result(call_id, result, is_error=True)
    window.shell("df -h /", 0, "Filesystem  Size  Used Avail Use% Mounted on\n/dev/vda1   200G  104G   96G  52% /")
    window.text("Nothing was removed: one file is yours alone, one you declined, and the rest timed out or failed.")
    window.persist()


def _cancelled(history: History) -> None:
    window = history.open(_TIDEPOOL, _TIDEPOOL)
    window.user("Explain every file here, one after the other.")
    window.text("There are 212 of them. I begin with\n\n[User cancelled this generation]")
    window.persist()  # nothing was under way, so nothing says that it was aborted
    window.user("Only those at the top.")
    first = window.call("execute_shell_command", {"command": "ls -1", "shell": "zsh", "timeout": 600})
    second = window.call("read_file", {"file_path": f"{_TIDEPOOL}/README.md", "offset": 0, "limit": 1000})
    for call_id in (first, second):
        window.result(call_id, "Error: user cancelled this operation", is_error=True)
    window.text("While these run, here is\n\n[User cancelled this generation]")
    window.add("system_context", content=CANCELLED)
    window.persist()
    window.user("Never mind. How many lines has README.md?")
    window.shell("wc -l README.md", 0, "118 README.md")
    window.text("118.")
    window.persist()


def _commands(history: History) -> None:
    """Use what begins with a slash, and end with `/new`, twice."""
    window = history.open(_LANTERN, _LANTERN)
    window.note("/help", "Commands: /help, /model, /new, /reload, and one for each skill.")
    window.note("/model", "Model set to Demo Large for this and future sessions.")
    window.add("skill_invocation", name="release-notes", arguments="v3.2", content="# Release notes\nWrite them short.")
    window.user("Only what users see.")
    window.text("**Lantern 3.2**: starts faster, has a dark mode.")
    window.persist()
    window.add("skill_invocation", name="standup", arguments=None, content="# Standup\nThree lines: done, next, stuck.")
    window.text("Done: release notes. Next: the store's text. Stuck: no.")
    window.note("/reload", "Reloaded 2 skills.")
    window.persist()
    window = window.new()
    window.user("What is the largest file here?")
    window.shell("ls -S | head -n 1", 0, "lantern.gif")
    window.text("`lantern.gif`.")
    window.note("/model", "Model set to Demo Small for this and future sessions.")
    window.persist()
    # This one holds nothing but what the model never sees.
    window.new()


def _resumed(history: History) -> None:
    window = history.open(f"{_HARBOR}/docs", _HARBOR)
    for number, (prompt, command, out) in enumerate(
        (
            ("Which of our links are dead?", "lychee docs --no-progress", "2 dead of 118"),
            ("And now?", "lychee docs --no-progress", "0 dead of 118"),
            ("Once more, with the drafts.", "lychee docs drafts --no-progress", "5 dead of 140"),
        )
    ):
        if number:
            window = window.later(11.5 * number)
        window.user(prompt)
        window.shell(command, 0, out)
        window.text(f"{out}.")
        window.persist()


def _two_terminals(history: History) -> None:
    """Let two programs go on with one session at the same time."""
    window = history.open(_TIDEPOOL, _TIDEPOOL)
    window.user("Start the tests.")
    window.shell("make test", 1, "", "3 failed, 115 passed")
    window.text("Three tests fail.")
    window.persist()
    left, right = window.later(2), window.later(3)
    left.user("Left: fix the first.")
    left.text("It compares floats; I would use `isclose`.")
    right.user("Right: why the second?")
    right.text("It needs the network.")
    left.now_ms = right.now_ms = max(left.now_ms, right.now_ms)
    for count in (2, 1):  # the two write in turns, within the same second
        left.persist(count)
        right.now_ms = left.now_ms
        right.persist(count)
        left.now_ms = right.now_ms
    left.user("Left: and the third?")
    left.text("The third is the first one again, by another name.")
    left.persist()


def _lost_prompt(history: History) -> None:
    """Open a session that holds only a note: the first event of what follows is never written."""
    window = history.open(_HARBOR, _HARBOR)
    window.note("/new", "Started a new session.")
    window.persist()
    again = Window(history, window.chat, window.now_ms + 240_000, window.head_id)
    again.text("Yes: `git stash` keeps untracked files only with `-u`.")
    again.persist()
    again.user("And how do I get them back?")
    again.text("`git stash pop`.")
    again.persist()


def _calls(history: History) -> None:
    """Pair calls and results in every way that is not one to one."""
    window = history.open(_LANTERN, _LANTERN)
    window.user("Is there a newer release of our parser?")
    call_id = window.call("web_search", {"query": "parser releases", "count": 5}, "srv_two_results")
    window.result(call_id, "Error: Unknown tool call: web_search", is_error=True)
    window.result(call_id, "ref:9f3c22d1", remote=True, length=5120)
    window.result("srv_before_its_call", "ref:00c0ffee", remote=True, length=911)
    window.call("web_scrape", {"url": "https://parser.example/releases"}, "srv_before_its_call")
    window.text("Yes, 4.1 of last week.")
    window.persist()
    window.user("Take it.")
    window.call("upgrade_everything", {"really": True}, "toolu_without_result")
    window.call("execute_shell_command", "pip install parser==4.1", "toolu_text_input")
    window.result("toolu_text_input", "Error: Missing command", is_error=True)
    window.call("load_skill", None, "toolu_null_input")
    window.call("load_skill", ["release-notes", 2], "toolu_list_input")
    window.result("toolu_without_call", shell_result(0, 41, "parser 4.1"))
    first = window.call("execute_shell_command", {"command": "pip list", "shell": "bash"})
    second = window.call("execute_shell_command", {"command": "pip check", "shell": "bash"})
    window.result(second, shell_result(0, 204, "No broken requirements found."))
    window.result(first, shell_result(0, 922, "parser 4.1"))  # results come as they are finished
    window.text("parser 4.1 is in use.")
    window.persist()


def _unreadable(history: History) -> None:
    """Hold events that nobody knows, or that are not what their type says."""
    window = history.open(_TIDEPOOL, None)
    window.chat.server_session_id = None
    window.user("What is in this file? <script>alert('hello')</script>")
    window.raw("tool_result", '{"tool_use_id":"toolu_old","content":"from before these members","is_error":false}')
    window.raw("plan_update", '{"steps":["read","think"],"done":0}')
    window.raw("text", '{"content":"cut off in the mid')
    window.raw("text", '["not","an","object"]')
    window.raw("text", "null")
    window.raw("user_message", "")
    window.raw("tool_call", '{"name":"read_file","input":{}}')
    window.raw("text", '{"content":null}')
    window.raw("tool_result", '{"tool_use_id":"toolu_old","content":{"bytes":512},"is_error":null,"remote":null}')
    window.raw("out_of_band_output", '{"name":"System","content":"without a command"}')
    window.raw("skill_invocation", '{"name":"tidy","content":"# Tidy"}')
    window.raw("text", '{"content":"Grüße, 世界 👩‍🚀","mood":"fine"}')
    window.persist()


def _empty(history: History) -> None:
    """Stop between a session and its first event."""
    window = history.open(None, None)
    window.chat.server_session_id, window.chat.with_metadata = None, False
    window.persist()


_ODD: tuple[Callable[[History], None], ...] = (
    _outcomes,
    _cancelled,
    _commands,
    _resumed,
    _two_terminals,
    _lost_prompt,
    _calls,
    _unreadable,
    _empty,
)
