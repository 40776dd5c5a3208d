"""YAML into plain values: the parser is PyYAML's (libyaml where it is there), the rest is stricter.

Only what YAML 1.1 and 1.2 agree on is more than text: `on`, `no`, `12:30`, `010`, `1e3` and dates are words.
A key that stands twice is an error, tags are refused, and references (`*name`, `<<`) may not blow a document
up.

In a text with tags of its own, which is a Compose file, numbers are those of go-yaml: `1e3`, `1_000`,
`0o17` and
`0b11` too; what begins with a nought, like `0755`, stays the word that it is.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from manifests.documents.document import BrokenText, Document
from manifests.documents.scalars import Scalar, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.documents.document import Path

_MAX_DEPTH = 40
#: Enough for any file of 1 MiB without references, and little enough to be built in a second.
_MAX_VALUES = 200_000

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,30}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,30}|(0|[1-9][0-9]{0,30})(\.[0-9]{0,30})?)")
_GO_INT = re.compile(
    r"([-+]?)(0x[0-9a-f]{1,30}|0b[01]{1,64}|0o[0-7]{1,30}|0|[1-9][0-9]{0,30})", re.IGNORECASE
)
_GO_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,30}|(0|[1-9][0-9]{0,30})(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?")
_MERGE = "<<"
_SPELLED = frozenset({int, float, bool})

# What PyYAML says of a scalar: written plainly (so its value decides), or in quotes.
_PLAIN = "tag:yaml.org,2002:null"
_TEXT = "tag:yaml.org,2002:str"
_COLLECTIONS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

_PLAINER = {
    "found character that cannot start any token": "a tab, or a character that needs quotes",
    "found a tab character that violates indentation": "a line begins with a tab",
    "mapping values are not allowed in this context": "a second `: ` on this line, or the indentation is off",
    "mapping values are not allowed here": "a second `: ` on this line, or the indentation is off",
    "did not find expected key": "the indentation is off",
    "could not find expected ':'": "a key has no `:`",
    "found unexpected end of stream": "a quote is never closed",
    "second occurrence": "two values have the same &name",
}


class _PlainResolver:
    """Leaves the meaning of plain scalars to `_scalar`; asked once per scalar, so it does next to nothing."""

    def resolve(self, kind: type, _value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return "tag:yaml.org,2002:map" if kind is yaml.MappingNode else "tag:yaml.org,2002:seq"

    def descend_resolver(self, _parent: Any, _index: Any) -> None: ...
    def ascend_resolver(self) -> None: ...


try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Reader(_PlainResolver, CParser):
        """libyaml: ten times as fast."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)

except ImportError:  # pragma: no cover - a PyYAML built without libyaml
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Reader(_PlainResolver, Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        """The same in Python."""

        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)

        def dispose(self) -> None: ...


def read_yaml(text: str, *, spelled: bool = False, tags: frozenset[str] = frozenset()) -> list[Document]:
    """All documents of the text; `spelled`: what is no text is a `Scalar`. Raises BrokenText.

    A value may have one of the `tags`, which its document tells; with any other it is refused.
    """
    try:
        reader = _Reader(text)
        documents = []
        while reader.check_node():
            node = reader.get_node()
            builder = _Builder(spelled=spelled, tags=tags)
            value = builder.value(node, 0)
            documents.append(Document(value, partial(_line, node), dict(builder.tagged(node, ()))))
        return documents
    except yaml.MarkedYAMLError as error:
        raise _broken(error) from error
    except yaml.YAMLError as error:
        raise _unreadable(text, error) from error
    except RecursionError as error:
        raise BrokenText(f"more than {_MAX_DEPTH} levels deep") from error


