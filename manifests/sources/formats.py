"""A file as people write it, whichever of its forms: manifests, or a Compose file by its name."""

from __future__ import annotations

import os

from manifests.compose import is_compose, read_compose
from manifests.documents.document import BrokenText
from manifests.documents.parse import Parsed, parse_file
from manifests.sources.listing import read_text


def parse_manifests(text: str, file: str, suffix: str, *, within: str = "") -> Parsed:
    """Reads a whole file. `file` is its path: what a Compose file refers to is looked for beside it.

    `within`: the folder in which that has to be, since whoever wrote the file may read nothing else.
    """
    if _may_be_sealed(text) and _is_sealed(text, suffix):
        # Secrets of the manifests beside it.
        return Parsed()
    if not is_compose(file, text):
        return parse_file(text, file, suffix)
    beside: dict[str, str | None] = {}

    def read(path: str) -> str | None:
        beside[path] = None
        if within and not is_within(path, within):
            raise BrokenText(f"{path} is not in the same repository", hint="nothing else is read for it")
        beside[path] = _read_beside(path)
        return beside[path]

    manifests, problems = read_compose(text, file, os.path.dirname(os.path.abspath(file)), read)
    return Parsed(manifests, problems, tuple(beside.items()))


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
