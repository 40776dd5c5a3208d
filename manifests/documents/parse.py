"""A file's text into manifests, or into problems that name file, line and key.

A document that is wrong makes its whole file wrong: half of a file is not what its author meant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from manifests.documents.document import BrokenText, Document, no_line
from manifests.documents.explain import explain, format_path
from manifests.documents.scalars import coerce
from manifests.documents.text import read_documents
from manifests.model.base import printable
from manifests.model.manifest import Manifest, unbuilt
from manifests.model.snapshot import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from manifests.documents.document import LineOf, Path


#: Characters of a key that is no key.
_SHOWN = 100
_EMPTY_HINT = "delete the file to remove its services"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says. With problems there are no manifests.

    `beside`: path and text (None: there is none) of other files that this depends on. `warnings`: what is
    as it
    is written, and may not be as it is meant.
    """

    manifests: tuple[Manifest, ...] = ()
    problems: tuple[Problem, ...] = ()
    beside: tuple[tuple[str, str | None], ...] = ()
    warnings: tuple[Problem, ...] = ()


def parse_file(text: str, file: str, suffix: str) -> Parsed:
    """Reads a whole file; `file` is its name in problems, `suffix` (`.yaml`, `.toml` …) its language."""
    try:
        documents = [
            document for document in read_documents(text, suffix, spelled=True) if document.value is not None
        ]
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
    document = coerce(document, Manifest)
    service = _service(document)
    refused = unbuilt(document)
    problems = [*_unbuilt(refused, file, line_of), *_unprintable(document, file, line_of)]
    # What is refused by itself is left out, so that the rest is told as well.
    rest = {key: value for key, value in document.items() if key not in refused}
    rest = _with_printable_keys(rest) if problems else rest
    try:
        manifest = Manifest.model_validate(rest)
    except ValidationError as error:
        problems += explain(error, Manifest, rest, file=file, line_of=line_of, service=service)
    if not problems:
        return manifest, ()
    problems.sort(key=lambda problem: problem.line or 0)
    return None, tuple(replace(problem, service=service) for problem in problems)


def _unbuilt(refused: Mapping[str, str], file: str, line_of: LineOf) -> Iterator[Problem]:
    for key, feature in refused.items():
        message = f"it is for {feature}, which this version does not have yet"
        yield Problem(message, file, line_of((key,)), key, "leave it out")


def _unprintable(value: Any, file: str, line_of: LineOf, above: Path = ()) -> Iterator[Problem]:
    if isinstance(value, dict):
        for key, item in value.items():
            path = (*above, key)
            if not _is_printable(key):
                name = printable(format_path(path), _SHOWN)
                yield Problem("the key has characters that cannot be printed", file, line_of(path), name)
            else:
                yield from _unprintable(item, file, line_of, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unprintable(item, file, line_of, (*above, index))


def _with_printable_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_printable_keys(item) for key, item in value.items() if _is_printable(key)}
    return [_with_printable_keys(item) for item in value] if isinstance(value, list) else value


def _is_printable(key: Any) -> bool:
    return not isinstance(key, str) or key.isprintable()


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
