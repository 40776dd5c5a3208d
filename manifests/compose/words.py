"""A line of text into the words of a command, as Compose splits it: go-shellwords, which is no shell. Pure.

It has a shell's quotes, and no more: a backslash in double quotes goes too, whatever follows it, and words
end where
a shell would begin another command (`;`, `|`, `&`, `<`, `>`); what comes then is dropped.
"""

from __future__ import annotations

_ENDS = frozenset(";&|<>")
_BLANKS = frozenset(" \t\r\n")
_DIGITS = tuple("0123456789")
#: Quotes, and in which others they are characters.
_OTHERS = {"'": {'"', "("}, '"': {"'", "("}}


def split(line: str) -> list[str]:
    """Raises ValueError where a quote, or what counts as one, is never closed."""
    return _Line().split(line)


class _Line:
    """What is known between two characters. `open` are the quotes that are: `'`, `"`, a backquote, or `(`."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.begun = False
        self.open: set[str] = set()

    def split(self, line: str) -> list[str]:
        escaped = False
        for character in line:
            if escaped:
                self._add(character)
                escaped = False
            elif character == "\\" and "'" not in self.open:
                escaped = True
            elif character in _BLANKS and not self.open:
                self._end_word()
            elif character in _ENDS and not self.open:
                if character == ">" and self.word[:1] in _DIGITS:
                    # It is the number of what would be redirected.
                    self.begun = False
                break
            elif not self._is_quote(character):
                self._add(character)
        self._end_word()
        if escaped or self.open:
            raise ValueError("a quote is never closed")
        return self.words

    def _is_quote(self, character: str) -> bool:
        """Whether it is a quote that is no part of the word. Raises ValueError."""
        if character in _OTHERS and not self.open & _OTHERS[character]:
            self.begun = self.begun or character in self.open
            self.open ^= {character}
            return True
        if character == "`" and not self.open & {"'", '"', "("}:
            self.open ^= {"`"}
        elif character in "()" and not self.open & {"'", '"', "`"}:
            if character == "(" and ("(" in self.open or not self.word.endswith("$")):
                raise ValueError("a ( that is in no quotes")
            # A closing one alone opens, until there is another.
            self.open ^= {"("}
        return False

    def _add(self, character: str) -> None:
        self.word += character
        self.begun = True

    def _end_word(self) -> None:
        if self.begun:
            self.words.append(self.word)
        self.word, self.begun = "", False
