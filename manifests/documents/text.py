"""Text of a YAML, TOML or JSON file into plain values, and where in the text each key stands.

Reading is made for the usual case, a good file; lines are looked for only when something is wrong. Each
language has its reader beside this; another one is a module like them, and a row in `_READERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.documents.document import BrokenText, Document
from manifests.documents.json_text import read_json
from manifests.documents.toml_text import read_toml

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES = 1 << 20


def _read_yaml(text: str, *, spelled: bool, tags: frozenset[str] = frozenset()) -> list[Document]:
    """PyYAML is loaded by the first file that needs it."""
    from manifests.documents.yaml_text import read_yaml

    return read_yaml(text, spelled=spelled, tags=tags)


#: By the end of a file's name.
_READERS: dict[str, Callable[..., list[Document]]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".toml": read_toml,
    ".json": read_json,
}
SUFFIXES = frozenset(_READERS)


def read_documents(text: str, suffix: str, *, spelled: bool = False) -> list[Document]:
    """The documents of a text, `suffix` telling its language. Raises BrokenText.

    `spelled`: what is no text is a `Scalar`, for `coerce` to decide.
    """
    _refuse_large(text)
    if (read := _READERS.get(suffix.lower())) is None:
        what = suffix or "a name without a suffix"
        raise BrokenText(f"{what} is no kind of manifest", hint="use .yaml, .toml or .json")
    return read(text, spelled=spelled)


def read_tagged(text: str, tags: frozenset[str]) -> list[Document]:
    """The documents of a YAML text in which these tags may stand before a value. Raises BrokenText."""
    _refuse_large(text)
    return _read_yaml(text, spelled=False, tags=tags)


def _refuse_large(text: str) -> None:
    if len(text) > MAX_BYTES or (not text.isascii() and len(text.encode("utf-8", "replace")) > MAX_BYTES):
        raise BrokenText("the file is larger than 1 MiB", hint="split it into several files")
