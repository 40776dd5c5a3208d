"""`${VAR}` in the texts of a Compose file. Pure.

The forms are Compose's: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?why}`, `${VAR?why}`,
`${VAR:+instead}`, `${VAR+instead}`, and `$$` for a dollar. Defaults may hold variables themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.documents.document import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BEGINS = re.compile(r"\$(\$|\{|[A-Za-z_])")
_OPERATOR = re.compile(r":?[-?+]")
_DEEPEST = 20


class Unusable(Exception):
    """A text whose variables have no value, or that is not written as it should be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def interpolate(value: Any, variables: Mapping[str, str], path: Path) -> Any:
    """The same value with its variables put in, keys left as they are. Raises Invalid."""
    if isinstance(value, str):
        try:
            return substitute(value, variables)
        except Unusable as error:
            raise Invalid(path, error.message, error.hint) from error
    if isinstance(value, dict):
        return {key: interpolate(item, variables, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables, (*path, index)) for index, item in enumerate(value)]
    return value


def substitute(text: str, variables: Mapping[str, str], depth: int = 0, *, lone_dollars: bool = False) -> str:
    """`lone_dollars`: a $ that begins no variable is one. Raises Unusable."""
    if depth > _DEEPEST:
        raise Unusable("defaults within defaults are too deep")
    done: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        done.append(text[at:dollar])
        if lone_dollars and not _BEGINS.match(text, dollar):
            done.append("$")
            at = dollar + 1
            continue
        piece, at = _reference(text, dollar + 1, variables, depth)
        done.append(piece)
    return "".join([*done, text[at:]])


def _reference(text: str, at: int, variables: Mapping[str, str], depth: int) -> tuple[str, int]:
    """What stands for the reference whose dollar ends before `at`, and where the text goes on."""
    if text.startswith("$", at):
        return "$", at + 1
    if text.startswith("{", at):
        end = _closing(text, at + 1)
        return _braced(text[at + 1 : end], variables, depth), end + 1
    name = _NAME.match(text, at)
    if name is None:
        raise Unusable("a $ that begins no variable", "write $$ for a dollar")
    return _value(name[0], variables), name.end()


def _closing(text: str, at: int) -> int:
    open_braces = 1
    for index in range(at, len(text)):
        if text.startswith("${", index):
            open_braces += 1
        elif text[index] == "}":
            open_braces -= 1
            if not open_braces:
                return index
    raise Unusable("a ${ is never closed", "write $$ for a dollar")


def _braced(inner: str, variables: Mapping[str, str], depth: int) -> str:
    name = _NAME.match(inner)
    if name is None:
        raise Unusable(f"${{{inner}}} names no variable", "write $$ for a dollar")
    rest = inner[name.end() :]
    if not rest:
        return _value(name[0], variables)
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise Unusable(f"${{{inner}}} is not understood", "like ${NAME:-default} or ${NAME:?why}")
    value = variables.get(name[0])
    given = value is not None and (value != "" or operator[0][0] != ":")
    other = rest[operator.end() :]
    match operator[0][-1]:
        case "+":
            return substitute(other, variables, depth + 1) if given else ""
        case "?" if not given:
            why = substitute(other, variables, depth + 1)
            raise Unusable(f"{name[0]}: {why or 'it has to have a value'}", _where(name[0]))
        case "-" if not given:
            return substitute(other, variables, depth + 1)
    return value or ""


def _value(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise Unusable(f"the variable {name} has no value", f"{_where(name)}, or write ${{{name}:-default}}")
    return variables[name]


def _where(name: str) -> str:
    return f"add {name}=… to the .env beside the file"
