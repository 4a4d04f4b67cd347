"""Where a setting comes from: argument, then environment, then TOML file, then the platform's default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from sessionlab.errors import SettingsError

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_KEYS = ("db", "enabled", "max_sessions", "continue_minutes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting's value and what decided it, in words."""

    value: Any
    decided_by: str


def config_path() -> str:
    """Return the path of the TOML file, whether it is there or not."""
    from platformdirs import user_config_path

    return str(user_config_path("sessionlab", appauthor=False) / "config.toml")


def db_path(argument: str | os.PathLike[str] | None = None) -> Setting:
    """Return the absolute path of the store and what decided it."""
    found = _decide("db", argument)
    if found is None:
        from platformdirs import user_data_path

        default = user_data_path("sessionlab", appauthor=False) / "history.db"
        return Setting(value=str(default), decided_by="the platform's default")
    try:
        given = os.fspath(found.value)
    except TypeError:
        given = found.value
    if not isinstance(given, str) or not given:
        raise SettingsError(
            f"{found.decided_by} says {found.value!r}; expected the path of a file. Correct or unset it."
        )
    if "\0" in given:
        raise SettingsError(f"{found.decided_by} says {found.value!r}; a path cannot hold a NUL character.")
    return Setting(value=os.path.abspath(os.path.expanduser(given)), decided_by=found.decided_by)


def enabled(argument: bool | None = None) -> Setting:
    """Return whether recording is on (it is, unless something says no) and what decided it."""
    found = _decide("enabled", argument)
    if found is None:
        return Setting(value=True, decided_by="the default")
    word = str(found.value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise SettingsError(f"{found.decided_by} says {found.value!r}; expected true or false. Correct or unset it.")
    return Setting(value=word in _TRUE, decided_by=found.decided_by)


def max_sessions(argument: int | None = None) -> Setting:
    """Return how many sessions `prune` keeps (None: no limit) and what decided it."""
    found = _decide("max_sessions", argument)
    if found is None:
        return Setting(value=None, decided_by="the default")
    return Setting(value=int(_number(found)), decided_by=found.decided_by)


def continue_minutes(argument: float | None = None) -> Setting:
    """Return for how many minutes a session can be continued (60) and what decided it."""
    found = _decide("continue_minutes", argument)
    if found is None:
        return Setting(value=60.0, decided_by="the default")
    return Setting(value=_number(found), decided_by=found.decided_by)


def _number(found: Setting) -> float:
    try:
        number = float(found.value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(found.value, bool) or not 0 <= number < 2**53:
        raise SettingsError(
            f"{found.decided_by} says {found.value!r}; expected a number of 0 or more. Correct or unset it."
        )
    return number


def _decide(key: str, argument: Any) -> Setting | None:
    if argument is not None:
        return Setting(value=argument, decided_by="the argument")
    variable = f"SESSIONLAB_{key.upper()}"
    if os.environ.get(variable):
        return Setting(value=os.environ[variable], decided_by=f"the environment variable {variable}")
    path = config_path()
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"The settings file {path!r} cannot be read: {error}. Mend or remove it.") from error
    import tomllib

    try:
        values = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path!r} is not TOML: {error}. Mend or remove it.") from error
    unknown = sorted(set(values) - set(_KEYS))
    if unknown:
        raise SettingsError(f"The settings file {path!r} has unknown settings {unknown}; known are {list(_KEYS)}.")
    if key not in values:
        return None
    return Setting(value=values[key], decided_by=f"the settings file {path}")
