"""What a file is made of, whatever its kind; and what counts as a value's bytes.

A mapping keeps its order, and comments stand among its entries and among the items of lists, because both
are kept in the encrypted file. A file is one tree, or several (documents of YAML).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from math import isinf, isnan
from typing import TYPE_CHECKING, Any, TypeAlias

from manifests.sops.trouble import SopsTrouble

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Comment:
    """One line, without what begins a comment in its file."""

    text: str


@dataclass(slots=True)
class Item:
    """One entry of a mapping."""

    key: str
    value: Value


@dataclass(slots=True)
class Branch:
    """A mapping."""

    items: list[Item | Comment] = field(default_factory=list)

    def get(self, key: str) -> Item | None:
        return next((each for each in self.items if isinstance(each, Item) and each.key == key), None)


Scalar: TypeAlias = "str | bytes | int | float | bool | None"
Value: TypeAlias = "Scalar | Branch | list[Any]"
#: The keys on the way to a value; the places in lists are no part of it.
Path: TypeAlias = "tuple[str, ...]"
#: The comments above a value, and above each mapping and list that it is in.
Above: TypeAlias = "tuple[tuple[str, ...], ...]"

DEEPEST = 40
#: Room for every secret of a home, and little enough to be opened in a second.
MOST_VALUES = 100_000


def walk(branch: Branch, leaf: Callable[[Scalar | Comment, Path, Above], Scalar | Comment]) -> Branch:
    """The same tree with what `leaf` makes of each value and comment, asked in their order.

    Null is no value: nothing of it could be hidden.
    """
    return _branch(branch, (), (), leaf)


def _branch(branch: Branch, path: Path, above: Above, leaf: _Leaf) -> Branch:
    made: list[Item | Comment] = []
    comments: tuple[str, ...] = ()
    for each in branch.items:
        if isinstance(each, Comment):
            comments = (*comments, each.text)
            made.append(_comment(leaf(each, path, (*above, comments))))
            continue
        made.append(Item(each.key, _value(each.value, (*path, each.key), (*above, comments), leaf)))
        comments = ()
    return Branch(made)


def _list(items: list[Any], path: Path, above: Above, leaf: _Leaf) -> list[Any]:
    made: list[Any] = []
    comments: tuple[str, ...] = ()
    for each in items:
        if isinstance(each, Comment):
            comments = (*comments, each.text)
            made.append(_comment(leaf(each, path, (*above, comments))))
            continue
        made.append(_value(each, path, (*above, comments), leaf))
        comments = ()
    return made


def _value(value: Value, path: Path, above: Above, leaf: _Leaf) -> Any:
    if isinstance(value, Branch):
        return _branch(value, path, above, leaf)
    if isinstance(value, list):
        return _list(value, path, above, leaf)
    return None if value is None else leaf(value, path, above)


def _comment(made: Scalar | Comment) -> Comment:
    return made if isinstance(made, Comment) else Comment(str(made))


def to_bytes(value: Scalar) -> bytes:
    """What is encrypted of a value, and what the MAC is made of. Another program has to make the same."""
    match value:
        case bytes():
            return value
        case str():
            try:
                return value.encode()
            except UnicodeEncodeError:
                raise SopsTrouble("NotAValue", "a value has half of a character") from None
        case bool():
            return b"True" if value else b"False"
        case int():
            return str(value).encode()
        case float():
            return plain_float(value).encode()
    raise SopsTrouble("NotAValue", "null cannot be encrypted")


def plain_float(value: float) -> str:
    """The shortest digits that mean this number, never with an exponent, and no point without a fraction."""
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").removesuffix(".") if "." in text else text


def as_text(value: Scalar) -> str:
    """A value as a program gets it in its environment: as people write it. Raises SopsTrouble."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise SopsTrouble("NotAValue", "it is no text", "deliver it `as: file`") from None
    return to_bytes(value).decode()


def find(branch: Branch, path: str) -> Value:
    """The value at a dotted path; a list's items have numbers. Raises SopsTrouble.

    A key that has dots itself is found as it is written.
    """
    found: Value = _find(branch, path)
    if found is _NOTHING:
        raise SopsTrouble("KeyNotFound", f"it has no {path}")
    return found


_NOTHING: Any = object()


def _find(value: Value, path: str) -> Any:
    if not path:
        return value
    if isinstance(value, list):
        items = [each for each in value if not isinstance(each, Comment)]
        number, _, rest = path.partition(".")
        there = number.isascii() and number.isdecimal() and len(number) < 10 and int(number) < len(items)
        return _find(items[int(number)], rest) if there else _NOTHING
    if not isinstance(value, Branch):
        return _NOTHING
    steps = path.split(".")
    for length in range(len(steps), 0, -1):
        item = value.get(".".join(steps[:length]))
        if item is not None and (found := _find(item.value, ".".join(steps[length:]))) is not _NOTHING:
            return found
    return _NOTHING


_Leaf: TypeAlias = "Callable[[Scalar | Comment, Path, Above], Scalar | Comment]"
