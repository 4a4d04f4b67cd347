"""Which strings of a JSON text are a secret by where they stand: a member's name, an option, a name beside a value."""

from __future__ import annotations

import json
import re

STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
"""A string of JSON as it is written."""

# Members whose name says that the value is a secret; a counter of tokens is none.
_PASSWORD_NAME = re.compile(
    r"(?i:passwor[dt]|passwd|passphrase|(?<![a-z])pwd)[_-]?[0-9]{0,3}$|(?<=[a-z])P(?:wd|ass)$|(?i:(?<=[_-])pass)$"
)
_KEY_NAME = re.compile(
    r"(?i:(?:api|secret|access|private|auth|encryption|signing|account|master|shared)[_-]?(?:access[_-]?)?key"
    r"|(?<![a-z])secret|(?:client|app|shared|webhook)[_-]?secret|(?:access|auth|refresh|id|session|bearer|api|bot)[_-]?token"
    r"|(?<![a-z])(?<!page[_-])token|(?<![a-z])credentials?)$|(?<=[a-z0-9])(?<!Page)(?<!page)Token$|(?<=[A-Z0-9])_?KEY$"
)
_AUTHORIZATION = re.compile(r"(?:proxy-)?authorization$", re.IGNORECASE)
_SCHEME = re.compile(r"(?:(?:basic|bearer|token|digest|apikey)\s+)?(?P<secret>\S{8,})$", re.IGNORECASE)
_COOKIE = re.compile(r"(?:set-)?cookie$", re.IGNORECASE)
_NAMES_A_VALUE = re.compile(r"(?:name|key|variable)$", re.IGNORECASE)
_PASSWORD_OPTION = re.compile(r"--(?:password|passwd|passphrase)$")
_KEY_OPTION = re.compile(r"--(?:api-key|token|secret|access-token|secret-key|auth-token)$")
_LOGIN_OPTION = re.compile(r"(?:-[a-zA-Z]{0,6}u|-a|--user|--auth|--proxy-user)$")
_CALLS = re.compile(r"(?:.*[/\\])?(?:curl|wget|https?|xh)(?:\.exe)?$")
_LEAST_PASSWORD, _LEAST_KEY, _LEAST_OPTION = 4, 12, 8
_MOST_PASSWORD = 200
# Values that are plainly none: a variable, a placeholder, what is said of a password.
_SPARED = re.compile(
    r"<|\$\{|\{\{|\$\(|\$\w+$|%\w+%$|(?:process\.env|os\.environ|os\.getenv|import\.meta)\b"
    r"|[x*.…_-]{3,}$|(?:string|str|text|none|null|undefined|true|false|token|secret|change[-_ ]?me"
    r"|redacted|placeholder|hidden|required|optional|example)$|(?:your|enter|please|invalid|incorrect|wrong)[-_ ]"
    r"|passwor[dt]$|.*\s.*passw|.*passw.*\s",
    re.IGNORECASE,
)
_DIGIT = re.compile("[0-9]")


class Place:
    """Where in a JSON text a string stands; told of its strings one after the other."""

    def __init__(self) -> None:
        self._before = ""  # what stands before it: a colon, a comma, brackets
        self._meant = ""
        self._last = ""  # the string before it
        self._calls = False  # whether the list it stands in runs a program that takes a login
        self._member = ""  # the name of the member whose value it is, else nothing
        self._in_key = False  # whether a private key has begun, each of whose lines is a string
        self._named = ""  # what the last member `name` of an object was

    def move(self, before: str, meant: str) -> None:
        """Go on to the next string; `before` is what stands before it, without white space."""
        self._before, self._last, self._meant = before, self._meant, meant
        if "[" in before or "]" in before:
            self._calls = False
        if "{" in before or "}" in before:
            self._named = ""
        if "PRIVATE KEY" in self._last and "-----BEGIN" in self._last and "-----END" not in self._last:
            self._in_key = True
        if before != "," or "-----END" in meant:
            self._in_key = False
        self._member = self._last if before == ":" else ""
        if self._member and _NAMES_A_VALUE.match(self._member):
            self._named = meant
        elif not self._member and _CALLS.match(meant):
            self._calls = True

    def secret(self) -> tuple[str, int, int] | None:
        """Return of which kind the string is and from where to where, if its place makes it a secret."""
        meant = self._meant
        if not meant:
            return None
        if self._member:
            name = self._named if self._member.lower() == "value" and self._named else self._member
            return _of_member(name, meant)
        if self._in_key and meant.strip() and not _SPARED.match(meant):
            return "private-key", 0, len(meant.rstrip())
        if self._before == ",":
            return self._of_option()
        return None

    def _of_option(self) -> tuple[str, int, int] | None:
        meant = self._meant
        if _SPARED.match(meant) or meant.startswith("-"):
            return None
        if _PASSWORD_OPTION.match(self._last) and len(meant) >= _LEAST_PASSWORD:
            return "password", 0, len(meant)
        if _KEY_OPTION.match(self._last) and len(meant) >= _LEAST_OPTION and not _has_space(meant):
            return "api-key", 0, len(meant)
        if self._calls and _LOGIN_OPTION.match(self._last):
            user, colon, password = meant.partition(":")
            if user and colon and len(password) > 2 and not _SPARED.match(password):
                return "password", len(user) + 1, len(meant)
        return None


def _of_member(name: str, value: str) -> tuple[str, int, int] | None:
    if _SPARED.match(value):
        return None
    if _PASSWORD_NAME.search(name):
        fits = _LEAST_PASSWORD <= len(value) <= _MOST_PASSWORD and "\n" not in value
        return ("password", 0, len(value)) if fits else None
    if _COOKIE.match(name) and "=" in value and len(value) >= _LEAST_OPTION and "\n" not in value:
        return "token", 0, len(value)
    if _AUTHORIZATION.match(name) and (match := _SCHEME.match(value)) and "<" not in value and "$" not in value:
        return "token", *match.span("secret")
    if _KEY_NAME.search(name) and not _has_space(value) and not any(letter in "${}()<>" for letter in value):
        is_key = len(value) >= _LEAST_KEY and _DIGIT.search(value) is not None
        return ("api-key", 0, len(value)) if is_key else None
    return None


def _has_space(text: str) -> bool:
    return any(letter.isspace() for letter in text)


def is_json(text: str) -> bool:
    """Return whether a text is JSON that holds strings."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return False
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def as_json(text: str, like: str) -> str:
    """Return a text as JSON, with escapes for other letters where `like` has no such letters."""
    has_halves = not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)
    return json.dumps(text, ensure_ascii=like.isascii() or has_halves)
