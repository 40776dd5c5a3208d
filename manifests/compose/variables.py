"""`${VAR}` in the texts of a Compose file. Pure.

The forms are Compose's: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?why}`, `${VAR?why}`,
`${VAR:+instead}`, `${VAR+instead}`, and `$$` for a dollar. What follows an operator may hold variables
itself.
A variable without a value is empty, which is told; a dollar that begins none of these is a dollar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from manifests.documents.document import Path

    #: Hears the name of each variable that has no value.
    Missed = Callable[[str], None]

# compose-go's template.go: `braced` is greedy, and cut where its brace is closed.
_REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?:(?P<braced>[A-Za-z_][A-Za-z0-9_]*(?::?[-+?].*)?)\}|(?P<broken>)))"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_DEEPEST = 20


class Unusable(Exception):
    """A text whose variables have no value, or that is not written as it should be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def interpolate(value: Any, variables: Mapping[str, str], path: Path, missed: Missed) -> Any:
    """The same value with its variables put in, keys left as they are. Raises Invalid."""
    if isinstance(value, str):
        try:
            return substitute(value, variables, missed)
        except Unusable as error:
            raise Invalid(path, error.message, error.hint) from error
    if isinstance(value, dict):
        return {key: interpolate(item, variables, (*path, str(key)), missed) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables, (*path, index), missed) for index, item in enumerate(value)]
    return value


def substitute(
    text: str, variables: Mapping[str, str], missed: Missed = lambda _: None, depth: int = 0
) -> str:
    """The text with its variables put in. Raises Unusable."""
    if depth > _DEEPEST:
        raise Unusable("defaults within defaults are too deep")
    done: list[str] = []
    at = 0
    while (found := _REFERENCE.search(text, at)) is not None:
        done.append(text[at : found.start()])
        at = found.end()
        if found["escaped"]:
            done.append("$")
        elif found["named"]:
            done.append(_value(found["named"], variables, missed))
        elif found["braced"] is None:
            raise Unusable(f"{text[found.start() :][:40]} names no variable", "write $$ for a dollar")
        else:
            at = _closing(text, found)
            done.append(_braced(text[found.start() + 2 : at - 1], variables, missed, depth))
    return "".join([*done, text[at:]])


def _closing(text: str, found: re.Match[str]) -> int:
    """Where a reference in braces is over: every brace counts, but for what follows an opening one."""
    opened, at = 0, found.start()
    while at < found.end():
        if text[at] == "}":
            opened -= 1
            if not opened:
                return at + 1
        elif text[at] == "{":
            opened += 1
            at += 1
        at += 1
    raise Unusable(f"{found[0][:40]} is never closed", "write $$ for a dollar")


def _braced(inner: str, variables: Mapping[str, str], missed: Missed, depth: int) -> str:
    name = _NAME.match(inner)
    assert name is not None
    rest = inner[name.end() :]
    if not rest:
        return _value(name[0], variables, missed)
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise Unusable(f"${{{inner}}} is not understood", "like ${NAME:-default} or ${NAME:?why}")
    value = variables.get(name[0])
    given = value is not None and (value != "" or operator[0][0] != ":")
    # Compose looks at it also where it is not needed.
    other = substitute(rest[operator.end() :], variables, missed, depth + 1)
    match operator[0][-1]:
        case "+":
            return other if given else ""
        case "?" if not given:
            hint = f"add {name[0]}=… to the .env beside the file"
            raise Unusable(f"{name[0]}: {other or 'it has to have a value'}", hint)
        case "-" if not given:
            return other
    return value or ""


def _value(name: str, variables: Mapping[str, str], missed: Missed) -> str:
    if name not in variables:
        missed(name)
    return variables.get(name, "")
