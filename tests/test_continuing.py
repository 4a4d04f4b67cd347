"""A session goes on in another process: found by its folder, resumed, forked, and with other settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from test_conversation import assert_anthropic_takes, assert_openai_takes

import sessionlab
from sessionlab import ModelConfig, Recorder

_FIRST_DAY = """
import sys
from sessionlab import ModelConfig, Recorder, Usage
path, folder = sys.argv[1:]
recorder = Recorder(path)
config = ModelConfig(request_model="first", temperature=0.1)
s = recorder.session("fix the build", agent="coder", directory=folder, config=config)
s.system("Be terse.")
s.user("Why does CI fail?")
turn = s.assistant("Let me see.", usage=Usage(input_tokens=10, output_tokens=5))
turn.tool_call("bash", {"cmd": "pytest"}).result("1 failed", exit_code=1)
s.configure(ModelConfig(request_model="second"))
s.assistant("A fixture is missing.")
"""


def test_a_session_is_found_resumed_forked_and_reconfigured_and_each_answer_keeps_its_settings(
    path: str, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    subprocess.run([sys.executable, "-c", _FIRST_DAY, path, str(folder)], check=True)

    with Recorder(path) as recorder:
        found = recorder.history.find_resumable(folder)
        assert found is not None
        s = recorder.resume(found)
        s.user("Then write it.")
        s.assistant("Written.")
        s.configure(ModelConfig(request_model="third"))
        s.assistant("And tested.")
        first = next(m for m in s.messages() if m.content == "Why does CI fail?")
        branch = s.fork(first.message_id)
        branch.assistant("Because of the clock.")

        said = [m["content"] for m in branch.messages(format="openai")]
        assert said == ["Be terse.", "Why does CI fail?", "Because of the clock."]
        assert_openai_takes(s.messages(format="openai"))
        assert_anthropic_takes(s.messages(format="anthropic"))
        assert_anthropic_takes(branch.messages(format="anthropic"))
        s.end()

    with sessionlab.open(path) as lab:
        turns = lab.frame("turns").merge(
            lab.frame("model_configs"),
            on=["source", "model_config_id"],
            suffixes=("", "_asked"),
            validate="many_to_one",
        )
        assert dict(zip(turns["response"], turns["request_model_asked"], strict=True)) == {
            "Let me see.": "first",
            "A fixture is missing.": "second",
            "Written.": "second",
            "And tested.": "third",
            "Because of the clock.": "third",
        }
        assert list(turns["exchange_index"]) == [0, 0, 1, 1, 0]
        assert turns["invocation_id"].nunique() == 2
        assert (turns["model_config_status"] == "recorded").all()
        assert list(lab.frame("messages", kind="boundary")["role"]) == ["system"]
        assert lab.frame("sessions")["git_root"][0] == str(folder.resolve())
