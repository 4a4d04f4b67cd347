"""What looks like a secret in a text: keys, tokens, passwords, e-mail addresses and home folders.

The patterns stand in `secrets.toml`. A library that does this was looked for; detect-secrets 1.5, which is the widest
used, was measured on 21 kinds of keys in three surroundings: without its measures of disorder it missed 12 of them
(sk-ant-, sk-proj-, ghp_, github_pat_, AIza, hf_, glpat-, npm_, gsk_, xai-, …) at 0.25 MB/s, with them it took git
hashes, UUIDs and pictures for keys at 0.06 MB/s, which is a quarter of an hour for 100,000 messages. It tells what it
found, and not where. presidio-analyzer knows persons and no keys, and brings a language model.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

KINDS = ("api-key", "token", "private-key", "password", "email", "home")
"""What a secret can be; `<kind-1>` is what stands in its place."""

# A word begins here: not within one, or after an escape of JSON, whose letter is none of the word.
_START = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4}))"

Replace = Callable[[str, str], str]
"""Called with the kind and the secret; returns what stands in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way of writing a secret: see `secrets.toml`."""

    kind: str
    hints: tuple[str, ...]
    near: str | None
    named: bool
    pattern: re.Pattern[str]
    source: str

    def replaced(self, text: str, replace: Replace) -> str:
        """Return the text with every secret of this rule replaced."""
        return self.pattern.sub(lambda match: self._replaced(match, replace), text)

    def _replaced(self, match: re.Match[str], replace: Replace) -> str:
        group = "secret" if match.re.groupindex.get("secret") and match["secret"] is not None else 0
        start, end = match.span(group)
        begin = match.start()
        whole = match[0]
        return whole[: start - begin] + replace(self.kind, match[group]) + whole[end - begin :]


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of `secrets.toml` in their order."""
    with open(os.path.join(os.path.dirname(__file__), "secrets.toml"), "rb") as file:
        table = tomllib.load(file)["rule"]
    return tuple(
        Rule(
            kind=row["kind"],
            hints=tuple(row["hints"]),
            near=row.get("near"),
            named=row.get("named", False),
            pattern=re.compile(row["pattern"].replace("{start}", _START)),
            source=row["source"],
        )
        for row in table
    )


def hint_pattern(homes: Iterable[str] = ()) -> str:
    """Return a pattern, in RE2's words, that is in every text in which there may be a secret."""
    literals = dict.fromkeys(hint for rule in rules() if rule.near is None for hint in rule.hints)
    shortest = [hint for hint in literals if not any(other != hint and other in hint for other in literals)]
    near = dict.fromkeys(rule.near for rule in rules() if rule.near is not None)
    return "(?i)" + "|".join([*map(re.escape, [*shortest, *map(_last, homes)]), *near, _ESCAPED])


def name_pattern() -> str:
    """Return a pattern, in RE2's words, that is in every text in which a secret goes by its name."""
    near = dict.fromkeys(rule.near for rule in rules() if rule.named and rule.near is not None)
    return "(?i)" + "|".join([*near, _ESCAPED])


# An ordinary letter as an escape of JSON, behind which any of the hints could be.
_ESCAPED = r"\\u00[2-7]"


class Finder:
    """Replaces secrets in texts; immutable.

    Args:
        replace: What stands in place of a secret.
        homes: Home folders that are known; they are found also where another path is written before them.
    """

    def __init__(self, replace: Replace, homes: Iterable[str] = ()) -> None:
        self._replace = replace
        longest_first = sorted(homes, key=len, reverse=True)
        self._ends = tuple(dict.fromkeys(map(_last, longest_first)))
        self._homes = re.compile("|".join(map(_spelled, longest_first)), re.IGNORECASE)

    def redacted(self, text: str, *, has_names: bool = True) -> str:
        """Return the text with every secret replaced; where it is JSON, it is JSON of the same structure again.

        Done again it changes nothing more: what has been changed is looked at once more, until nothing is found.

        Args:
            text: The text.
            has_names: False where `name_pattern` is known not to be in it, which saves most of the time.
        """
        while (changed := self._once(text, has_names)) != text:
            text = changed
        return text

    def _once(self, text: str, has_names: bool) -> str:
        return self._in_json(text, has_names) if _is_json(text) else self._plain(text, has_names)

    def _plain(self, text: str, has_names: bool) -> str:
        lowered = text.lower()
        for rule in rules():
            if rule.named and not has_names:
                continue
            for hint in rule.hints:  # a generator would take longer than what it does
                if hint in lowered:
                    text = rule.replaced(text, self._replace)
                    break
        lowered = text.lower()  # anew: mostly the rules have left none of them
        if any(end in lowered for end in self._ends):
            text = self._homes.sub(lambda match: self._replace("home", match[0]), text)
        return text

    def _in_json(self, text: str, has_names: bool) -> str:
        """Redact each string of a JSON text as it is meant; what else there is keeps its form."""
        parts: list[str] = []
        done, name = 0, ""
        for match in _STRING.finditer(text):
            before, written = text[done : match.start()], match[0]
            meant = json.loads(written, strict=False) if "\\" in written else written[1:-1]
            kind = _kind_of(name, meant) if before.strip() == ":" else None
            changed = self._replace(kind, meant) if kind is not None else self._once(meant, has_names)
            parts += [before, written if changed == meant else _as_json(changed, written)]
            done, name = match.end(), meant
        return "".join([*parts, text[done:]])


