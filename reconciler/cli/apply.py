"""`atek apply`: manifests into the node's own folder, one file each, all of them or none.

The running node notices the files by itself; without a node they are there when the next one starts. What is
in the node's records already stays there: its record is written anew.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from manifests.compose import is_compose
from manifests.documents.document import BrokenText
from manifests.documents.scalars import coerce
from manifests.documents.text import SUFFIXES, read_documents
from manifests.model.manifest import Manifest
from manifests.packages.resolve import absolute_source
from manifests.sources.formats import parse_manifests
from reconciler.cli.recorded import recorded, replace
from reconciler.errors import UserError
from reconciler.state.compose_ids import kept_ids
from reconciler.state.mistakes import sentences
from reconciler.state.own_manifests import declarations, require_own, write_manifest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterator, Sequence

    from manifests.compose.ids import KeptIds


@dataclass(frozen=True, slots=True)
class Wanted:
    """One service to be declared: its manifest as plain values, and where it came from."""

    id: str
    value: dict[str, Any]
    origin: str


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError, with nothing changed, when one manifest is wrong or declared elsewhere."""
    home: Path = arguments.home
    wanted = list(read_manifests(arguments.path, kept_ids(home)))
    _refuse_twice(wanted)
    _refuse_declared_elsewhere(wanted, home)
    before = None
    if arguments.wait:
        from reconciler.cli.rollout import Rollout

        before = Rollout(home)
    in_records = recorded(home) - declarations(home).keys()
    results = {service.id: _declare(home, service, in_records) for service in wanted}
    for service_id, result in results.items():
        print(f"{service_id} {result}", flush=True)
    if before is None:
        return 0
    return before.wait(results, seconds=arguments.wait)


def _declare(home: Path, service: Wanted, in_records: Collection[str]) -> str:
    if service.id not in in_records:
        return write_manifest(home, service.id, service.value)
    replace(home, service.value)
    return "configured"


def read_manifests(path: str, ids: KeptIds = MappingProxyType({})) -> Iterator[Wanted]:
    """What a file, a folder of them, or stdin declares, sources made absolute. Raises UserError.

    `ids`: those that services of Compose files keep.
    """
    if path == "-":
        yield from _read(sys.stdin.read(), "stdin", ".yaml", os.getcwd(), ids)
        return
    for file in _files(Path(path)):
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{file} is not UTF-8 text", hint="save it as UTF-8") from None
        yield from _read(text, str(file), file.suffix, str(file.absolute().parent), ids)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise UserError(f"there is no {path}", hint="name a manifest file, or a folder of them")
    if not path.is_dir():
        return [path]
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
    if not files:
        raise UserError(f"{path} has no manifests", hint="they end in .yaml, .toml or .json")
    return files


def _read(text: str, name: str, suffix: str, base: str, ids: KeptIds) -> Iterator[Wanted]:
    """The documents of one file. Raises UserError naming file, line and key of what is wrong."""
    parsed = parse_manifests(text, name, suffix, ids=ids)
    if problems := parsed.problems:
        message, hint = sentences(problems)
        raise UserError(message, hint=hint)
    for warning in parsed.warnings:
        print(f"atek: warning: {warning}", file=sys.stderr)
    if not parsed.manifests:
        # A file of secrets, which lies beside manifests and is none.
        return
    values = map(_written, parsed.manifests) if is_compose(name, text) else _values(text, suffix)
    for value in values:
        yield Wanted(value["id"], _absolute(value, base), name)


def _written(manifest: Manifest) -> dict[str, Any]:
    value: dict[str, Any] = manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return value


def _values(text: str, suffix: str) -> Iterator[dict[str, Any]]:
    """The plain values of a file that `parse_manifests` found nothing wrong with."""
    try:
        documents = [document.value for document in read_documents(text, suffix, spelled=True)]
    except BrokenText as error:
        raise UserError(error.message, hint=error.hint) from error
    for value in documents:
        if suffix.lower() == ".toml" and isinstance(value.get("services"), list):
            yield from (coerce(service, Manifest) for service in value["services"])
        elif value is not None:
            yield coerce(value, Manifest)


def _absolute(value: dict[str, Any], base: str) -> dict[str, Any]:
    """A copy whose package folder and secrets are found from anywhere: they begin at the author's file."""
    secrets = {
        name: each | {"file": os.path.join(base, os.path.expanduser(each["file"]))}
        if isinstance(each.get("file"), str)
        else each
        for name, each in (value.get("secrets") or {}).items()
    }
    value = value | ({"secrets": secrets} if secrets else {})
    source = value.get("source")
    return value | {"source": absolute_source(source, base)} if isinstance(source, str) else value


def _refuse_twice(wanted: Sequence[Wanted]) -> None:
    seen: dict[str, str] = {}
    for service in wanted:
        if service.id in seen:
            raise UserError(
                f"{service.id} is declared in {seen[service.id]} and again in {service.origin}",
                hint="give one of the two another id",
            )
        seen[service.id] = service.origin


def _refuse_declared_elsewhere(wanted: Sequence[Wanted], home: Path) -> None:
    """A second file with the same id in one folder would leave it open which of the two counts."""
    declared = declarations(home)
    for service in wanted:
        require_own(home, service.id, declared, hint="edit that file: the node notices when you save it")
