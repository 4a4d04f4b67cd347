"""The invented sessions of the sample store: ordinary ones, and every odd kind that a history can hold."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from story import Step, Story
from vocabulary import FIRST_DAY, HOME, PROJECTS, SEED, moment, tasks, told

from sessionlab import ModelConfig, Session, Usage
from sessionlab.model import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CODER_PROMPT = "You are a careful programmer. Read before you write, run the tests, and say what you changed."
SONNET = ModelConfig(
    provider_name="anthropic",
    api_base="https://api.anthropic.com",
    request_model="claude-sonnet-5",
    temperature=0.2,
    max_tokens=8192,
    context_max_tokens=200_000,
    system_instructions=_CODER_PROMPT,
)
OPUS = replace(SONNET, request_model="claude-opus-5", temperature=None, reasoning_effort="high")
HAIKU = ModelConfig(provider_name="anthropic", request_model="claude-haiku-4-5", temperature=0.0, max_tokens=4096)
GPT = ModelConfig(
    provider_name="openai",
    api_base="https://api.openai.com/v1",
    request_model="gpt-5.5",
    reasoning_effort="medium",
    max_tokens=16_000,
    extra={"parallel_tool_calls": True, "service_tier": "default"},
)
GPT_MINI = ModelConfig(provider_name="openai", request_model="gpt-5.4-mini", reasoning_effort="low")
GEMINI = ModelConfig(
    provider_name="gcp.gemini", request_model="gemini-3.1-pro-preview", temperature=1.0, top_p=0.95, max_tokens=32_768
)
FLASH = ModelConfig(provider_name="gcp.gemini", request_model="gemini-3.5-flash", temperature=1.0, top_p=0.95)
LOCAL = ModelConfig(  # a model of one's own, which no price list knows
    provider_name="ollama",
    api_base="http://localhost:11434/v1",
    request_model="workshop-coder-12b",
    temperature=0.1,
    context_max_tokens=32_768,
    assistant_minimum_context_tokens=2048,
    stop_sequences=("</answer>", "\n\n###"),
)

# How many sessions each agent has, the models it uses in turn, and its system prompt.
_AGENTS: dict[str, tuple[int, tuple[ModelConfig, ...], str]] = {
    "coder": (14, (SONNET, SONNET, OPUS, GPT, LOCAL), _CODER_PROMPT),
    "reviewer": (7, (OPUS, GPT, GEMINI), "You review changes. Bugs first, taste last."),
    "researcher": (7, (GEMINI, FLASH, GPT_MINI), "You look things up and say where you found them."),
    "ops": (7, (HAIKU, GPT_MINI, FLASH), "You look after machines. Look first; ask before anything that destroys."),
}


def invented_sessions() -> list[Session]:
    """Return all sessions in the order in which they began: the same ones every time."""
    found = [*_ordinary(random.Random(SEED)), *_odd(random.Random(SEED + 1))]
    return sorted(found, key=lambda session: (session.started_at or FIRST_DAY, session.session_id))


def _ordinary(chance: random.Random) -> Iterator[Session]:
    for agent, (count, configs, instructions) in _AGENTS.items():
        known = tasks(agent)
        for number in range(count):
            task, config = known[number % len(known)], configs[number % len(configs)]
            project = chance.choice(PROJECTS)
            helper: Session | None = None
            story = Story(
                chance,
                moment(chance),
                config=config,
                reports_cost=agent == "coder" and config.provider_name == "anthropic",
                name=task["name"] if number < len(known) else f"{task['name']} ({project})",
                agent_name=agent,
                directory=f"{HOME}/{project}" if number % 4 else f"{HOME}/{project}/src",
                git_root=f"{HOME}/{project}",
                conversation_id=f"conv_{chance.getrandbits(48):012x}" if config.provider_name == "openai" else None,
                metadata={"ticket": f"{project.upper()}-{chance.randint(100, 999)}"} if number % 3 == 0 else {},
            )
            story.system(instructions)
            _tell(story, task, project)
            if agent == "coder" and number % 5 == 0:
                helper = _delegate(story, project)
            ended = number % 6 != 5
            archived = story.now + timedelta(days=3) if number % 7 == 6 else None
            yield story.done(ended=ended, archived_at=archived)
            if helper is not None:
                yield helper


def _tell(story: Story, task: dict[str, Any], project: str) -> None:
    for exchange in told(task["exchanges"], task, project):
        story.user(exchange["prompt"])
        thought = exchange.get("reasoning")
        steps = [Step(**step) for step in exchange.get("steps", ())]
        while steps:
            count = 2 if story.chance.random() < 0.2 else 1  # some models call two tools at once
            story.use(*steps[:count], text="Let me look." if thought else None, reasoning=thought)
            steps, thought = steps[count:], None
        story.answer(exchange["answer"], reasoning=thought)


def _delegate(story: Story, project: str) -> Session:
    """Let the session ask another agent, which records a session of its own."""
    story.user("Let the researcher find out whether others have this problem too.")
    child = Story(
        story.chance,
        story.now + timedelta(seconds=2),
        config=FLASH,
        name=None,
        agent_name="researcher",
        directory=f"{HOME}/{project}",
        git_root=f"{HOME}/{project}",
        parent_session_id=story.session_id,
        metadata={"asked_by": "coder"},
    )
    child.system("You look things up and say where you found them.")
    child.user("Do other projects have this problem?")
    child.use(Step(tool="web_search", arguments={"query": "same problem"}, result="1. A thread from 2024", seconds=1.1))
    child.answer("Yes: one thread from 2024 describes it, and the same mend.")
    finished = child.done()
    story.use(
        Step(
            tool="ask_agent",
            arguments={"agent": "researcher", "session_id": child.session_id},
            result="Yes: one thread from 2024 describes it, and the same mend.",
            seconds=6.2,
        )
    )
    story.answer("The researcher found one thread from 2024 with the same cause and the same mend.")
    return finished


def _odd(chance: random.Random) -> Iterator[Session]:
    for tell in _ODD:
        yield from tell(chance)


def _story(chance: random.Random, name: str | None, config: ModelConfig | None = SONNET, **more: Any) -> Story:
    folder = f"{HOME}/{more.pop('project', 'harbor')}"
    session = {"agent_name": "coder", "directory": folder, "git_root": folder} | more
    return Story(chance, moment(chance), config=config, name=name, **session)


def _without_messages(chance: random.Random) -> Iterator[Session]:
    yield _story(chance, "opened and closed again").done()
    story = _story(chance, None, agent_name=None, directory=None, git_root=None)
    yield story.done(archived_at=story.now + timedelta(hours=1))
    story = _story(chance, "only a system prompt", HAIKU)
    story.system(_CODER_PROMPT)
    yield story.done(ended=False)


def _without_answer(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "a question left open", GPT)
    story.user("Which of our tests need the network?")
    story.use(Step(tool="grep", arguments={"pattern": "requests"}, result="tests/test_api.py:3"))
    story.answer("Only `tests/test_api.py`.")
    story.user("And which of them fail without it?")
    yield story.done(ended=False)


def _failed_model_calls(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "a bad day at the provider", OPUS)
    story.system(_CODER_PROMPT)
    story.user("Rename `fetch` to `read` everywhere.")
    story.failure("rate_limit_error", "429: This request would exceed your organization's rate limit.")
    story.wait(20)
    story.failure("overloaded_error", "529: Overloaded")
    story.wait(60)
    story.use(Step(tool="bash", arguments={"cmd": "git grep -lw fetch"}, result="src/api.py\nsrc/cli.py", exit_code=0))
    story.failure("APITimeoutError", "Request timed out after 600 s.")
    story.answer("Renamed in `src/api.py` and `src/cli.py`; 14 places.")
    story.user("Now read the whole log and explain it.")
    story.failure("invalid_request_error", "prompt is too long: 214012 tokens > 200000 maximum")
    yield story.done()


def _every_result(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "tools that did not work", agent_name="ops", config=HAIKU, project="lantern")
    story.user("Clean up the old releases on web-1.")
    story.use(
        Step(
            tool="bash",
            arguments={"cmd": "ls /srv/releases"},
            result="ls: Permission denied",
            status="error",
            exit_code=2,
        )
    )
    story.use(
        Step(
            tool="bash",
            arguments={"cmd": "sudo rm -rf /srv/releases/2024*"},
            result="The user said no.",
            status="denied",
            seconds=0.0,
        )
    )
    story.use(
        Step(
            tool="bash",
            arguments={"cmd": "find /srv -mtime +365"},
            result="No answer within 120 s.",
            status="timeout",
            seconds=120.0,
        ),
        Step(
            tool="web_search",
            arguments={"query": "delete old releases safely"},
            result=None,
            status="cancelled",
            seconds=0.4,
        ),
    )
    turn = story.use(Step(tool="bash", arguments={"cmd": "tail -f /var/log/syslog"}, result=None, status="unanswered"))
    story.call(
        turn, Step(tool="read_file", arguments='{"path": "/etc/hos', result="Arguments are not JSON.", status="error")
    )
    story.call(turn, Step(tool="clock", arguments=None, result="2026-10-01T12:00:00Z"))
    story.answer(
        "I could not list the folder, and you declined the removal, so nothing has changed.", finish="end_turn"
    )
    yield story.done()


def _changed_configurations(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "three models, one question", SONNET, agent_name="researcher", project="tidepool")
    story.system("Answer in one sentence.")
    story.user("Is the word 'idempotent' right for our upload call?")
    story.answer("Yes, if sending the same file twice leaves one file.")
    story.config = replace(SONNET, temperature=0.9, top_p=0.8, stop_sequences=("END",))
    story.user("Say it more freely.")
    story.answer("Send it twice, keep it once: yes.", finish="stop_sequence")
    story.config = GPT
    story.user("And what does the other one say?")
    story.answer(
        "Only if a retry cannot create a second version; check the version table.", reasoning="The versions matter."
    )
    story.answer("One more remark, by a model that nobody noted.", config=None, usage=None, timed=False)
    story.config = SONNET
    story.user("Thank you. The first one again: is it documented?")
    story.answer("Not yet.")
    yield story.done()


def _forks(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "two ways to store sessions", OPUS, agent_name="researcher", project="tidepool")
    story.system("You weigh alternatives.")
    question = story.user("Where should the login sessions live?")
    first = story.answer("In Redis, if losing them in a restart is acceptable.")
    story.user("It is not.")
    story.answer("Then in PostgreSQL, with an index on the expiry time.")
    story.fork(first)
    story.user("Say it is acceptable. What does that cost us?")
    story.use(Step(tool="web_search", arguments={"query": "managed redis price"}, result="1. About 15 USD a month"))
    story.answer("About 15 dollars a month and one more thing to watch.")
    story.fork(question)
    story.answer("In signed cookies: nothing to store at all, but no way to end one early.")
    yield story.done()


def _resumed(chance: random.Random) -> Iterator[Session]:
    story = _story(
        chance, "the long move to pytest", SONNET, project="lantern", metadata={"branch": "pytest", "days": 3}
    )
    story.system(_CODER_PROMPT)
    for day, module in enumerate(("accounts", "billing", "search")):
        if day:
            story.resume(timedelta(hours=21, minutes=7 * day))
        story.user(f"Move the tests of `{module}` to pytest.")
        story.use(
            Step(
                tool="bash",
                arguments={"cmd": f"pytest tests/{module} -q"},
                result=f"{11 + 8 * day} passed",
                exit_code=0,
            )
        )
        story.answer(f"`{module}` is moved; {11 + 8 * day} tests pass.")
    yield story.done(conversation_id="conv_shared")
    story = _story(chance, "the same conversation, elsewhere", SONNET, project="lantern")
    story.user("Go on with the move to pytest.")
    story.answer("What is left is `mail`.", usage=Usage(output_tokens=9))
    yield story.done(conversation_id="conv_shared")


def _every_kind(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "notes in the margin", GPT)
    story.system("Be brief.")
    story.note("Project rules were read from AGENTS.md.", kind="context")
    story.user("What is the release rhythm?")
    story.note("Skill `release` was loaded.", kind="skill")
    story.answer("Every second Tuesday.")
    story.note("Remember to ask Grace about December.")
    story.note("The user looked at the file by other means.", kind="out_of_band")
    story.user("Write the announcement.")
    story.answer("Version 2.4 is out. It is the first one that", finish="length")
    story.user("Go on.")
    story.answer(None, finish="content_filter", usage=Usage(input_tokens=0, output_tokens=0))
    story.answer("starts in under a second.", finish="pause_turn")
    yield story.done()


def _long_text(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "a long log", GEMINI, agent_name="ops")
    lines = (
        f"2026-10-0{1 + n // 90} 12:{n % 60:02d}:07 worker-{n % 5} job {4000 + n} took {chance.randint(3, 900)} ms"
        for n in range(400)
    )
    story.user("Why is worker-3 slow?\n\n" + "\n".join(lines))
    story.answer(
        "It is not slower than the others: the jobs that it gets are larger.", reasoning="Compare the means. " * 60
    )
    yield story.done()


def _unicode(chance: random.Random) -> Iterator[Session]:
    story = _story(
        chance, "Grüße, 世界, שלום", FLASH, agent_name="researcher", directory=f"{HOME}/größe/日本", git_root=None
    )
    story.user("Translate “good morning” into Hebrew, Arabic, Japanese and Hindi.")
    story.answer("בוקר טוב · صباح الخير · おはようございます · शुभ प्रभात")
    story.user("Now with a family: 👨‍👩‍👧‍👦, a flag: 🇳🇿, combining marks: e\u0301 ạ̈, and a no-break\u00a0space.")
    story.answer(
        "Done: 👨‍👩‍👧‍👦 🇳🇿 é ạ̈. The text runs \u202efrom right to left\u202c here, and \x1b[31mthis is red\x1b[0m."
    )
    story.user("A zero character: [\x00], a tab:\t|, a line\r\nbreak, and what UTF-8 cannot hold: [\ud83d].")
    story.answer("All recorded; the last one as a mark, since UTF-8 cannot hold it.")
    yield story.done()


def _like_html(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "<b>bold</b> & \"quoted\" 'name'", SONNET)
    story.user("Escape this: <script>alert('hello from a message')</script>")
    story.use(
        Step(
            tool="<i>render</i>",
            arguments={"html": "<img src=x onerror=alert(1)>"},
            result="</textarea><script>alert(2)</script>",
        )
    )
    story.answer("`&lt;script&gt;…`\n\n[a link](javascript:alert(3)) | a | table |\n|---|---|\n| =1+1 | @SUM(A1) |")
    yield story.done()


def _waiting_calls(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "a command before the first answer", SONNET)
    story.user("Here is what my own command printed; what does it mean?")
    waiting = len(story.calls)
    story.call(
        None, Step(tool="shell", arguments={"cmd": "uptime"}, result="load average: 31.02, 24.11, 9.87", exit_code=0)
    )
    turn = story.answer("The load is rising: 31 now against 10 a quarter of an hour ago.")
    story.calls[waiting] = replace(story.calls[waiting], turn_id=turn)
    story.user("One more.")
    story.call(None, Step(tool="shell", arguments={"cmd": "free -g"}, result=None, status="unanswered"))
    yield story.done(ended=False)
    story = _story(chance, "the same call id twice", GPT_MINI)
    story.user("Look at both files.")
    turn = story.answer(None, finish="tool_calls")
    for name in ("a.txt", "b.txt"):
        story.call(
            turn, Step(tool="read_file", arguments={"path": name}, result=f"the text of {name}"), call_id="call_0"
        )
    story.answer("They differ in one letter.")
    yield story.done()


def _clock_went_back(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "the hour that came twice", LOCAL, metadata={"nested": {"list": [1, None, "…"]}})
    story.user("What time is it?")
    story.answer("Half past two.")
    story.wait(-3600)
    story.user("And now?")
    story.answer("Half past one. The clocks went back.", reasoning="Daylight saving time ended.")
    yield story.done(started_at=story.messages[0].created_at)


def _large_numbers(chance: random.Random) -> Iterator[Session]:
    story = _story(chance, "the whole repository in one prompt", GEMINI, project="tidepool")
    story.reports_cost = False
    story.user("Here is everything. Where is the cycle?")
    usage = Usage(
        input_tokens=912_004, output_tokens=6_210, cache_read_input_tokens=655_360, reasoning_output_tokens=5_880
    )
    story.answer("`orders` imports `stock`, which imports `orders` inside a function.", usage=usage)
    story.user(to_json({"role": "user", "content": "JSON in a prompt is text"}))
    story.answer("I see JSON.", usage=Usage(input_tokens=912_031, output_tokens=4, cache_read_input_tokens=0))
    yield story.done()


_ODD: tuple[Callable[[random.Random], Iterator[Session]], ...] = (
    _without_messages,
    _without_answer,
    _failed_model_calls,
    _every_result,
    _changed_configurations,
    _forks,
    _resumed,
    _every_kind,
    _long_text,
    _unicode,
    _like_html,
    _waiting_calls,
    _clock_went_back,
    _large_numbers,
)  # fmt: skip
