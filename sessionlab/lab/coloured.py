"""A text without the colours of a terminal, in which parts can be replaced and which then has its colours again."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Colours and "erase to the end of the line", as they are or as an escape of JSON, C or a shell.
_COLOUR = re.compile(r"(?:\x1b|\\{1,8}(?:u001b|x1b|033))\[[0-9;:]*[mK]", re.IGNORECASE)


class Coloured:
    r"""A text and the colours that were in it; those within what is replaced stand behind it.

    >>> coloured = Coloured("a\x1b[1mbc\x1b[0md")
    >>> coloured.text
    'abcd'
    >>> coloured.replace([(0, 2, "<1>")])
    >>> coloured.whole()
    '<1>\x1b[1mc\x1b[0md'
    """

    __slots__ = ("_colours", "text")

    def __init__(self, text: str) -> None:
        self._colours: list[tuple[int, str]] = []  # before which letter of the text, in order
        self.text = text
        if "[" not in text or ("\x1b" not in text and "\\" not in text):
            return
        parts: list[str] = []
        done = count = 0
        for match in _COLOUR.finditer(text):
            parts.append(text[done : match.start()])
            count += match.start() - done
            self._colours.append((count, match[0]))
            done = match.end()
        if self._colours:
            self.text = "".join([*parts, text[done:]])

    def replace(self, found: Sequence[tuple[int, int, str]]) -> None:
        """Replace parts of the text: from where, to where, by what; in order and without overlap."""
        parts: list[str] = []
        done = 0
        for start, end, new in found:
            parts += [self.text[done:start], new]
            done = end
        self.text = "".join([*parts, self.text[done:]])
        if self._colours:
            self._colours = _moved(self._colours, found)

    def whole(self) -> str:
        """Return the text with its colours."""
        if not self._colours:
            return self.text
        parts: list[str] = []
        done = 0
        for place, colour in self._colours:
            parts += [self.text[done:place], colour]
            done = place
        return "".join([*parts, self.text[done:]])


def _moved(colours: Sequence[tuple[int, str]], found: Sequence[tuple[int, int, str]]) -> list[tuple[int, str]]:
    """Return where the colours are after parts of the text have been replaced."""
    moved: list[tuple[int, str]] = []
    number = grown = 0  # of how many letters the text is longer before the part that comes next
    for place, colour in colours:
        while number < len(found) and found[number][1] <= place:
            start, end, new = found[number]
            grown += len(new) - (end - start)
            number += 1
        if number < len(found) and found[number][0] < place:
            start, _, new = found[number]
            moved.append((start + grown + len(new), colour))
        else:
            moved.append((place + grown, colour))
    return moved
