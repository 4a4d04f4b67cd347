"""Lets real coding agents write their histories against a scripted model, and keeps neutral copies.

The agents come from the npm registry; node must be installed. Everything else happens in a temporary folder:
each agent gets a home of its own, a project of two empty files, and a model server on loopback.
Ids and times differ from run to run, so this is no part of `make sample`.
Run it with no argument for all agents, or name some: `python sample_data/real_agents/write_real.py codex goose`.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from neutral import Neutral
from scripted import SUMMARY
from stub_server import StubServer

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests", "real_agents")
COUNT = "How many test files are there?"
BERTH = "What does the berth module do?"
CHECK = "Run the missing check."
TOO_MUCH = "Ask for too much."
HELPER = "Ask a helper to count."
FORKED_HELPER = "Let a fork count."


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent: where it comes from, how it is run, and which of its files are kept."""

    package: str
    version: str
    program: str
    run: Callable[[Work], None]
    root: str  # the folder in its home that the patterns start from
    files: tuple[str, ...]
    emptied: tuple[str, ...] = ()  # tables that only repeat the others
    forks: bool = True  # whether it can fork a session without a terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A temporary folder in which one agent lives."""

    folder: str
    program: str
    base: str
    forks: bool
    variables: dict[str, str]

    @property
    def home(self) -> str:
        """The agent's home folder."""
        return os.path.join(self.folder, "home")

    @property
    def project(self) -> str:
        """The folder that the agent works in."""
        return os.path.join(self.folder, "harbor")

    def write(self, name: str, text: str) -> None:
        """Write a file of the agent's home."""
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def ask(self, *arguments: str, said: str = "") -> str:
        """Run the agent once in its project and return what it printed; a failure of its own is no error here."""
        process = subprocess.Popen(
            [self.program, *arguments],
            cwd=self.project,
            env={"PATH": os.environ["PATH"], "HOME": self.home, "TZ": "UTC", **self.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(said, timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            printed += "\n(ended after 90 seconds)"
        last = printed.strip().splitlines()[-1:] or [""]
        print(
            f"  {os.path.basename(self.program)} {arguments[0]} … -> {process.returncode}: {last[0][:90]}", flush=True
        )
        return printed


def run_codex(work: Work) -> None:
    """Ask, go on with another model, fail twice, fork, ask a helper, and shorten a session."""
    work.write(
        ".codex/config.toml",
        f"""model = "harbor-1"
model_provider = "stub"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[analytics]
enabled = false
[model_providers.stub]
name = "Stub"
base_url = "{work.base}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
""",
    )
    run = ("exec", "--skip-git-repo-check")
    work.ask(*run, COUNT)
    found = glob.glob("**/rollout-*.jsonl", root_dir=os.path.join(work.home, ".codex", "sessions"), recursive=True)
    session = found[0].removesuffix(".jsonl")[-36:]
    work.ask(*run, "-m", "harbor-2", "-c", "model_reasoning_effort=high", "resume", session, BERTH)
    work.ask(*run, "resume", session, CHECK)
    work.ask(*run, "resume", session, TOO_MUCH)
    if work.forks:
        work.ask(*run, "fork", session, BERTH)
    work.ask(*run, HELPER)
    work.ask(*run, "resume", session, FORKED_HELPER)
    work.ask(*run, "-c", "model_auto_compact_token_limit=1250", COUNT)


def run_gemini(work: Work) -> None:
    """Ask, go on twice, fail, and ask a helper."""
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "sessionRetention": {"enabled": False}},
    }
    work.write(".gemini/settings.json", json.dumps(settings))
    run = ("--yolo",)
    work.ask(*run, "-p", COUNT)
    time.sleep(61 - time.gmtime().tm_sec)  # a file is named by its minute: a session resumed later has two of them
    work.ask(*run, "--resume", "latest", "-m", "gemini-3.1-pro-preview", "-p", BERTH)
    work.ask(*run, "--resume", "latest", "-p", CHECK)
    work.ask(*run, "--resume", "latest", "-p", TOO_MUCH)
    work.ask(*run, "-p", HELPER)


def run_opencode(work: Work) -> None:
    """Ask, go on with another model, fail twice, fork, and ask a helper."""
    model = {
        "name": "Harbor",
        "reasoning": True,
        "tool_call": True,
        "cost": {"input": 2, "output": 10, "cache_read": 0.2},
        "limit": {"context": 100_000, "output": 8_000},
    }
    config = {
        "autoupdate": False,
        "share": "disabled",
        "permission": "allow",
        "model": "stub/harbor-1",
        "small_model": "stub/harbor-1",
        "provider": {
            "stub": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Stub",
                "options": {"baseURL": f"{work.base}/v1", "apiKey": "dummy"},
                "models": {"harbor-1": model, "harbor-2": model},
            }
        },
    }
    work.write(".config/opencode/opencode.json", json.dumps(config))
    work.ask("run", COUNT)
    work.ask("run", "--continue", "-m", "stub/harbor-2", BERTH)
    work.ask("run", "--continue", CHECK)
    work.ask("run", "--continue", TOO_MUCH)
    if work.forks:
        work.ask("run", "--continue", "--fork", BERTH)
    work.ask("run", HELPER)


