"""Invented ChatGPT exports: two archives, of which the newer one is in parts, and the file of a third."""

from __future__ import annotations

import os
import random
import zipfile
from typing import TYPE_CHECKING, Any

from chatgpt_conversation import Conversation, Totals, dumps
from vocabulary import PROJECTS, SEED, microseconds, moment, tasks, text_pool, told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_USER = {"id": "user-InventedInventedInvented", "email": "ada@harbor.example", "chatgpt_plus_user": True}
_MINUTE = (2026, 11, 14, 9, 26, 0)


class _Exports:
    """The conversations of each export, and what is true of them."""

    def __init__(self) -> None:
        self.chance = random.Random(SEED)
        self.first: list[Any] = []
        self.second: list[Any] = []
        self.third: list[Any] = []
        self.totals: dict[str, Totals] = {}

    def conversation(self, title: str, **more: Any) -> Conversation:
        made = Conversation(self.chance, title, microseconds(moment(self.chance)) / 1e6, **more)
        self.totals[made.conversation_id] = made.totals
        return made


def make(folder: str) -> list[str]:
    """Write the files into the folder and return their names."""
    made = _made()
    half = len(made.second) // 2
    texts = {
        "first-2026-10-01.zip": {
            "user.json": dumps(_USER),
            "conversations.json": dumps(made.first),
            "chat.html": "<html><body>All of it again.</body></html>",
            "message_feedback.json": "[]",
        },
        "second-2026-11-14.zip": {
            "conversations-000.json": dumps(made.second[:half]),
            "conversations-001.json": dumps(made.second[half:]),
            "export_manifest.json": dumps({"files": ["conversations-000.json", "conversations-001.json"]}),
            "user.json": dumps(_USER),
        },
    }
    for name, members in texts.items():
        _write_archive(os.path.join(folder, name), members)
    with open(os.path.join(folder, "conversations.json"), "w", encoding="utf-8", newline="\n") as file:
        file.write(dumps(made.third))
    return [*texts, "conversations.json"]


def expected() -> dict[str, Totals]:
    """Return what is true of each conversation that can be read, by its id."""
    return _made().totals


