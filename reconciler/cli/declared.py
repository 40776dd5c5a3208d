"""What stands in the node's own folder of manifests, read without the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.documents import SUFFIXES
from manifests.parse import parse_file

if TYPE_CHECKING:
    from pathlib import Path


def file_of(home: Path, service_id: str) -> Path:
    """Where `atek apply` keeps a service."""
    return home / "manifests" / f"{service_id}.yaml"


def declarations(home: Path) -> dict[str, list[Path]]:
    """Id → the files that declare it. Broken files declare nothing: the node's status tells about them."""
    declared: dict[str, list[Path]] = {}
    folder = home / "manifests"
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            for service_id in _ids(file):
                declared.setdefault(service_id, []).append(file)
    return declared


def _ids(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [manifest.id for manifest in parse_file(text, str(file), file.suffix).manifests]
