"""YAML: into trees with its comments, and out of them again.

As with SOPS, a file that is written anew keeps its keys, their order and its comments, a comment behind a
value coming to stand above it; `*name` and `<<` become what they stand for, and documents stay apart.

Where a person's file is read, a value is a number only if that number is written just so: `0123`, `1e3`,
`1.50` and dates are text, since a secret has to arrive as it was written. Where an encrypted file is read,
what stands there in plain text means what SOPS' own parser takes it for; otherwise the MAC would be another.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from manifests.sops.tree import DEEPEST, MOST_VALUES, Branch, Comment, Item, Value, to_bytes
from manifests.sops.trouble import SopsTrouble
from manifests.sops.yaml_write import write_branch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    from yaml.cyaml import CParser as _Parser  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover - a PyYAML built without libyaml
    from yaml import Loader as _Parser  # type: ignore[assignment]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SPECIAL = {
    ".inf": "inf", ".Inf": "inf", ".INF": "inf", "+.inf": "inf", "+.Inf": "inf", "+.INF": "inf",
    "-.inf": "-inf", "-.Inf": "-inf", "-.INF": "-inf", ".nan": "nan", ".NaN": "nan", ".NAN": "nan",
}  # fmt: skip
_INT = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 400
#: Of 64 bits: others have no larger integers.
_LARGEST = (1 << 63) - 1
_STRING, _PLAIN_TAGS = "tag:yaml.org,2002:str", frozenset({"tag:yaml.org,2002:binary"})


def load(text: str, *, written: bool) -> list[Branch]:
    """A tree for each document. `written`: by a person. Raises SopsTrouble."""
    text = text.removeprefix("\ufeff")
    try:
        return list(_Documents(text, _as_written if written else _as_sops).read())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise SopsTrouble("BrokenFile", f"it is not valid YAML{where}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise SopsTrouble("BrokenFile", "it is not valid YAML") from None


def emit(branches: list[Branch]) -> str:
    return "---\n".join(write_branch(branch) for branch in branches)


def plain(value: Value) -> Any:
    """Without comments, in dictionaries and lists."""
    if isinstance(value, Branch):
        return {each.key: plain(each.value) for each in value.items if isinstance(each, Item)}
    if isinstance(value, list):
        return [plain(each) for each in value if not isinstance(each, Comment)]
    return value


class _Slot:
    """Where an entry begins in the text, and what it is an entry of: comments find their place by it."""

    __slots__ = ("at", "column", "container", "entry", "line", "parent")

    def __init__(self, container: list[Any], entry: int, mark: Any, parent: _Slot | None) -> None:
        self.container, self.entry, self.parent = container, entry, parent
        self.at, self.line, self.column = mark.index, mark.line, mark.column

    def and_around(self) -> Iterator[_Slot]:
        """Itself, and the entries that it is in."""
        slot: _Slot | None = self
        while slot is not None:
            yield slot
            slot = slot.parent


class _Documents:
    """Reads events, counting what it makes (references as often as they are used)."""

    def __init__(self, text: str, scalar: Callable[[str], Value]) -> None:
        self._text = text
        self._scalar = scalar
        self._count = 0

    def read(self) -> Iterator[Branch]:
        parser = _Parser(self._text)
        events: list[Any] = []
        comments: list[_Found] = []
        at, line = 0, 0
        while parser.check_event():
            event: Any = parser.get_event()
            comments += _comments(self._text, at, line, event.start_mark.index)
            if event.end_mark.index >= at:
                at, line = event.end_mark.index, event.end_mark.line
            if isinstance(event, yaml.DocumentEndEvent):
                yield self._document(events, comments)
                events, comments = [], []
            elif not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                events.append(event)

    def _document(self, events: list[Any], comments: list[_Found]) -> Branch:
        self._events, self._at = events, 0
        self._anchors: dict[str, int] = {}
        self._slots: list[_Slot] = []
        self._parent: _Slot | None = None
        value = self._node(0)
        if value is None:
            value = Branch()
        if not isinstance(value, Branch):
            raise SopsTrouble("BrokenFile", "a file is a table of keys and values, not a list or one value")
        self._place(value, comments)
        return value

    def _next(self) -> Any:
        event = self._events[self._at]
        self._at += 1
        return event

    def _peek(self) -> Any:
        return self._events[self._at]

    def _node(self, depth: int) -> Value:
        self._count += 1
        event = self._next()
        if depth > DEEPEST or self._count > MOST_VALUES:
            raise SopsTrouble("BrokenFile", "it is too deep, or has too many values")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), depth)
        begin = self._at - 1
        if isinstance(event, yaml.ScalarEvent):
            made: Value = self._scalar_of(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            made = self._sequence(depth)
        else:
            made = self._mapping(depth)
        if event.anchor:
            self._anchors[event.anchor] = begin
        return made

    def _alias(self, anchor: str, depth: int) -> Value:
        if anchor not in self._anchors:
            raise SopsTrouble("BrokenFile", f"*{anchor[:80]} stands for nothing")
        back, self._at = self._at, self._anchors[anchor]
        slots, self._slots = self._slots, []
        made = self._node(depth)
        self._at, self._slots = back, slots
        return made

    def _scalar_of(self, event: Any) -> Value:
        if event.tag not in (None, "!", _STRING, *_PLAIN_TAGS):
            raise SopsTrouble("BrokenFile", f"the tag {event.tag[:80]} is not understood")
        plain_style = event.implicit[0] and event.tag is None
        return self._scalar(event.value) if plain_style else str(event.value)

    def _sequence(self, depth: int) -> list[Any]:
        made: list[Any] = []
        while not isinstance(self._peek(), yaml.SequenceEndEvent):
            made.append(self._inside(made, len(made), self._peek().start_mark, depth))
        self._next()
        return made

    def _mapping(self, depth: int) -> Branch:
        made, merged = Branch(), []
        while not isinstance(self._peek(), yaml.MappingEndEvent):
            key = self._peek()
            name = self._key(depth)
            value = self._inside(made.items, len(made.items), key.start_mark, depth)
            if name == "<<" and key.implicit[0]:
                merged.append(value)
                continue
            if made.get(name) is not None:
                raise SopsTrouble("BrokenFile", f"the key {name[:80]} stands there twice")
            made.items.append(Item(name, value))
        self._next()
        for value in merged:
            _merge(made, value)
        return made

    def _inside(self, container: list[Any], entry: int, mark: Any, depth: int) -> Value:
        outer = self._parent
        self._parent = _Slot(container, entry, mark, outer)
        self._slots.append(self._parent)
        value = self._node(depth + 1)
        self._parent = outer
        return value

    def _key(self, depth: int) -> str:
        event = self._peek()
        value = self._node(depth + 1)
        if not isinstance(event, yaml.ScalarEvent) or not isinstance(value, str):
            at = event.start_mark.line + 1
            raise SopsTrouble("BrokenFile", f"line {at}: a key has to be text", "put it into quotes")
        return value

    def _place(self, root: Branch, comments: list[_Found]) -> None:
        """Puts comments among the entries, from behind, so that places stay what they are."""
        begins = [slot.at for slot in self._slots]
        for at, line, column, text in reversed(comments):
            next_one = bisect_left(begins, at)
            before = self._slots[next_one - 1] if next_one else None
            after = self._slots[next_one] if next_one < len(begins) else None
            if after is not None and column >= after.column:
                # Between a dash and the first key behind it: it belongs to the table, not to the list.
                after = self._slots[bisect_right(begins, after.at) - 1]
            container, index = _where(root, before, after, line, column)
            container.insert(index, Comment(text))


def _where(
    root: Branch, before: _Slot | None, after: _Slot | None, line: int, column: int
) -> tuple[list[Any], int]:
    """Above the entry that it stands behind, or above the next one; at the end of a table or list where it is
    as far to the right as that one's entries, and nothing else of it follows."""
    if before is not None and before.line == line:
        return before.container, before.entry
    for slot in before.and_around() if before is not None else ():
        if after is not None and slot.container is after.container:
            break
        if slot.column <= column and (after is None or slot.column > after.column):
            return slot.container, slot.entry + 1
    return (after.container, after.entry) if after is not None else (root.items, len(root.items))


