"""A file's text into manifests, or into problems that name file, line and key.

A document that is wrong makes its whole file wrong: half of a file is not what its author meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from manifests.documents import BrokenText, Document, no_line, read_documents
from manifests.explain import explain
from manifests.model import Manifest, refuse_unbuilt
from manifests.snapshot import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.documents import LineOf


_EMPTY_HINT = "delete the file to remove its services"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says. With problems there are no manifests.

    `beside`: path and text (None: there is none) of other files that this depends on.
    """

    manifests: tuple[Manifest, ...] = ()
    problems: tuple[Problem, ...] = ()
    beside: tuple[tuple[str, str | None], ...] = ()


def parse_file(text: str, file: str, suffix: str) -> Parsed:
    """Reads a whole file; `file` is its name in problems, `suffix` (`.yaml`, `.toml` …) its language."""
    try:
        documents = [document for document in read_documents(text, suffix) if document.value is not None]
    except BrokenText as error:
        return Parsed((), (Problem(error.message, file, error.line, error.key, error.hint),))
    if suffix.lower() == ".toml":
        documents = list(_tables(documents))
    if not documents:
        return Parsed((), (Problem("the file declares no service", file, hint=_EMPTY_HINT),))
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for document in documents:
        manifest, wrong = parse_manifest(document.value, file, document.line_of)
        problems += wrong
        if manifest is not None:
            manifests.append(manifest)
    return Parsed((), tuple(problems)) if problems else Parsed(tuple(manifests))


def parse_manifest(
    document: Any, file: str = "", line_of: LineOf = no_line
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """One manifest from a plain value, or why not; exactly one of the two is there."""
    if not isinstance(document, dict):
        return None, (
            Problem("a service is written as keys and values", file, line_of(()), hint="id: notes"),
        )
    if any(_refused(key, value) for key, value in document.items()):
        return None, tuple(_unbuilt(document, file, line_of))
    try:
        return Manifest.model_validate(document), ()
    except ValidationError as error:
        service = _service(document)
        return None, explain(error, Manifest, document, file=file, line_of=line_of, service=service)


def _unbuilt(document: dict[str, Any], file: str, line_of: LineOf) -> Iterator[Problem]:
    for key, value in document.items():
        if refused := _refused(key, value):
            path, feature = refused
            message = f"it is for {feature}, which this version does not have yet"
            line = line_of(tuple(path.split(".")))
            yield Problem(message, file, line, path, "leave it out", _service(document))


def _refused(key: Any, value: Any) -> tuple[str, str] | None:
    """A key's path and the missing feature that it belongs to, also where the key has no value."""
    return refuse_unbuilt({key: "" if value is None else value})


def _service(document: dict[str, Any]) -> str:
    name = document.get("id")
    return name if isinstance(name, str) else ""


def _tables(documents: list[Document]) -> Iterator[Document]:
    """A TOML file is one manifest, or holds several as `[[services]]` and nothing else."""
    for document in documents:
        services = document.value.get("services")
        if not isinstance(services, list) or len(document.value) > 1:
            if document.value:
                yield document
            continue
        for index, value in enumerate(services):
            yield Document(value, _below(document.line_of, index))


def _below(line_of: LineOf, index: int) -> LineOf:
    return lambda path: line_of(("services", index, *path))
