"""Where the members of a JSON object, or the items of an array, begin and end; nothing of it is built. Pure.

The text comes in slices of any size. What lies deeper than the first level is only counted, by what the
interpreter does in C: strings are cut out, brackets that belong together are taken away again and again, and
the few that are left go onto a stack. So a slice takes time in proportion to its length, whatever is in it,
and memory is needed for little more than the slice.

What it promises of a text that it takes: UTF-8, whole strings and escapes, brackets in pairs and hardly
deeper than `DEEPEST`, outside of strings only what JSON knows, and the grammar of the first level. What it
does not look at are numbers and most of the grammar further down.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Brackets within each other; orjson's limit.
DEEPEST = 1024
#: Members or items of the first level.
MOST = 1000
#: Bytes of a name, or of a number, on the first level.
LONGEST_TOKEN = 64 * 1024
#: Rounds in which pairs are taken away before each bracket is looked at: those of most documents, and more.
_ROUNDS = 8
#: Bytes that are looked at one by one, to find an end.
_SHORT = 64

_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_TOKEN = re.compile(rb"[^\[\]{},:\" \t\r\n]*")
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}
_QUOTE = ord('"')
_BRACKETS = b"[]{}"
#: Of each kind, and many at once where they are within each other.
_PAIRS = (b"[" * 64 + b"]" * 64, b"[" * 8 + b"]" * 8, b"{" * 8 + b"}" * 8, b"{}", b"[]")
_OUTSIDE = b'0123456789+-.eEtrufalsn,:" \t\r\n' + _BRACKETS
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_ALL_BUT_CONTROLS = bytes(set(range(256)) - set(range(32)))
#: Signs as bits, and what may not follow a sign: `,,` `[,` `,]` `][` and the like, `""` for two strings.
_COMMA, _OPENING, _ENDING, _STRING = 1, 2, 4, 8
_SIGNS = {b",": _COMMA, b"[{": _OPENING, b"]}": _ENDING, b'"': _STRING}
_NOT_AFTER = {b",": _COMMA | _ENDING, b"[{": _COMMA, b"]}": _OPENING, b'"': _STRING}


def _table(values: dict[bytes, int]) -> bytes:
    """For `translate`: the value of each sign, 0 for all others."""
    return bytes(next((value for signs, value in values.items() if byte in signs), 0) for byte in range(256))


_SIGNS_TABLE, _NOT_AFTER_TABLE = _table(_SIGNS), _table(_NOT_AFTER)


class NotJson(ValueError):
    """The text is no JSON object or array."""


class TooMany(NotJson):
    """It has more than `MOST` members or items."""


class Scanner:
    """`spans` are the places of the values, `names` those of an object's members; `is_object` says which."""

    def __init__(self) -> None:
        self.is_object = False
        self.names: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self._place = 0
        self._go_on: Callable[[bytes, int], int] = self._begin
        self._token = b""
        self._value_at = 0
        self._stack: list[int] = []
        self._in_string = False
        self._escape = b""
        self._utf8 = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> None:
        """The next slice. Raises NotJson."""
        try:
            self._utf8.decode(data)
        except UnicodeDecodeError as error:
            raise NotJson("it is not UTF-8") from error
        # Half an escape waits for its other half.
        data, self._escape = self._escape + data, b""
        at = 0
        while at < len(data) - len(self._escape):
            at = self._go_on(data, at)
        self._place += len(data) - len(self._escape)

    def finish(self) -> None:
        """There is nothing more. Raises NotJson."""
        if self._go_on != self._end:
            raise NotJson("it ends too early")

    # -- the first level: each takes what it knows at a place, and returns the place of what follows

    def _begin(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at < len(data):
            if data[at] not in _CLOSING:
                raise NotJson("it is no object and no array")
            self.is_object = data[at : at + 1] == b"{"
            self._go_on = self._first
            at += 1
        return at

    def _first(self, data: bytes, at: int) -> int:
        """A member or an item; or none at all."""
        at = _after_space(data, at)
        if at < len(data):
            if data[at : at + 1] == self._closing:
                self._go_on = self._end
                return at + 1
            self._go_on = self._name if self.is_object else self._value
        return at

    def _name(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at < len(data):
            if data[at : at + 1] != b'"':
                raise NotJson("a member has no name")
            self._token, self._go_on = b'"', self._rest_of_name
            at += 1
        return at

    def _rest_of_name(self, data: bytes, at: int) -> int:
        end, found = self._to_quote(data, at)
        self._token += data[at:end]
        if len(self._token) > LONGEST_TOKEN:
            raise NotJson("a name is too long")
        if found:
            self.names.append(_text(self._token))
            self._go_on = self._colon
        return end

    def _colon(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at < len(data):
            if data[at : at + 1] != b":":
                raise NotJson("a name has no value")
            self._go_on = self._value
            at += 1
        return at

    def _value(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        if len(self.spans) >= MOST:
            raise TooMany("it has too many members")
        self._value_at = self._place + at
        first = data[at]
        if first in _CLOSING:
            self._stack, self._in_string, self._go_on = [first], False, self._inside
        elif first == _QUOTE:
            self._go_on = self._string
        else:
            self._token, self._go_on = b"", self._scalar
            return at
        return at + 1

    def _string(self, data: bytes, at: int) -> int:
        end, found = self._to_quote(data, at)
        if found:
            self._value_ends(end)
        return end

    def _scalar(self, data: bytes, at: int) -> int:
        match = _TOKEN.match(data, at)
        assert match is not None
        self._token += match[0]
        if match.end() < len(data):
            if not _SCALAR.fullmatch(self._token):
                raise NotJson("a value is none")
            self._value_ends(match.end())
        elif len(self._token) > LONGEST_TOKEN:
            raise NotJson("a number is too long")
        return match.end()

    def _value_ends(self, at: int) -> None:
        self.spans.append((self._value_at, self._place + at))
        self._go_on = self._after

    def _after(self, data: bytes, at: int) -> int:
        at = _after_space(data, at)
        if at < len(data):
            sign = data[at : at + 1]
            if sign == b",":
                self._go_on = self._name if self.is_object else self._value
            elif sign == self._closing:
                self._go_on = self._end
            else:
                raise NotJson("a comma is missing")
            at += 1
        return at

    def _end(self, data: bytes, at: int) -> int:
        if _after_space(data, at) < len(data):
            raise NotJson("something follows its end")
        return len(data)

    @property
    def _closing(self) -> bytes:
        return b"}" if self.is_object else b"]"

    # -- strings

    def _to_quote(self, data: bytes, at: int) -> tuple[int, bool]:
        """The place after the string's end, or after what there is of it so far."""
        match = _REST_OF_STRING.match(data, at)
        assert match is not None
        _check_inside(match[0])
        end = match.end()
        if end == len(data):
            return end, False
        if data[end] == _QUOTE:
            return end + 1, True
        # Half an escape is all that is left.
        self._escape = b"\\"
        return end, False

    # -- everything deeper

    def _inside(self, data: bytes, at: int) -> int:
        """The place after the value's end, or after what there is of it so far."""
        piece = data[at:] if at else data
        if _ends_in_an_escape(piece):
            self._escape, piece = b"\\", piece[:-1]
        at += self._count(piece)
        if not self._stack:
            self._escape = b""
            self._value_ends(at)
        return at

    def _count(self, data: bytes) -> int:
        """How much of the data belongs to the value."""
        parts = _cut(data)
        outside = b'"'.join(parts[self._in_string :: 2])
        left = _unpaired(outside.translate(None, _ALL_BUT_BRACKETS), DEEPEST - len(self._stack))
        closing = len(left) - len(left.lstrip(b"]}"))
        if closing >= len(self._stack):
            return self._count_halves(data)
        _check_outside(outside)
        _check_inside(b"".join(parts[not self._in_string :: 2]))
        self._in_string ^= len(parts) % 2 == 0
        self._take(left)
        return len(data)

    def _count_halves(self, data: bytes) -> int:
        """The value ends in here, somewhere."""
        if len(data) <= _SHORT:
            return self._count_short(data)
        middle = len(data) // 2
        if _ends_in_an_escape(data[:middle]):
            middle -= 1
        taken = self._count(data[:middle])
        return taken + self._count(data[middle:]) if self._stack else taken

    def _count_short(self, data: bytes) -> int:
        at, began_in_string = 0, self._in_string
        while at < len(data) and self._stack:
            sign = data[at : at + 1]
            if self._in_string and sign == b"\\":
                at += 1
            elif sign == b'"':
                self._in_string = not self._in_string
            elif not self._in_string and sign in _BRACKETS:
                self._take(sign)
            at += 1
        parts = _cut(data[:at])
        _check_outside(b'"'.join(parts[began_in_string::2]))
        _check_inside(b"".join(parts[not began_in_string :: 2]))
        return at

    def _take(self, brackets: bytes) -> None:
        stack = self._stack
        for bracket in brackets:
            if bracket in _CLOSING:
                stack.append(bracket)
                if len(stack) > DEEPEST:
                    raise NotJson("it is nested too deeply")
            elif _CLOSING[stack.pop()] != bracket:
                raise NotJson("a bracket is closed by another one")


def _text(token: bytes) -> str:
    """Raises NotJson. JSON knows halves of characters, which orjson does not."""
    try:
        return str(json.loads(token))
    except ValueError as error:
        raise NotJson("a name has an escape that is none") from error


def _ends_in_an_escape(data: bytes) -> bool:
    return (len(data) - len(data.rstrip(b"\\"))) % 2 == 1


def _after_space(data: bytes, at: int) -> int:
    match = _SPACE.match(data, at)
    assert match is not None
    return match.end()


def _cut(data: bytes) -> list[bytes]:
    """What is outside and what is inside of strings, by turns. Each part is as long as what it stands for."""
    plain = data.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in data else data
    return plain.split(b'"')


def _unpaired(brackets: bytes, deepest: int) -> bytes:
    """Those whose other half is elsewhere."""
    for _ in range(_ROUNDS):
        before = len(brackets)
        for pairs in _PAIRS:
            brackets = brackets.replace(pairs, b"")
        if len(brackets) == before:
            return brackets
    left = bytearray()
    for bracket in brackets:
        if left and _CLOSING.get(left[-1]) == bracket:
            left.pop()
        else:
            left.append(bracket)
            if len(left) > deepest + 2 * DEEPEST * (left[0] not in _CLOSING):
                raise NotJson("it is nested too deeply")
    return bytes(left)


def _check_outside(text: bytes) -> None:
    if text.translate(None, _OUTSIDE):
        raise NotJson("something is no string and no number")
    # All neighbours at once: each sign's own bit, one place further on, beside those that may not follow it.
    if int.from_bytes(text.translate(_NOT_AFTER_TABLE)) & int.from_bytes(text.translate(_SIGNS_TABLE)) << 8:
        raise NotJson("a comma is missing, or one too many")


def _check_inside(text: bytes) -> None:
    if text.translate(None, _ALL_BUT_CONTROLS):
        raise NotJson("a string has a control character")
