"""Where a setting comes from: argument, environment, TOML, platform default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sessionlab import SettingsError, settings

if TYPE_CHECKING:
    from collections.abc import Callable


def write(text: str) -> None:
    path = Path(settings.config_path())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_without_anything_the_platform_and_the_defaults_decide() -> None:
    found = settings.db_path()
    assert found.value.startswith(os.environ["HOME"])
    assert found.value.endswith("history.db")
    assert found.decided_by == "the platform's default"
    assert settings.enabled().value is True
    assert settings.max_sessions().value is None
    assert settings.continue_minutes().value == 60


def test_argument_goes_before_environment_before_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write('db = "/file.db"\nenabled = false\nmax_sessions = 3\ncontinue_minutes = 1.5\n')
    assert settings.db_path().value == "/file.db"
    assert "config.toml" in settings.db_path().decided_by
    assert settings.enabled().value is False
    assert settings.max_sessions().value == 3
    assert settings.continue_minutes().value == 1.5
    monkeypatch.setenv("SESSIONLAB_DB", "/environment.db")
    monkeypatch.setenv("SESSIONLAB_ENABLED", "Yes")
    monkeypatch.setenv("SESSIONLAB_MAX_SESSIONS", "4")
    monkeypatch.setenv("SESSIONLAB_CONTINUE_MINUTES", "0")
    assert settings.db_path().value == "/environment.db"
    assert settings.db_path().decided_by == "the environment variable SESSIONLAB_DB"
    assert settings.enabled().value is True
    assert settings.max_sessions().value == 4
    assert settings.continue_minutes().value == 0
    assert settings.db_path("/argument.db").value == "/argument.db"
    assert settings.db_path(Path("/argument.db")).decided_by == "the argument"
    assert settings.enabled(False).value is False
    assert settings.max_sessions(5).value == 5
    assert settings.continue_minutes(7).value == 7


def test_an_empty_variable_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLAB_DB", "")
    assert settings.db_path().decided_by == "the platform's default"


def test_a_path_is_absolute_and_knows_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.db_path("h.db").value == os.path.join(os.getcwd(), "h.db")
    assert settings.db_path("~/h.db").value == os.path.join(os.environ["HOME"], "h.db")


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("SESSIONLAB_ENABLED", "perhaps", settings.enabled),
        ("SESSIONLAB_MAX_SESSIONS", "-1", settings.max_sessions),
        ("SESSIONLAB_MAX_SESSIONS", "many", settings.max_sessions),
        ("SESSIONLAB_CONTINUE_MINUTES", "nan", settings.continue_minutes),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: Callable[[], settings.Setting]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} says '{value}'"):
        read()


@pytest.mark.parametrize("text", ["db = ", "unknown = 1", "db = 5", 'db = ""', "max_sessions = true", "\udcff"])
def test_a_file_that_makes_no_sense_is_named(text: str) -> None:
    path = Path(settings.config_path())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"config\.toml"):
        (settings.max_sessions if "max" in text else settings.db_path)()


def test_a_path_that_is_none_is_refused() -> None:
    for wrong in ("", "a\0b", 5):
        with pytest.raises(SettingsError):
            settings.db_path(wrong)  # type: ignore[arg-type]  # what is tested
