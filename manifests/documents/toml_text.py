"""TOML into plain values, with what tomllib does not tell: in which line a key is, how a value is spelled."""

from __future__ import annotations

import re
import tomllib
from functools import partial
from typing import TYPE_CHECKING, Any

from manifests.documents.document import BrokenText, Document, lower_first
from manifests.documents.scalars import Scalar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from manifests.documents.document import Path

_TOKEN = re.compile(
    r"""
    (?P<skip> [ \t\r]+ | \#[^\n]*
            | "{3} (?: [^\\] | \\. )*? "{3,5} (?!") | \'{3} .*? \'{3,5} (?!\')
            | " (?: [^"\\\n] | \\. )* " | \' [^\'\n]* \' )
    | (?P<mark> [=,{}\[\]\n] )
    | (?P<word> \d{4}-\d\d-\d\d[ ]\d\d:[^\s,\]}\#]* | [^\s=,{}\[\]\#"\']+ )
    """,
    re.VERBOSE | re.DOTALL,
)

#: Parts of one key. tomllib keeps each beginning of a key: 100 KiB of `a.a.a…` would take it ten GiB.
MOST_PARTS = 32
_PART = r"""(?: [A-Za-z0-9_-]++ | "(?: [^"\\\n] | \\. )*+" | '[^'\n]*+' )"""
_LONG_KEY = re.compile(
    rf"(?<! [A-Za-z0-9_-] ) {_PART} (?: [ \t]*+ \. [ \t]*+ {_PART} ){{{MOST_PARTS}}}", re.VERBOSE
)


def read_toml(text: str, *, spelled: bool) -> list[Document]:
    """The one document of the text; `spelled`: what is no text is a `Scalar`. Raises BrokenText."""
    try:
        value = spelled_toml(text) if spelled else load_toml(text)
        return [Document(value, partial(toml_line, text))]
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        last = text.count("\n") + 1
        raise BrokenText(
            f"this is not valid TOML: {lower_first(message)}", line=int(line[1]) if line else last
        ) from error
    except (ValueError, RecursionError) as error:
        raise BrokenText(f"this is not valid TOML: {lower_first(str(error))}") from error


def load_toml(text: str) -> dict[str, Any]:
    """The values of a text that anybody may have written. Raises ValueError or RecursionError."""
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise tomllib.TOMLDecodeError(f"A key has more than {MOST_PARTS} parts (at line {line}, column 1)")
    return tomllib.loads(text)


def spelled_toml(text: str) -> dict[str, Any]:
    """The values of a text that anybody may have written, each number, date and truth as a `Scalar`.

    tomllib tells the spelling of floats only: so each such word becomes the float of its number in a list.
    Raises as `load_toml` does.
    """
    value = load_toml(text)
    words: dict[str, int] = {}
    floats = _with_floats(text, words)
    if not words:
        return value
    scalars = _scalars(words)
    return tomllib.loads(floats, parse_float=lambda number: scalars[int(number.partition(".")[0])])


def _scalars(words: Iterable[str]) -> list[Scalar]:
    """All at once: a call of tomllib for each of a million numbers takes a quarter of a minute."""
    values = tomllib.loads(f"values = [{','.join(words)}]")["values"]
    return [Scalar(value, word) for value, word in zip(values, words, strict=True)]


def _with_floats(text: str, words: dict[str, int]) -> str:
    parts: list[str] = []
    # Open brackets of values; those of headers are none. `value`: a value may begin here.
    open_brackets: list[str] = []
    value = False
    for token in _TOKEN.finditer(text):
        found = token[0]
        if token["word"] and value:
            found = f"{words.setdefault(found, len(words))}.0"
        elif token["mark"]:
            value = _value_follows(found, open_brackets, value=value)
        parts.append(found)
    return "".join(parts)


def _value_follows(mark: str, open_brackets: list[str], *, value: bool) -> bool:
    match mark:
        case "=":
            return True
        case "[" | "{" if value:
            open_brackets.append(mark)
        case "]" | "}" if open_brackets:
            open_brackets.pop()
            return False
        case "\n" if not open_brackets:
            return False
        case "\n":
            return value
    return bool(open_brackets) and open_brackets[-1] == "["


def toml_line(text: str, path: Path) -> int | None:
    """The line of a key, found by reading headers and keys only; the nearest parent's line otherwise."""
    found: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            table = _toml_path(header[2], counts, array=header[1] == "[[")
            _note(found, table, number)
        elif key := re.match(
            r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""", line
        ):
            _note(found, table + tuple(_toml_keys(key[1])), number)
    return next((found[path[:end]] for end in range(len(path), 0, -1) if path[:end] in found), None)


def _note(found: dict[Path, int], path: Path, number: int) -> None:
    """A key is where it is first mentioned, be it as the beginning of another."""
    for end in range(1, len(path) + 1):
        found.setdefault(path[:end], number)


def _toml_keys(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _toml_path(dotted: str, counts: dict[Path, int], *, array: bool) -> Path:
    """The path of a header, with the index of each table array that it goes through."""
    path: Path = ()
    keys = _toml_keys(dotted)
    for position, key in enumerate(keys):
        path = (*path, key)
        if array and position == len(keys) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path