class _Builder:
    """Counts what it builds, references counted as often as they are used."""

    __slots__ = ("_known", "_tags", "count", "spelled")

    def __init__(self, *, spelled: bool, tags: frozenset[str] = frozenset()) -> None:
        self.count = 0
        self.spelled = spelled
        self._known = tags
        self._tags: dict[int, str] = {}

    def tagged(self, node: Any, path: Path) -> Iterator[tuple[Path, str]]:
        """What was built with one of the tags, by its path."""
        if not self._tags:
            return
        if (tag := self._tags.get(id(node))) is not None:
            yield path, tag
        if type(node) is yaml.MappingNode:
            for key, value in node.value:
                yield from self.tagged(value, (*path, str(key.value)))
        elif type(node) is yaml.SequenceNode:
            for index, value in enumerate(node.value):
                yield from self.tagged(value, (*path, index))

    def value(self, node: Any, depth: int) -> Any:
        self.count += 1
        if depth > _MAX_DEPTH:
            raise BrokenText(f"more than {_MAX_DEPTH} levels deep", line=_at(node))
        if self.count > _MAX_VALUES:
            raise BrokenText(
                "too many values, counting references (*name) as what they stand for", line=_at(node)
            )
        if node.tag in self._known:
            self._tags[id(node)] = node.tag
            node.tag = _untagged(node)
        if type(node) is yaml.ScalarNode:
            found = _go_number(_scalar(node), node) if self._known else _scalar(node)
            return Scalar(found, node.value) if self.spelled and type(found) in _SPELLED else found
        if node.tag not in _COLLECTIONS:
            raise _tagged(node)
        if type(node) is yaml.MappingNode:
            return self._mapping(node, depth + 1)
        return [self.value(item, depth + 1) for item in node.value]

    def _mapping(self, node: Any, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = plain(self.value(key_node, depth))
            if key == _MERGE and key_node.tag == _PLAIN:
                if merged and self._known:
                    raise BrokenText("this key stands there twice", key=_MERGE, line=_at(key_node))
                merged = self._merge(value_node, depth) | merged
                continue
            if isinstance(key, (dict, list)):
                raise BrokenText("a key has to be a word", line=_at(key_node))
            if key in result:
                raise BrokenText("this key stands there twice", key=str(key), line=_at(key_node))
            result[key] = self.value(value_node, depth)
        return merged | result if merged else result

    def _merge(self, node: Any, depth: int) -> dict[Any, Any]:
        """What `<<: *name` or `<<: [*a, *b]` brings in; the first of a list wins."""
        merged: dict[Any, Any] = {}
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.value(part, depth)
            if not isinstance(value, dict):
                raise BrokenText("<< takes keys over from a table", line=_at(part))
            merged = value | merged
        return merged


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.tag == _TEXT:
        return text
    if node.tag != _PLAIN:
        raise _tagged(node)
    # Most values are words.
    if text and text[0] not in "0123456789+-.tTfFnN~":
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return int(text, 0) if _HEX.fullmatch(text) else text


def _go_number(found: Any, node: Any) -> Any:
    """What a plain scalar is to go-yaml, where that is a number and it is text, or too large, otherwise."""
    text = node.value
    if node.tag != _PLAIN or not text or text[0] not in "0123456789+-.":
        return found
    bare = text.replace("_", "")
    if match := _GO_INT.fullmatch(bare):
        number = int(f"{match[1]}{match[2].lower()}", 0)
        return number if -(2**63) <= number < 2**64 else float(number)
    if _GO_FLOAT.fullmatch(bare) and math.isfinite(value := float(bare)):
        return value
    return found


def _untagged(node: Any) -> str:
    """What a node would have without its tag."""
    if type(node) is yaml.ScalarNode:
        return _TEXT if node.style else _PLAIN
    return "tag:yaml.org,2002:map" if type(node) is yaml.MappingNode else "tag:yaml.org,2002:seq"


def _tagged(node: Any) -> BrokenText:
    return BrokenText(
        f"the tag {node.tag} is not understood", line=_at(node), hint="leave out what begins with !"
    )


def _line(root: Any, path: Path) -> int | None:
    """The line of a key, or of the deepest parent that is written down."""
    node, line = root, _at(root)
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pairs: list[tuple[Any, Any]] = [pair for pair in node.value if str(pair[0].value) == str(step)]
            if not pairs:
                return line
            line, node = _at(pairs[0][0]), pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = _at(node)
        else:
            return line
    return line


def _at(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _broken(error: yaml.MarkedYAMLError) -> BrokenText:
    problem = error.problem or "it cannot be read"
    mark = error.problem_mark or error.context_mark
    hint = "indent with spaces, not tabs" if "tab" in _PLAINER.get(problem, "").split() else ""
    return BrokenText(
        f"this is not valid YAML: {_PLAINER.get(problem, problem)}",
        line=mark.line + 1 if mark else None,
        hint=hint,
    )


def _unreadable(text: str, error: yaml.YAMLError) -> BrokenText:
    """A character that YAML does not allow at all, such as a NUL."""
    position = getattr(error, "position", None)
    before = text.encode("utf-8", "replace")[:position] if isinstance(position, int) else b""
    reason = getattr(error, "reason", "it cannot be read")
    return BrokenText(f"this is not valid YAML: {reason}", line=before.count(b"\n") + 1)
