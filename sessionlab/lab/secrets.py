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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sessionlab.lab.coloured import Coloured
from sessionlab.lab.members import STRING, Place, as_json, is_json

KINDS = ("api-key", "token", "private-key", "password", "email", "home")
"""What a secret can be; `<kind-1>` is what stands in its place."""

# A word begins here: not within one, or after an escape of JSON, whose letter is none of the word.
_START = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4}))"

# What is plainly no secret although its name says so: a variable, a placeholder.
_SPARED = (
    r"(?!<|\$\{|\{\{|\$\(|\$[A-Za-z_]\w*(?!\w|[^\s\"'`])|%[A-Za-z_]+%"
    r"|(?i:[x*.…_-]{3,}|password|passwd|secret|token|string|str|none|null|undefined|true|false|change[-_ ]?me|redacted"
    r"|placeholder|hidden|required|optional|example|(?:your|enter|please|invalid|incorrect|wrong)[-_ ][\w ,.-]{0,60})"
    r"(?![^\s\"'`<>\\,;)\]}]))"
)
# The same without quotes, where it can also be an expression.
_CODE = (
    _SPARED
    + r"(?!(?:process|os|import|self|this|settings|config|cfg|env|ENV|args|opts|options|secrets|vars|ctx|context"
    r"|request|req|response|res|data|params|props|app|user)\.[A-Za-z_]|(?:[A-Za-z]{0,40}+[._]){1,8}+[A-Za-z]{1,40}+[0-9]{0,2}[(\[])"
)
_MACROS = {"{start}": _START, "{spared}": _SPARED, "{code}": _CODE}

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
    places: re.Pattern[str] | None
    within: int
    source: str

    def spans(self, text: str, lowered: str) -> Iterator[tuple[int, int]]:
        """Yield from where to where a secret of this rule is in the text.

        Args:
            text: The text.
            lowered: The same in lower case.
        """
        for match in self.matches(text, lowered):
            names = [name for name in ("secret", "quoted") if match.re.groupindex.get(name) and match[name] is not None]
            yield match.span(names[0] if names else 0)

    def matches(self, text: str, lowered: str) -> Iterator[re.Match[str]]:
        """Yield what the pattern finds in the text; where a hint must be near, it is tried there alone."""
        if self.places is None or len(lowered) != len(text):  # a few letters are two in lower case
            yield from self.pattern.finditer(text)
            return
        start = 0
        for place in self.places.finditer(lowered):
            start = max(start, place.start() - self.within)
            while start <= place.start():
                match = self.pattern.match(text, start)
                if match is None:
                    start += 1
                else:
                    yield match
                    start = match.end()


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of `secrets.toml` in their order."""
    with open(os.path.join(os.path.dirname(__file__), "secrets.toml"), "rb") as file:
        table = tomllib.load(file)["rule"]
    return tuple(map(_rule, table))


def _rule(row: Mapping[str, Any]) -> Rule:
    near, after = row.get("near"), row.get("after")
    hints = "|".join(map(re.escape, row["hints"]))
    return Rule(
        kind=row["kind"],
        hints=tuple(row["hints"]),
        near=near if after is None else f"(?:{hints}){after}",
        named=row.get("named", False),
        pattern=re.compile(_written_out(row["pattern"])),
        places=None if after is None else re.compile(f"(?:{hints})(?={after})"),
        within=row.get("within", 0),
        source=row["source"],
    )


def _written_out(pattern: str) -> str:
    for name, meaning in _MACROS.items():
        pattern = pattern.replace(name, meaning)
    return pattern


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


# An ordinary letter as an escape of JSON, or a colour of a terminal, behind or in which any of the hints could be.
_ESCAPED = r"\\u00[2-7]|(?:\x1b|u001b|x1b|033)\["


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
        if is_json(text):
            return self._in_json(text, has_names)
        if not any(begin in text for begin in ('{"', '["', "[{")):
            return self._plain(text, has_names)
        parts: list[str] = []
        done = 0
        for match in _LINE_OF_JSON.finditer(text):
            if is_json(match["json"]):
                start, end = match.span("json")
                parts += [self._plain(text[done:start], has_names), self._in_json(match["json"], has_names)]
                done = end
        return "".join([*parts, self._plain(text[done:], has_names)])

    def _plain(self, text: str, has_names: bool) -> str:
        if not text:
            return text
        coloured = Coloured(text)
        text = coloured.text
        lowered = text.lower()
        for rule in _without_homes():
            if rule.named and not has_names:
                continue
            for hint in rule.hints:  # a generator would take longer than what it does
                if hint in lowered:
                    if coloured.text is not text:
                        text = coloured.text
                        lowered = text.lower()
                    self._replace_all(coloured, rule.kind, rule.spans(text, lowered))
                    break
        lowered = coloured.text.lower()  # mostly the rules have left none of the folders
        if any(end in lowered for end in self._ends):
            self._replace_all(coloured, "home", (match.span() for match in self._homes.finditer(coloured.text)))
        for rule in _homes():
            lowered = coloured.text.lower()
            if any(hint in lowered for hint in rule.hints):
                self._replace_all(coloured, rule.kind, rule.spans(coloured.text, lowered))
        return coloured.whole()

    def _replace_all(self, coloured: Coloured, kind: str, spans: Iterable[tuple[int, int]]) -> None:
        found = [
            (start, end, self._replace(kind, secret))
            for start, end in spans
            if not _REDACTED.fullmatch(secret := coloured.text[start:end])
        ]
        if found:
            coloured.replace(found)

    def _in_json(self, text: str, has_names: bool) -> str:
        """Redact each string of a JSON text as it is meant; what else there is keeps its form."""
        parts: list[str] = []
        done = 0
        place = Place()
        for match in STRING.finditer(text):
            before, written = text[done : match.start()], match[0]
            meant = json.loads(written, strict=False) if "\\" in written else written[1:-1]
            place.move(before.strip(), meant)
            found = place.secret()
            if found is None:
                changed = self._once(meant, has_names)
            else:
                kind, start, end = found
                changed = meant[:start] + self._replace(kind, meant[start:end]) + meant[end:]
            parts += [before, written if changed == meant else as_json(changed, written)]
            done = match.end()
        return "".join([*parts, text[done:]])


# What may be JSON within another text: from the first bracket of a line to its end.
_LINE_OF_JSON = re.compile(r"^[^{\[\n]*+(?P<json>[{\[][^\n]*[}\]])[ \t\r,;]*$", re.MULTILINE)


@cache
def _without_homes() -> tuple[Rule, ...]:
    return tuple(rule for rule in rules() if rule.kind != "home")


@cache
def _homes() -> tuple[Rule, ...]:
    """Return the rules for home folders that are not known; they come last."""
    return tuple(rule for rule in rules() if rule.kind == "home")


_REDACTED = re.compile(rf"<({'|'.join(KINDS)})-\d+>")


_SEPARATOR = r"(?:\\{0,64}+/|\\{1,8}|%2[Ff])"


def _last(home: str) -> str:
    return re.split(r"[/\\]", home.rstrip("/\\"))[-1].lower()


def _spelled(home: str) -> str:
    """Return a pattern for a folder however its separators are written."""
    parts = [re.escape(part) for part in re.split(r"[/\\]+", home.rstrip("/\\"))]
    pattern = _SEPARATOR.join(parts)
    if len([part for part in parts if part]) > 1:
        return rf"{pattern}(?![\w-])"
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
