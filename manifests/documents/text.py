"""Text of a YAML, TOML or JSON file into plain values, and where in the text each key stands.

Reading is made for the usual case, a good file; lines are looked for only when something is wrong.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from manifests.documents.scalars import Written
from manifests.documents.toml_text import load_toml, spelled_toml, toml_line

#: Where the value at a path of keys and list indexes stands: a line from 1 on, or None when nobody knows.
Path = tuple[str | int, ...]
LineOf = Callable[[Path], int | None]

SUFFIXES = frozenset({".yaml", ".yml", ".toml", ".json"})
MAX_BYTES = 1 << 20


class BrokenText(Exception):
    """The text as a whole cannot be read. `line` counts from 1."""

    def __init__(self, message: str, *, line: int | None = None, hint: str = "", key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.hint = hint
        self.key = key


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. An empty one has the value None."""

    value: Any
    line_of: LineOf


def no_line(_: Path) -> None:
    """For values that came from nowhere in particular."""


def read_documents(text: str, suffix: str, *, spelled: bool = False) -> list[Document]:
    """The documents of a text, `suffix` telling its language. Raises BrokenText.

    `spelled`: what is no text is a `Written`, for `settle` to decide.
    """
    if len(text) > MAX_BYTES or (not text.isascii() and len(text.encode("utf-8", "replace")) > MAX_BYTES):
        raise BrokenText("the file is larger than 1 MiB", hint="split it into several files")
    match suffix.lower():
        case ".yaml" | ".yml":
            from manifests.documents.yaml_text import read_yaml

            return read_yaml(text, spelled=spelled)
        case ".toml":
            return [_read_toml(text, spelled=spelled)]
        case ".json":
            return _read_json(text, spelled=spelled)
    raise BrokenText(
        f"{suffix or 'a name without a suffix'} is no kind of manifest", hint="use .yaml, .toml or .json"
    )


def _read_toml(text: str, *, spelled: bool) -> Document:
    try:
        value = spelled_toml(text) if spelled else load_toml(text)
        return Document(value, partial(toml_line, text))
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        last = text.count("\n") + 1
        raise BrokenText(
            f"this is not valid TOML: {_small(message)}", line=int(line[1]) if line else last
        ) from error
    except (ValueError, RecursionError) as error:
        raise BrokenText(f"this is not valid TOML: {_small(str(error))}") from error


def _read_json(text: str, *, spelled: bool) -> list[Document]:
    """One object, or an array of them. A byte order mark is left out: some editors write one."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return []
    try:
        value = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_constant=_not_a_number,
            parse_int=partial(_spelled, int) if spelled else None,
            parse_float=partial(_spelled, float) if spelled else None,
        )
    except json.JSONDecodeError as error:
        raise BrokenText(f"this is not valid JSON: {_small(error.msg)}", line=error.lineno) from error
    except _Twice as error:
        line = next(
            (n for n, row in enumerate(text.splitlines(), 1) if row.count(json.dumps(error.key))), None
        )
        raise BrokenText("this key stands there twice", key=error.key, line=line) from error
    except (ValueError, RecursionError) as error:
        raise BrokenText(f"this is not valid JSON: {_small(str(error))}") from error
    if isinstance(value, list):
        return [Document(item, partial(_json_line, text, (index,))) for index, item in enumerate(value)]
    return [Document(value, partial(_json_line, text, ()))]


def _json_line(text: str, prefix: Path, path: Path) -> int | None:
    """JSON is YAML, and the YAML reader knows its lines."""
    from manifests.documents.yaml_text import read_yaml

    try:
        return read_yaml(text)[0].line_of(prefix + path)
    except BrokenText:
        return None


def _spelled(kind: Callable[[str], Any], text: str) -> Written:
    return Written(kind(text), text)


class _Twice(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return result


def _not_a_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _small(message: str) -> str:
    """The libraries begin their sentences with a capital; ours go on from a colon."""
    return message[:1].lower() + message[1:]