def run_goose(work: Work) -> None:
    """Ask, go on with another model, fail twice, fork, and ask a helper."""
    run = ("run", "--with-builtin", "developer")
    work.ask(*run, "--name", "count", "--text", COUNT)
    work.ask(*run, "--name", "count", "--resume", "--model", "harbor-2", "--text", BERTH)
    work.ask(*run, "--name", "count", "--resume", "--text", CHECK)
    work.ask(*run, "--name", "count", "--resume", "--text", TOO_MUCH)
    work.ask("session", "--resume", "--fork", "--name", "count", said=f"{BERTH}\n/exit\n")
    work.ask(*run, "--name", "help", "--text", HELPER)


AGENTS = {
    "codex": Agent(
        package="@openai/codex",
        version="0.169.0",
        program="codex",
        run=run_codex,
        root=".codex",
        files=("sessions/**/*.jsonl", "state_5.sqlite", "thread_history_1.sqlite"),
    ),
    "gemini_cli": Agent(
        package="@google/gemini-cli",
        version="0.61.0",
        program="gemini",
        run=run_gemini,
        root=".gemini",
        files=("projects.json", "tmp/*/chats/**/*.json*", "tmp/*/logs.json"),
    ),
    "opencode": Agent(
        package="opencode-ai",
        version="1.18.33",
        program="opencode",
        run=run_opencode,
        root=".local/share/opencode",
        files=("opencode.db", "storage/[mps]*[!f]/**/*.json"),
        emptied=("event", "event_sequence"),
    ),
    "goose": Agent(
        package="@aaif/goose-acp",
        version="1.50.0",
        program="goose",
        run=run_goose,
        root=".local/share/goose",
        files=("sessions/sessions.db",),
    ),
}
# Versions that wrote other shapes.
AGENTS |= {
    "codex_0_55": replace(AGENTS["codex"], version="0.55.0", forks=False),
    "codex_0_128": replace(AGENTS["codex"], version="0.128.0", forks=False),
    "gemini_cli_0_35": replace(AGENTS["gemini_cli"], version="0.35.3"),
    "opencode_1_1": replace(AGENTS["opencode"], version="1.1.65", forks=False),
}


def variables(base: str) -> dict[str, str]:
    """What the agents are told by their environment: where the model is, and not to look for anything else."""
    return {
        "GEMINI_API_KEY": "dummy",
        "GOOGLE_GEMINI_BASE_URL": base,
        "OPENAI_API_KEY": "dummy",
        "OPENAI_HOST": base,
        "GOOSE_PROVIDER": "openai",
        "GOOSE_MODEL": "harbor-1",
        "GOOSE_MODE": "auto",
        "GOOSE_DISABLE_KEYRING": "1",
        "GOOSE_TELEMETRY_ENABLED": "false",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }


def install(agent: Agent, prefix: str) -> str:
    """Install an agent where it is not yet, and return its program."""
    program = os.path.join(prefix, "node_modules", ".bin", agent.program)
    if not os.path.exists(program):
        os.makedirs(prefix, exist_ok=True)
        command = ("npm", "install", "--silent", "--prefix", prefix, f"{agent.package}@{agent.version}")
        subprocess.run(command, check=True)
    return program


def write(name: str, *, installed: str, out: str) -> None:
    """Let one agent write its history, and put neutral copies into a folder of its name.

    Raises:
        RuntimeError: If it wrote nothing, or a copy still speaks of this machine.
    """
    agent = AGENTS[name]
    program = install(agent, os.path.join(installed, name))
    print(f"{name} {agent.version}", flush=True)
    with tempfile.TemporaryDirectory() as folder, StubServer() as server:
        work = Work(
            folder=folder, program=program, base=server.base, forks=agent.forks, variables=variables(server.base)
        )
        os.makedirs(os.path.join(work.project, "tests"))
        for file in ("test_berths.py", "test_tides.py"):
            open(os.path.join(work.project, "tests", file), "w").close()
        agent.run(work)
        neutral = Neutral.of(home=work.home, project=work.project, base=server.base, keep=(SUMMARY.text,))
        target = os.path.join(out, name)
        shutil.rmtree(target, ignore_errors=True)
        root = os.path.join(work.home, agent.root)
        kept = sorted({file for pattern in agent.files for file in glob.glob(pattern, root_dir=root, recursive=True)})
        if not kept:
            raise RuntimeError(f"{name} wrote no history below {root!r}.")
        for file in kept:
            source, copy = os.path.join(root, file), os.path.join(target, file)
            if file.endswith(".jsonl"):
                neutral.lines(source, copy)
            elif file.endswith(".json"):
                neutral.whole(source, copy)
            else:
                neutral.database(source, copy, emptied=agent.emptied)
            _check(os.path.join(target, file), (os.path.basename(folder), os.path.expanduser("~"), platform.node()))
            print(f"  {os.path.getsize(os.path.join(target, file)):>7,} bytes  {file}", flush=True)


def _check(path: str, words: tuple[str, ...]) -> None:
    with open(path, "rb") as file:
        kept = file.read()
    for word in words:
        if re.search(rb"(?<!\w)" + re.escape(word.encode()) + rb"(?!\w)", kept):
            raise RuntimeError(f"{path!r} still says {word!r}. Teach neutral.py to replace it.")


def main() -> int:
    """Run the agents that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *AGENTS], metavar="NAME", help=", ".join(AGENTS))
    parser.add_argument("--out", default=OUT, help="the folder of the copies")
    parser.add_argument("--installed", help="a folder that keeps the installed agents for the next run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names or AGENTS:
            write(name, installed=args.installed or folder, out=args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
