"""A tree as YAML, indented by four like SOPS' own files. Whatever reads YAML 1.1 or 1.2 reads it alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.sops.tree import Branch, Comment, Item, Value, plain_float

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDENT = "    "
#: Words that mean themselves in every version, wherever they stand.
_WORD = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+-]+)*")
_SEALED = re.compile(r"ENC\[AES256_GCM,[A-Za-z0-9+/=,:_]+\]")
#: A colon may be 1,024 characters behind the beginning of its line.
_LONG_KEY = 512
_RESERVED = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_NO_LINE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]+")
_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
#: What a block of lines cannot keep as it is, or not everywhere.
_NOT_IN_BLOCK = re.compile(
    "[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def write_branch(branch: Branch) -> str:
    lines = list(_entries(branch, ""))
    if not any(isinstance(each, Item) for each in branch.items):
        lines.append("{}")
    return "\n".join(lines) + "\n"


def _entries(branch: Branch, indent: str) -> Iterator[str]:
    for each in branch.items:
        if isinstance(each, Comment):
            yield from _remark(each, indent)
        else:
            yield from _entry(_key(each.key, indent), each.value, indent)


def _remark(comment: Comment, indent: str) -> Iterator[str]:
    """One that was encrypted may have anything in it."""
    for line in _NO_LINE.split(comment.text):
        yield f"{indent}#{line}"


def _key(key: str, indent: str) -> str:
    """Up to its colon; long ones have to say that they are keys."""
    text = _text(key, indent, key=True)
    return f"{indent}{text}:" if len(text) < _LONG_KEY else f"{indent}? {text}\n{indent}:"


def _items(items: list[Any], indent: str) -> Iterator[str]:
    for each in items:
        if isinstance(each, Comment):
            yield from _remark(each, indent)
        else:
            yield from _item(each, indent)


def _entry(head: str, value: Value, indent: str) -> Iterator[str]:
    if isinstance(value, Branch | list):
        inner = list(_nested(value, indent + _INDENT))
        if inner:
            yield head
            yield from inner
            return
    yield f"{head} {_scalar(value, indent)}"


def _item(value: Value, indent: str) -> Iterator[str]:
    inner = list(_nested(value, indent + "  ")) if isinstance(value, Branch | list) else []
    if not inner:
        yield f"{indent}- {_scalar(value, indent)}"
        return
    if inner[0].lstrip().startswith("#"):
        yield f"{indent}-"
        yield from inner
        return
    yield f"{indent}- {inner[0].lstrip()}"
    yield from inner[1:]


def _nested(value: Value, indent: str) -> Iterator[str]:
    """The lines of what is in it; none of an empty one. One with comments alone says that it is empty."""
    if isinstance(value, Branch):
        yield from _entries(value, indent)
        if value.items and not any(isinstance(each, Item) for each in value.items):
            yield f"{indent}{{}}"
    elif isinstance(value, list):
        yield from _items(value, indent)
        if value and all(isinstance(each, Comment) for each in value):
            yield f"{indent}[]"


def _scalar(value: Value, indent: str) -> str:
    match value:
        case Branch():
            return "{}"
        case list():
            return "[]"
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case bytes():
            return _quoted(value.decode("utf-8", "replace"))
    return _text(value, indent)


def _float(value: float) -> str:
    text = plain_float(value)
    named = {"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf"}
    return named.get(text, text)


def _text(text: str, indent: str, *, key: bool = False) -> str:
    if _SEALED.fullmatch(text) and not key:
        return text
    if _WORD.fullmatch(text) and len(text) < 200 and text.lower() not in _RESERVED:
        return text
    if "\n" in text and not key and _fits_block(text):
        return _block(text, indent + _INDENT)
    return _quoted(text)


def _fits_block(text: str) -> bool:
    first = text.lstrip("\n")
    return bool(first) and text[0] not in " \n\t" and not _NOT_IN_BLOCK.search(text)


def _block(text: str, indent: str) -> str:
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    mark = "-" if ends == 0 else "" if ends == 1 else "+"
    lines = [f"{indent}{line}" if line else "" for line in body.split("\n")]
    return "\n".join([f"|{mark}", *lines, *[""] * (ends - 1)])


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if " " <= character <= "~" or (character > "\xa0" and not _NOT_IN_BLOCK.match(character)):
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