def _merge(made: Branch, value: Value) -> None:
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, Branch):
            raise SopsTrouble("BrokenFile", "<< takes keys over from a table")
        made.items += [each for each in part.items if isinstance(each, Item) and made.get(each.key) is None]


#: Where a comment stands in the text, in which line and column, and what it says.
_Found: TypeAlias = "tuple[int, int, int, str]"


def _comments(text: str, begin: int, line: int, end: int) -> Iterator[_Found]:
    """Those between two events. `line` is that of `begin`."""
    at, counted = begin, begin
    while (at := text.find("#", at, end)) >= 0:
        start = text.rfind("\n", 0, at) + 1
        if at != start and text[at - 1] not in " \t":
            at += 1
            continue
        line += text.count("\n", counted, at)
        counted = at
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop
        yield at, line, at - start, text[at + 1 : stop].rstrip("\r")
        at = stop


def _as_written(text: str) -> Value:
    """A number, truth or null only where nothing of how it is written is lost."""
    value = _as_sops(text)
    if value is None or isinstance(value, bool):
        return value if text in ("", "~", "null", "true", "false") else text
    if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) > _LARGEST):
        return text
    return value if to_bytes(value).decode() == text else text


def _as_sops(text: str) -> Value:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text in _SPECIAL:
        return float(_SPECIAL[text])
    if len(text) > _LONGEST_NUMBER or text[0] not in "0123456789+-.":
        return text
    if _INT.fullmatch(text) and not text.endswith("_"):
        return _integer(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _integer(text: str) -> Value:
    digits = text.replace("_", "")
    sign, bare = (-1, digits[1:]) if digits[0] == "-" else (1, digits.removeprefix("+"))
    if bare[:1] == "0" and len(bare) > 1 and bare[1] not in "bxo":
        bare = f"0o{bare}"
    try:
        found = sign * int(bare, 0)
    except ValueError:
        return text
    # What fits nowhere else is a number with a point.
    return found if -(1 << 63) <= found < 1 << 64 else float(found)
