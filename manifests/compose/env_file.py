"""The files that give variables their values: `.env` beside a Compose file, and what `env_file` names. Pure.

What stands there is read as Compose reads it:

    A=x # c      x: a comment begins after a blank; a tab is none, and neither is the value's beginning
    A: x         the same as A=x; so is export A=x
    A='it\\'s'    as it stands, but for \\'
    A="x\\n$B"    with escapes and variables, over several lines; what follows a closing quote is dropped
    A            has the value that A has elsewhere, if it has one
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from manifests.compose.variables import Unusable, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.variables import Missed

# What Go's parser takes for blanks; none of them ends a line.
_BLANK = r"[ \t\v\f\r\x85\xa0]"
_NAME = re.compile(rf"{_BLANK}*(?:export{_BLANK}+)?([A-Za-z0-9_.-]+){_BLANK}*(?:([=:]){_BLANK}*|$)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r'\\([ntr"\\])')


def read_variables(
    text: str,
    before: Mapping[str, str],
    *,
    earlier: Mapping[str, str] = MappingProxyType({}),
    missed: Missed = lambda _: None,
    literal: bool = False,
) -> dict[str, str | None]:
    """The variables of an env file; None for a name alone. Raises Unusable, naming the line.

    Variables in values are those of `before`, which win, of `earlier` files, and of the lines above; where
    values
    are `literal`, a dollar is one. `missed` hears of those that are nowhere.
    """
    found: dict[str, str | None] = {}
    # Only a line feed ends a line; form feeds and their like are characters as any other.
    lines = iter(enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name = _NAME.match(line)
        if name is None:
            raise Unusable(f"line {number} is not written like NAME=value")
        if name[2] is None:
            found[name[1]] = None
            continue
        written = line[name.end() :]
        while written[:1] in ("'", '"') and written and _end_of_quote(written) is None:
            more = next(lines, None)
            if more is None:
                raise Unusable(f"line {number}: a quote is never closed")
            written += "\n" + more[1]
        known = {name: value for name, value in found.items() if value is not None}
        try:
            found[name[1]] = _value(written, None if literal else {**known, **earlier, **before}, missed)
        except Unusable as error:
            hint = "; ".join(filter(None, (error.hint, "a value in single quotes is taken as it stands")))
            raise Unusable(f"line {number}: {error.message}", hint) from error
    return found


def read_raw(text: str) -> dict[str, str | None]:
    """The variables of a file whose `format` is raw: nothing in a line means more than itself."""
    lines = (line.strip() for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"))
    found: dict[str, str | None] = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, given, value = line.partition("=")
            found[name] = value if given else None
    return found


def _end_of_quote(written: str) -> int | None:
    """Where the quote that begins a value ends."""
    quote, at = written[0], 1
    while at < len(written):
        if written[at] == "\\":
            at += 1
        elif written[at] == quote:
            return at
        at += 1
    return None


def _value(written: str, known: Mapping[str, str] | None, missed: Missed) -> str:
    if written[:1] not in ("'", '"') or not written:
        plain = written.partition(" #")[0].rstrip()
        return plain if known is None else substitute(plain, known, missed)
    end = _end_of_quote(written)
    assert end is not None
    inner = written[1:end]
    if written[0] == "'":
        return inner.replace("\\'", "'")
    escaped = inner.replace("\\$", "$" if known is None else "$$")
    text = _ESCAPE.sub(lambda match: _ESCAPES[match[1]], escaped)
    return text if known is None else substitute(text, known, missed)
