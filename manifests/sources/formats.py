"""A file as people write it, whichever of its forms: manifests, or a Compose file by its name."""

from __future__ import annotations

import os

from manifests.compose import is_compose, read_compose
from manifests.documents.parse import Parsed, parse_file
from manifests.sources.listing import read_text


def parse_manifests(text: str, file: str, suffix: str) -> Parsed:
    """Reads a whole file. `file` is its path: what a Compose file refers to is looked for beside it."""
    if not is_compose(file, text):
        return parse_file(text, file, suffix)
    beside: dict[str, str | None] = {}

    def read(path: str) -> str | None:
        beside[path] = None
        beside[path] = _read_beside(path)
        return beside[path]

    manifests, problems = read_compose(text, file, os.path.dirname(os.path.abspath(file)), read)
    return Parsed(manifests, problems, tuple(beside.items()))


def _read_beside(path: str) -> str | None:
    try:
        return read_text(path)[0]
    except FileNotFoundError:
        return None