def _write_archive(path: str, members: Mapping[str, str]) -> None:
    """Write an archive whose bytes do not depend on the clock or the machine."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            entry = zipfile.ZipInfo(name, _MINUTE)
            entry.create_system = 3
            archive.writestr(entry, text.encode())


def _made() -> _Exports:
    made = _Exports()
    _ordinary(made)
    for tell in _ODD:
        tell(made)
    return made


def _ordinary(made: _Exports) -> None:
    """Talk about the known tasks, without their tools."""
    for number, (kind, place) in enumerate((("researcher", 0), ("reviewer", 0), ("coder", 4), ("researcher", 2))):
        task = tasks(kind)[place]
        talk = made.conversation(task["name"].capitalize(), model=("gpt-4o", "gpt-5-2", "o3")[number % 3])
        for exchange in told(task["exchanges"], task, PROJECTS[number % 3]):
            talk.user(exchange["prompt"])
            if "reasoning" in exchange:
                talk.think(("Looking closer", exchange["reasoning"]), seconds=7)
            talk.answer(exchange["answer"])
        (made.first, made.second)[number % 2].append(talk.as_exported())


def _branches(made: _Exports) -> None:
    """Ask again for an answer, and change a question: the tree has branches, and the newest one is shown."""
    talk = made.conversation("Names for a lighthouse", model="gpt-4o")
    talk.instruct("I keep a lighthouse.", "Be brief.")
    asked = talk.user("A name for my lighthouse?")
    talk.answer("Beacon.")
    talk.at = asked
    liked = talk.answer("Lantern Rock.")
    talk.user("Why Rock?")
    talk.answer("Because it stands on one.")
    talk.at = liked
    talk.user("Why Lantern?")
    talk.answer("Because it is one.")
    made.first.append(talk.as_exported())
    # The newer export has the same conversation, and it went on.
    talk.user("Thank you.")
    talk.answer("Light well.")
    made.second.append(talk.as_exported())


def _tools(made: _Exports) -> None:
    """Run Python, look into the web, remember, and paint; one run fails, one takes too long."""
    talk = made.conversation("Tide table", effort="extended")
    talk.user("Compute the tides of next week and remember that I like metres.")
    talk.think(("Planning", "First the data."), ("Choosing units", "Metres."), seconds=12)
    talk.call("python", "import tides\ntides.week()", language=None)
    talk.ran("import tides", "ModuleNotFoundError: No module named 'tides'", status="failed_with_in_kernel_exception")
    talk.think(("Doing it by hand", "A sine will do."))
    talk.call("python", "print([round(2 + 1.5 * s, 1) for s in (0, 1)])", language="python")
    talk.ran("print(...)", "[2.0, 3.5]")
    talk.call("web.run", '{"search_query":[{"q":"tide table harbor"}]}')
    talk.result(
        "web.run", {"content_type": "tether_browsing_display", "result": "L0: tide table", "summary": "", "assets": []}
    )
    talk.result(
        "web.run",
        {
            "content_type": "tether_quote",
            "url": "https://tides.example",
            "domain": "tides.example",
            "text": "High at 4.",
            "title": "Tides",
        },
        is_first=False,
    )
    talk.call("bio", "The user likes metres.", language=None)
    talk.result("bio", "Model set context updated.")
    talk.answer("I wrote it down. ", channel="commentary")
    talk.answer("High water is 3.5 m at 4 o'clock.", channel="final")
    talk.user("Paint it.")
    talk.answer("")
    talk.totals.turns -= 1  # nothing was said before the tool was called
    talk.call("dalle.text2im", '{"prompt":"high water","size":"1024x1024"}', language=None)
    pointer = {
        "content_type": "image_asset_pointer",
        "asset_pointer": "sediment://file_0000000016dc61f68ed2",
        "width": 1024,
        "height": 1024,
    }
    talk.result("dalle.text2im", {"content_type": "multimodal_text", "parts": [pointer]})
    talk.result("dalle.text2im", "DALL·E displayed 1 images.", is_first=False)
    talk.answer("Here it is.")
    talk.user("Now count all waves.")
    talk.call("python", "while True: pass", language="python")
    talk.result(
        "python",
        {"content_type": "system_error", "name": "TimeoutError", "text": "The run took too long."},
        aggregate_result={"timeout_triggered": 60.0, "status": "cancelled"},
    )
    talk.call("browser", "search('waves')")
    made.second.append(talk.as_exported())


def _said(made: _Exports) -> None:
    """Say things in other ways: pictures, sound, hidden hints, an answer that was cut off, one of a custom GPT."""
    talk = made.conversation("Picture of a buoy", model="gpt-4o")
    pointer = {
        "content_type": "image_asset_pointer",
        "asset_pointer": "file-service://file-Buoy",
        "width": 640,
        "height": 480,
        "size_bytes": 48029,
    }
    attachment = {"id": "file-Buoy", "name": "buoy.png", "mime_type": "image/png"}
    talk.user(pointer, "What is this? <script>alert('buoy')</script>", attachments=[attachment])
    talk.answer("A buoy.")
    sound = {"content_type": "audio_transcription", "text": "And its colour?", "direction": "in", "decoding_id": None}
    talk.user(sound, {"content_type": "real_time_user_audio_video_asset_pointer", "audio_asset_pointer": {}})
    talk.answer("Red, and as far as I can", stop="max_tokens")
    talk.put(
        "user", {"content_type": "text", "parts": ["Original custom instructions no longer available"]}, hidden=True
    )
    talk.put(
        "assistant",
        {"content_type": "model_editable_context", "model_set_context": "1. Likes buoys.", "repository": None},
        when=None,
    )
    talk.user("Go on, in Hebrew: בוקר טוב 👋")
    talk.answer("בוקר טוב", stop="interrupted", resolved_model_slug="gpt-4o-mini")
    talk.user("Still there?")
    talk.think(("Waking up", "I was."))
    talk.totals.turns += 1  # it thought, and the answer never came
    made.third.append(talk.as_exported(gizmo_id="g-buoys", is_archived=True, default_model_slug="auto"))


def _lost(made: _Exports) -> None:
    """Lack a current message, a title or times; an id in only one of its places."""
    talk = made.conversation("Nobody knows where this ended", model="gpt-5-2")
    asked = talk.user("One?")
    talk.answer("Two.")
    talk.at = asked
    talk.answer("Three.")
    exported = talk.as_exported(current_node=None, title=None, create_time=None)
    del exported["conversation_id"]
    made.third.append(exported)
    talk = made.conversation("Without times", model="text-davinci-002-render-sha")
    talk.user("Hello.", when=None)
    talk.answer("Hello!", when=None)
    made.third.append(talk.as_exported(current_node="00000000-0000-4000-8000-000000000000", id=None))


def _broken(made: _Exports) -> None:
    """Hold what nobody can read beside what can be read."""
    talk = made.conversation("Half of it", model="gpt-4o")
    talk.user("Are you whole?")
    said = talk.answer("Not quite.")
    talk.mapping["not-a-node"] = "broken"
    talk.mapping["no-message"] = {"id": "no-message", "message": ["text"], "parent": said, "children": []}
    talk.at = said
    talk.put("assistant", None, model_slug="gpt-4o")
    talk.put("critic", {"content_type": "text", "parts": ["Of no known role."]})
    talk.put("assistant", {"content_type": "hologram", "depth": 3}, model_slug="gpt-4o")
    talk.totals.turns += 1  # of a kind that nobody knows, but the model made it
    talk.user("And now?", None, {"content_type": "unknown"}, when="noon")
    lost = talk.answer("Yes.")
    talk.mapping[lost]["parent"] = "gone"
    first, second = talk.put("user", {"content_type": "text", "parts": ["Round"]}), talk.at
    talk.totals.prompts += 1
    second = talk.answer("and round.")
    talk.mapping[first]["parent"] = second
    made.third.append(talk.as_exported())
    made.third += [None, "text", {"title": "No tree", "mapping": None, "conversation_id": "no-tree"}, {"mapping": {}}]


_ODD: tuple[Callable[[_Exports], None], ...] = (_branches, _tools, _said, _lost, _broken)


def write_chatgpt(path: str, message_count: int) -> None:
    """Write a list of conversations with about so many messages."""
    made = _Exports()
    texts = text_pool(made.chance)
    while message_count > 0:
        talk = made.conversation(made.chance.choice(texts)[:40])
        while len(talk.mapping) < 100:
            talk.user(made.chance.choice(texts))
            talk.think((made.chance.choice(texts)[:40], made.chance.choice(texts)), seconds=4)
            talk.call("python", made.chance.choice(texts), language="python")
            talk.ran("", made.chance.choice(texts))
            talk.answer(made.chance.choice(texts))
        message_count -= len(talk.mapping)
        made.third.append(talk.as_exported())
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(dumps(made.third))