_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _is_json(text: str) -> bool:
    """Return whether a text is JSON that holds strings."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return False
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _as_json(text: str, like: str) -> str:
    """Return a text as JSON, with escapes for other letters where `like` has no such letters."""
    has_halves = not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)
    return json.dumps(text, ensure_ascii=like.isascii() or has_halves)


# Members whose name says that the value is a secret; a counter of tokens is none.
_PASSWORD_NAME = re.compile(r"(?:^|[^a-z])(?:passwor[dt]|passwd|passphrase|pwd)$", re.IGNORECASE)
_KEY_NAME = re.compile(
    r"(?:api|secret|access|private|auth|encryption|signing)[_-]?(?:access[_-]?)?key$"
    r"|(?:^|[^a-z])secret$|(?:client|app|shared|webhook)[_-]?secret$"
    r"|(?:access|auth|refresh|id|session|bearer|api)[_-]?token$|^token$|^authorization$|^credentials?$",
    re.IGNORECASE,
)
_LEAST_PASSWORD, _LEAST_KEY = 4, 12
_REDACTED = re.compile(rf"<({'|'.join(KINDS)})-\d+>")


def _kind_of(name: str, value: str) -> str | None:
    """Return which kind of secret a member of a JSON object is as a whole, if any."""
    if not value or any(letter.isspace() or letter in "${}()<>" for letter in value):
        return None
    if _PASSWORD_NAME.search(name):
        return "password" if len(value) >= _LEAST_PASSWORD else None
    is_key = len(value) >= _LEAST_KEY and any(letter.isdigit() for letter in value)
    return "api-key" if is_key and _KEY_NAME.search(name) else None


_SEPARATOR = r"(?:\\{1,8}|\\?/|%2[Ff])"


def _last(home: str) -> str:
    return re.split(r"[/\\]", home.rstrip("/\\"))[-1].lower()


def _spelled(home: str) -> str:
    """Return a pattern for a folder however its separators are written."""
    parts = [re.escape(part) for part in re.split(r"[/\\]+", home.rstrip("/\\"))]
    pattern = _SEPARATOR.join(parts)
    if len([part for part in parts if part]) > 1:
        return pattern
    return rf"(?<![A-Za-z0-9_.~)\]}}-]){pattern}(?![\w-])"  # /root: a name that also others have below them


def home_of(path: str) -> str | None:
    """Return the home folder at the beginning of a path, or None.

    >>> home_of("/home/ada/projects"), home_of("C:/Users/Ada Lovelace"), home_of("/srv/www")
    ('/home/ada', 'C:/Users/Ada Lovelace', None)
    """
    match = _HOME.match(path)
    return match[0] if match else None


_HOME = re.compile(
    r"(?:/(?:var|usr|export)|/mnt/[a-z]|/[a-z])?/(?:home|Users)/(?!Shared\b)[^/]+|[A-Za-z]:[\\/]Users[\\/](?!Public\b)[^\\/]+",
    re.IGNORECASE,
)


def known_homes(paths: Iterable[str]) -> frozenset[str]:
    """Return the home folders that some paths lie in, and this machine's own."""
    own = os.path.expanduser("~")
    homes = {home for path in paths if (home := home_of(path))}
    if os.path.isabs(own) and own.strip("/\\"):
        homes |= {own, os.path.realpath(own)}
    return frozenset(homes)


def placeholder(kind: str, number: int) -> str:
    """Return what stands in place of a secret."""
    return f"<{kind}-{number}>"


def kinds_in(redacted: str) -> tuple[str, ...]:
    """Return of which kinds the placeholders in a text are, each once."""
    return tuple(dict.fromkeys(_REDACTED.findall(redacted)))


def canonical(kind: str, secret: str) -> str:
    """Return a secret in one spelling: a home folder can be written with several separators."""
    if kind != "home":
        return secret
    parts = [
        part
        for part in re.split(r"[/\\]+|%2f|-(?=home-|users-)|(?<=home)-|(?<=users)-|:", secret, flags=re.IGNORECASE)
        if part
    ]
    return "/".join(part.lower() for part in parts[-2:])
