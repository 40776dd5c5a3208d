"""Every text and every number of the models has its bounds, and beyond them a sentence, no failure."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Le, Len, MaxLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from manifests.documents.parse import parse_manifest
from manifests.model.base import Content, Text, printable
from manifests.model.manifest import Manifest
from manifests.model.policy import Policy
from manifests.model.spec import Duration, Size
from reconciler.state.settings import _FileValues

_TEXTS = tuple(get_args(each)[1] for each in (Text, Content))
_NUMBERS = tuple(get_args(each)[1] for each in (Duration, Size))


def unbounded(model: type[BaseModel], seen: set[type]) -> list[str]:
    """The places of a model where anything goes."""
    seen.add(model)
    found = []
    for name, field in model.model_fields.items():
        found += [
            f"{model.__name__}.{name}: {what}"
            for what in _open(field.annotation, tuple(field.metadata), seen)
        ]
    return found


def _open(annotation: Any, metadata: tuple[Any, ...], seen: set[type]) -> list[str]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _open(parts[0], (*metadata, *_flat(parts[1:])), seen)
    if origin in (Union, types.UnionType):
        return [what for part in parts for what in _open(part, metadata, seen)]
    if origin in (tuple, list, dict):
        bounded = any(isinstance(each, (MaxLen, Len)) for each in metadata)
        inner = [what for part in parts if part is not ... for what in _open(part, (), seen)]
        return [*inner, *([] if bounded else [f"{origin.__name__} of any length"])]
    if annotation is str and not any(text in metadata for text in _TEXTS):
        return ["any text"]
    if annotation in (int, float) and not any(isinstance(each, Le) or each in _NUMBERS for each in metadata):
        return ["any number"]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        return unbounded(annotation, seen)
    return []


def _flat(metadata: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        inner for each in metadata for inner in (each.metadata if isinstance(each, FieldInfo) else [each])
    )


@pytest.mark.parametrize("model", [Manifest, Policy])
def test_all_of_a_model_is_bounded(model: type[BaseModel]) -> None:
    assert unbounded(model, set()) == []


def test_settings_have_no_unbounded_text_or_number() -> None:
    assert [
        each for each in unbounded(_FileValues, set()) if "any text" in each or "any number" in each
    ] == []


def test_the_search_finds_what_it_looks_for() -> None:
    class Loose(BaseModel):
        a: str
        b: int | None
        c: tuple[Literal["x"], ...]
        d: Literal["auto"] | float = 1

    assert len(unbounded(Loose, set())) == 4


def wrong(**given: Any) -> list[str]:
    manifest, problems = parse_manifest({"id": "a", "source": ".", **given})
    assert manifest is None
    return [str(problem) for problem in problems]


HOSTILE = ["a\0b", "a\ud800", "\x1b[2J", "a\nb", "\u202eb", "\x7f", "a\u2028b"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("key", ["id", "source", "image", "user", "isolation"])
def test_one_line_has_only_what_can_be_printed(key: str, text: str) -> None:
    (problem,) = wrong(**{key: text})
    assert problem.startswith(f"{key}: ") and problem.isprintable()


@pytest.mark.parametrize(
    "text", ["a\0b", "a\ud800", "\udfff", "x" * 131_072, "ä" * 70_000], ids=lambda text: ascii(text[:3])
)
@pytest.mark.parametrize(
    "given",
    [lambda text: {"env": {"A": text}}, lambda text: {"command": ["x", text]},
     lambda text: {"probes": {"liveness": {"exec": {"command": [text]}}}},
     lambda text: {"runtime": "docker", "labels": {"a": text}},
     lambda text: {"build": {"args": {"A": text}}}],
)  # fmt: skip
def test_a_value_has_only_what_a_program_can_get(given: Any, text: str) -> None:
    (problem,) = wrong(**given(text))
    assert problem.isprintable() and len(problem) < 300


def test_values_have_lines_tabs_and_escapes() -> None:
    text = "one\n\ttwo\x1b[0m \u200d\r\n"
    manifest, _ = parse_manifest({"id": "a", "command": ["x", text], "env": {"A": text}})
    assert manifest and manifest.env == {"A": text} and manifest.command == ("x", text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"resources": {"memory": 10**30}}, f"resources.memory: {10**30} is not a size of at most 1024Ti"),
        ({"resources": {"memory": 10**400}}, "is not a size of at most 1024Ti"),
        ({"resources": {"memory": "9" * 400 + "Gi"}}, "is not a size of at most 1024Ti"),
        ({"resources": {"memory": "0.1"}}, "'0.1' is not a size"),
        ({"resources": {"cpu": float("nan")}}, "resources.cpu: it must be a finite number"),
        ({"resources": {"cpu": "inf"}}, "resources.cpu: it must be a finite number"),
        ({"resources": {"cpu": 10**400}}, "resources.cpu: it must be a number"),
        ({"resources": {"cpu": 1e-9}}, "resources.cpu: it must be at least 0.001"),
        ({"resources": {"pids": 10**30}}, "resources.pids: it must be at most 4194304"),
        ({"restart": {"maxDelay": 10**400}}, "is not between 0 and 3650d"),
        ({"restart": {"maxDelay": float("nan")}}, "restart.maxDelay: nan is not between 0 and 3650d"),
        ({"restart": {"maxDelay": "9" * 400 + "d"}}, "is not a duration of at most 3650d"),
        ({"replicas": 10**400}, "replicas: it must be at most 100"),
        ({"probes": {"liveness": {"httpGet": "/", "periodSeconds": "inf"}}}, "it must be a finite number"),
        ({"probes": {"liveness": {"httpGet": "/", "periodSeconds": 1e-300}}}, "it must be at least 0.001"),
        (
            {"probes": {"liveness": {"httpGet": "/", "failureThreshold": 10**30}}},
            "it must be at most 1000000",
        ),
        ({"env": {f"A{index}": "" for index in range(1001)}}, "env: it has more than 1000"),
        ({"command": ["x"] * 1001}, "command: it has more than 1000"),
        ({"source": "x" * 5000}, "source: it is longer than 4096 characters"),
    ],
)
def test_numbers_and_lengths_have_an_end(given: dict[str, Any], expected: str) -> None:
    (problem,) = wrong(**given)
    assert expected in problem and len(problem) < 300


def test_keys_that_nobody_could_print_are_named_so_that_one_can() -> None:
    problems = wrong(**{"a\ud800\x1b": 1, "x" * 100_000: 2})
    assert all(problem.isprintable() and len(problem) < 10_000 for problem in problems)
    assert len(problems) == 2


def test_printable() -> None:
    assert printable("a\x1b\ud800\nb") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\nb"
    assert printable("abc", 2) == "ab…"


def test_a_model_refuses_by_itself() -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({"id": "a", "source": "a\0"})
