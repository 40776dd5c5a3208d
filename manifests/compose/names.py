"""Which files are Compose files. All that a node needs of this folder that has none."""

from __future__ import annotations

import posixpath
import re

NAMES = frozenset({"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"})
#: The first of them that is there overrides the Compose file beside it, as Compose chooses.
OVERRIDES = (
    "compose.override.yml", "compose.override.yaml",
    "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
_MANIFEST = re.compile(r"^id\s*:", re.MULTILINE)


def is_compose(file: str, text: str) -> bool:
    """Whether a file's name is one of those that Compose looks for, and it is not the manifest of a service.

    One with the id `compose` has a file of that name too; in a Compose file no `id` stands on top.
    """
    return posixpath.basename(file).lower() in NAMES and not _MANIFEST.search(text)


def is_override(file: str, text: str) -> bool:
    """Whether a file is one that Compose merges into the Compose file beside it."""
    return posixpath.basename(file) in OVERRIDES and not _MANIFEST.search(text)
