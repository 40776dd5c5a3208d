"""`${VAR}` in the texts of a Compose file, and the files that give variables their values. Pure.

The forms are Compose's: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?why}`, `${VAR?why}`,
`${VAR:+instead}`, `${VAR+instead}`, and `$$` for a dollar. Defaults may hold variables themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.documents import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:=(.*))?", re.DOTALL)
_COMMENT = re.compile(r"\s+#.*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r'\\([ntr"\\])')
_DEEPEST = 20


class Unusable(Exception):
    """A text whose variables have no value, or that is not written as it should be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def interpolate(value: Any, variables: Mapping[str, str], path: Path) -> Any:
    """The same value with its variables put in, keys left as they are. Raises Wrong."""
    if isinstance(value, str):
        try:
            return substitute(value, variables)
        except Unusable as error:
            raise Wrong(path, error.message, error.hint) from error
    if isinstance(value, dict):
        return {key: interpolate(item, variables, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables, (*path, index)) for index, item in enumerate(value)]
    return value


def substitute(text: str, variables: Mapping[str, str], depth: int = 0) -> str:
    """Raises Unusable."""
    if depth > _DEEPEST:
        raise Unusable("defaults within defaults are too deep")
    done: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        done.append(text[at:dollar])
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


def read_variables(text: str, before: Mapping[str, str]) -> dict[str, str | None]:
    """The variables of an env file; None for a name without `=`. Raises Unusable, naming the line.

    Unquoted and double-quoted values may hold variables: those of the lines above and those of `before`.
    """
    found: dict[str, str | None] = {}
    lines = iter(enumerate(text.removeprefix("\ufeff").splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise Unusable(f"line {number} is not written like NAME=value")
        if match[2] is None:
            found[match[1]] = None
            continue
        written = match[2].strip()
        while written[:1] in ("'", '"') and written and _end_of_quote(written) is None:
            more = next(lines, None)
            if more is None:
                raise Unusable(f"line {number}: a quote is never closed")
            written += "\n" + more[1]
        known = {**before, **{name: value for name, value in found.items() if value is not None}}
        try:
            found[match[1]] = _unquoted(written, known)
        except Unusable as error:
            raise Unusable(f"line {number}: {error.message}", error.hint) from error
    return found


def _end_of_quote(written: str) -> int | None:
    """Where the quote that begins a value ends."""
    quote, at = written[0], 1
    while at < len(written):
        if written[at] == "\\" and quote == '"':
            at += 1
        elif written[at] == quote:
            return at
        at += 1
    return None


def _unquoted(written: str, known: Mapping[str, str]) -> str:
    if not written or written[0] not in "'\"":
        return substitute(_COMMENT.sub("", f" {written}", count=1).strip(), known)
    end = _end_of_quote(written)
    assert end is not None
    rest = written[end + 1 :].strip()
    if rest and not rest.startswith("#"):
        raise Unusable("something follows after the quote")
    inner = written[1:end]
    if written[0] == "'":
        return inner
    return substitute(_ESCAPE.sub(lambda match: _ESCAPES[match[1]], inner.replace("\\$", "$$")), known)
