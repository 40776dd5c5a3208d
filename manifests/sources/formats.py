"""A file as people write it, whichever of its forms: manifests, or a Compose file by its name."""

from __future__ import annotations

import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from manifests.compose import NAMES, Around, is_compose, is_override, read_compose
from manifests.documents.document import BrokenText
from manifests.documents.parse import Parsed, parse_file
from manifests.documents.text import read_documents
from manifests.model.snapshot import Problem
from manifests.sources.listing import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.ids import KeptIds


#: A key `id` on top of a manifest that nobody can read.
_ID = re.compile(r"""^["']?id["']?\s*[:=]""", re.MULTILINE)


def parse_manifests(
    text: str,
    file: str,
    suffix: str,
    *,
    within: str = "",
    kept: Mapping[str, str | None] | None = None,
    ids: KeptIds = MappingProxyType({}),
    root: str = "",
) -> Parsed:
    """Reads a whole file. `file` is its path: what a Compose file refers to is looked for beside it.

    `within`: the folder in which that has to be, since whoever wrote the file may read nothing else.
    `kept`: what lay beside it at another time, which counts instead of what lies there now. `ids` and
    `root`: see
    `compose.Around`.
    """
    if _may_be_sealed(text) and _is_sealed(text, suffix):
        # Secrets of the manifests beside it.
        return Parsed()
    if is_override(file, text):
        return _of_override(file)
    if not is_compose(file, text):
        parsed = parse_file(text, file, suffix)
        return parsed if parsed.manifests or _has_id(text, suffix) else _of_others(file, parsed)
    beside: dict[str, str | None] = {}

    def read(path: str) -> str | None:
        beside[path] = None if kept is None else kept.get(path)
        if kept is not None:
            return beside[path]
        if within and not is_within(path, within):
            raise BrokenText(f"{path} is not in the same repository", hint="nothing else is read for it")
        beside[path] = _read_beside(path)
        return beside[path]

    warnings: list[Problem] = []
    around = Around(home="" if within else os.path.expanduser("~"), warn=warnings.append, kept=ids, root=root)
    folder = os.path.dirname(os.path.abspath(file))
    manifests, problems = read_compose(text, file, folder, read, around)
    return Parsed(manifests, problems, tuple(beside.items()), tuple(warnings))


def _has_id(text: str, suffix: str) -> bool:
    try:
        values = [each.value for each in read_documents(text, suffix)]
    except BrokenText:
        return _ID.search(text) is not None
    tables = [each for each in values if isinstance(each, dict)]
    listed = (each.get("services") for each in tables)
    more = [one for each in listed if isinstance(each, list) for one in each if isinstance(one, dict)]
    return any("id" in each for each in (*tables, *more))


def _of_others(file: str, parsed: Parsed) -> Parsed:
    """Beside a Compose file lie the files of its services: what has no id at all is no manifest there."""
    beside = {os.path.join(os.path.dirname(os.path.abspath(file)), name): None for name in sorted(NAMES)}
    if any(map(os.path.isfile, beside)):
        return Parsed()
    return Parsed((), parsed.problems, tuple(beside.items()))


def _of_override(file: str) -> Parsed:
    """It has no services of its own, and is read with the Compose file beside it."""
    folder = os.path.dirname(os.path.abspath(file))
    beside = {os.path.join(folder, name): None for name in sorted(NAMES)}
    if any(map(os.path.isfile, beside)):
        return Parsed((), (), ())
    problem = Problem("there is no Compose file beside it that it could override", file, hint="compose.yaml")
    return Parsed((), (problem,), tuple(beside.items()))


def _may_be_sealed(text: str) -> bool:
    return "ENC[AES256_GCM," in text


def _is_sealed(text: str, suffix: str) -> bool:
    from manifests.sops.document import is_sealed, store_of

    return is_sealed(text.encode("utf-8", "surrogatepass"), store_of(suffix))


def is_within(path: str, folder: str) -> bool:
    """Whether a path leads into the folder, wherever links of it lead."""
    folder = os.path.realpath(folder)
    return os.path.commonpath((os.path.realpath(path), folder)) == folder


def _read_beside(path: str) -> str | None:
    try:
        return read_text(path)[0]
    except FileNotFoundError:
        return None
