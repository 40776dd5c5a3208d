"""What pydantic found wrong, as sentences for the person who wrote the file."""

from __future__ import annotations

import difflib
import reprlib
import shlex
import types
from functools import cache
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

from manifests.model.snapshot import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from manifests.documents.document import LineOf, Path

_MUST_BE = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of a sensible size",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table of keys and values",
    "mapping_type": "a table of keys and values",
    "model_type": "a table of keys and values",
    "model_attributes_type": "a table of keys and values",
    "string_unicode": "text",
}
_LIMITS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
}


def explain(
    error: ValidationError,
    model: type[BaseModel],
    document: Any,
    *,
    file: str = "",
    line_of: LineOf,
    service: str = "",
) -> tuple[Problem, ...]:
    """One problem for each place that is wrong, in the order of the file where lines are known."""
    by_path: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_path.setdefault(_written_path(detail, document), []).append(detail)
    problems = []
    for path, details in by_path.items():
        if _is_other_branch(path, details, by_path):
            continue
        message, hint = _sentence(path, details, model)
        problems.append(Problem(message, file, line_of(path), format_path(path), hint, service))
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def unknown_key(key: str, model: type[BaseModel], parents: Path = ()) -> tuple[str, str]:
    """The sentence and the hint for a key that a table of `model` does not have."""
    known = known_keys(_model_at(model, parents) or model)
    plain = key.replace("-", "").replace("_", "").lower()
    for candidate in known:
        if candidate.lower() == plain:
            return "unknown key", f"did you mean {candidate}?"
    if close := difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return "unknown key", f"did you mean {close[0]}?"
    deeper = {name: ".".join(place) for name, place in reversed(_places(model)) if len(place) > 1}
    if close := difflib.get_close_matches(key, deeper, n=1, cutoff=0.8):
        return "unknown key", f"did you mean {deeper[close[0]]}?"
    return "unknown key", f"known keys are {', '.join(known)}"


def known_keys(model: type[BaseModel]) -> list[str]:
    """The keys of a table as they are written in files."""
    return [field.alias or name for name, field in model.model_fields.items()]


def format_path(path: Iterable[str | int]) -> str:
    """`probes.liveness.httpGet`, `dependsOn[0].id`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _written_path(detail: ErrorDetails, document: Any) -> Path:
    """The error's place as it is in the document: pydantic adds names of union branches and its own marks."""
    path: list[str | int] = []
    value = document
    steps = detail["loc"]
    for position, step in enumerate(steps):
        if isinstance(value, dict):
            if step in value or (detail["type"] == "missing" and position == len(steps) - 1):
                path.append(str(step))
                value = value.get(step)
        elif isinstance(value, (list, tuple)) and isinstance(step, int) and step < len(value):
            path.append(step)
            value = value[step]
    return tuple(path)


#: Errors of a union's branch that the value was not meant for, where another one has better ones.
_OTHER_BRANCHES = {"literal_error", "too_short", "bool_type"}


def _is_other_branch(path: Path, details: list[ErrorDetails], by_path: Mapping[Path, object]) -> bool:
    """What says nothing about a table or list whose parts were looked at one by one: `must be 'none'`."""
    deeper = any(len(other) > len(path) and other[: len(path)] == path for other in by_path)
    return deeper and all(detail["type"] in _OTHER_BRANCHES for detail in details)


def _sentence(path: Path, details: list[ErrorDetails], model: type[BaseModel]) -> tuple[str, str]:
    first = details[0]
    given = first.get("input")
    if first["type"] == "extra_forbidden":
        return unknown_key(str(path[-1]) if path else "", model, path[:-1])
    if first["type"] == "missing":
        return f"{path[-1]} is missing", f"every {_what(path)} needs it"
    if first["type"] == "invalid_key":
        return "a key has to be a word", "put it in quotes"
    if first["type"] == "value_error":
        return str(first.get("ctx", {}).get("error", first["msg"])), ""
    if first["type"] in {"too_short", "string_too_short"}:
        return "it cannot be empty", ""
    if first["type"] == "too_long":
        return f"it has more than {first['ctx']['max_length']} items", ""
    wanted = list(dict.fromkeys(_must_be(detail) for detail in details))
    # What stands in an environment may be a secret.
    shown = "" if path[:1] == ("env",) else f", not {_shown(given)}"
    return f"it must be {' or '.join(wanted)}{shown}", "" if not shown else _advice(
        {detail["type"] for detail in details}, given
    )


def _must_be(detail: ErrorDetails) -> str:
    if wanted := _MUST_BE.get(detail["type"]):
        return wanted
    if pattern := _LIMITS.get(detail["type"]):
        return pattern.format_map(detail.get("ctx", {}))
    return detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _advice(kinds: set[str], given: Any) -> str:
    if kinds & {"tuple_type", "list_type"} and isinstance(given, str) and len(given) < 200:
        if given.lower() in {"none", ""}:
            return "write [] for none"
        try:
            return f"write [{', '.join(shlex.split(given))}]"
        except ValueError:
            return "write a list, [one, two]"
    if "string_type" in kinds and isinstance(given, (int, float)):
        return f'put it in quotes: "{_shown(given)}"'
    return ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, (list, tuple)) else reprlib.repr(value)


def _what(path: Path) -> str:
    parents = [step for step in path[:-1] if isinstance(step, str)]
    return {"dependsOn": "dependency"}.get(parents[-1], parents[-1]) if parents else "service"


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of the table at a path; None where the path leads to something else."""
    current: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, str):
            current = _children(current).get(step) if current else None
    return current


def _children(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    found = {}
    for name, field in model.model_fields.items():
        for candidate in _models_in(field.annotation):
            found[field.alias or name] = candidate
            found[name] = candidate
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in {Union, types.UnionType, tuple, list}:
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return []


@cache
def _places(model: type[BaseModel], above: tuple[str, ...] = ()) -> list[tuple[str, tuple[str, ...]]]:
    """Every key anywhere below a model, with its path."""
    places = []
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        places.append((path[-1], path))
        for child in _models_in(field.annotation):
            places += _places(child, path)
    return places
