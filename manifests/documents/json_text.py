"""JSON into plain values. A key that stands twice is an error, and so is what only Python takes for JSON."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from manifests.documents.document import BrokenText, Document, lower_first
from manifests.documents.scalars import Scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.documents.document import Path


def read_json(text: str, *, spelled: bool) -> list[Document]:
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
        raise BrokenText(f"this is not valid JSON: {lower_first(error.msg)}", line=error.lineno) from error
    except _DuplicateKey as error:
        line = next(
            (n for n, row in enumerate(text.splitlines(), 1) if row.count(json.dumps(error.key))), None
        )
        raise BrokenText("this key stands there twice", key=error.key, line=line) from error
    except (ValueError, RecursionError) as error:
        raise BrokenText(f"this is not valid JSON: {lower_first(str(error))}") from error
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


def _spelled(kind: Callable[[str], Any], text: str) -> Scalar:
    return Scalar(kind(text), text)


class _DuplicateKey(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        raise _DuplicateKey(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return result


def _not_a_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")
