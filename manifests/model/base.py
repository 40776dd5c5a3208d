"""What all parts of a manifest have in common: the tables, and what may stand in their texts and numbers.

Every text of a model is a `Text` or a `Content`, every number has its bounds: what no program, no kernel and
no terminal can take is refused where it was written, with its place, instead of failing where it arrives.
"""

from __future__ import annotations

import re
import reprlib
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

#: RFC 1123: what may be a label of a host name, because an id becomes a subdomain.
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

#: PATH_MAX of Linux; nothing that is a name, a path or a pattern is longer.
LONGEST_TEXT = 4096
#: MAX_ARG_STRLEN of Linux, in bytes, with the `NAME=` and the NUL of an environment variable.
LONGEST_CONTENT = 131_072
LONGEST_NAME = 255
#: Items of one list, and keys of one table, of a manifest.
MOST_ITEMS = 1000

_quote = reprlib.Repr()
_quote.maxstring = 80

_ROOM = LONGEST_CONTENT - LONGEST_NAME - 2
#: Controls, marks of direction and of nothing visible, surrogates, ends of lines and of paragraphs.
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Model(BaseModel):
    """Frozen, strict about unknown keys, camelCase outside."""

    @classmethod
    def key_of(cls, name: str) -> str:
        """How a field is written in files."""
        return cls.model_fields[name].alias or name

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        # Only Manifest is validated on its own; the others need no validator of theirs (saves start-up time).
        defer_build=True,
    )


def _one_line(text: str) -> str:
    if not text.isprintable() and (wrong := next(filter(_is_control, text), None)):
        raise ValueError(f"it has a character that cannot be printed, U+{ord(wrong):04X}")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it is longer than {LONGEST_TEXT} characters")
    return text


def _is_control(character: str) -> bool:
    """Spaces of other scripts, joined emoji and those newer than this Python are names that folders have."""
    return unicodedata.category(character) in _CONTROLS and character not in _JOINERS


def _content(text: str) -> str:
    if "\0" in text:
        raise ValueError("a value cannot contain a NUL character, U+0000: no program could get it")
    if found := _SURROGATE.search(text):
        raise ValueError(f"it has half of a character, U+{ord(found[0]):04X}, which no program could get")
    # A character is at most four bytes: most texts need no closer look.
    if len(text) > _ROOM // 4 and len(text.encode()) > _ROOM:
        raise ValueError("it is longer than the 128 KiB that a program can get; write it into a file")
    return text


#: One line: names, paths, references. Whatever shows it to a person can show it as it is.
Text = Annotated[str, AfterValidator(_one_line)]
#: What a program gets as it is written: several lines, tabs, escapes, but nothing that no program can get.
Content = Annotated[str, AfterValidator(_content)]
#: A number of attempts, successes, processes: what nobody could ever count to is a slip.
Count = Annotated[int, Field(ge=1, le=1_000_000)]


def not_a(value: object, what: str, right: str) -> ValueError:
    """For a value that is wrong by itself: which it is, what it is not, and how one is written."""
    return ValueError(f"{_quote.repr(value)} is not {what}; write {right}")


@dataclass(frozen=True, slots=True)
class Written:
    """The form of a text, with the words for one that has another: beside `Text` in an `Annotated`."""

    pattern: str
    what: str
    right: str

    def check(self, text: str) -> str:
        """The text itself. Raises ValueError."""
        if re.fullmatch(self.pattern, text) is None:
            raise not_a(text, self.what, self.right)
        return text

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^({self.pattern})$"}


def printable(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text as a terminal, a log or a JSON document may have it, whatever it was."""
    shown = text[:longest] if text.isprintable() else "".join(map(_shown, text[:longest]))
    return f"{shown}…" if len(text) > longest else shown


def _shown(character: str) -> str:
    return character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
