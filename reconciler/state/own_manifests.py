"""The manifests that the node keeps for others: one file a service in its own folder, `manifests/<id>.yaml`.

`atek apply`, `atek delete` and the services API write there, the node reads it like any other source. What
a person wrote into other files, or together with other services into one, is left to that person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifests.documents.text import SUFFIXES
from manifests.files import write_atomically
from manifests.sources.formats import parse_manifests
from reconciler.errors import UserError
from reconciler.state.compose_ids import kept_ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from manifests.compose.ids import KeptIds

    #: Id → the files that declare it.
    Declarations = Mapping[str, Sequence[Path]]


def file_of(home: Path, service_id: str) -> Path:
    """Where the node keeps a service's manifest."""
    return home / "manifests" / f"{service_id}.yaml"


def declarations(home: Path) -> dict[str, list[Path]]:
    """What stands in the node's own folder, read without the node.

    Broken files declare nothing: the node's status tells about them.
    """
    declared: dict[str, list[Path]] = {}
    folder, kept = home / "manifests", kept_ids(home)
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            for service_id in _ids(file, kept):
                declared.setdefault(service_id, []).append(file)
    return declared


def require_own(home: Path, service_id: str, declared: Declarations, *, hint: str) -> None:
    """Raises UserError when another file declares the service too, or its file declares other services."""
    own = file_of(home, service_id)
    others = [file for file in declared.get(service_id, ()) if file != own]
    if others:
        raise UserError(f"{service_id} is declared in {others[0]}", hint=hint)
    beside = sorted(name for name, files in declared.items() if own in files and name != service_id)
    if beside:
        raise UserError(f"{own} declares other services too: {', '.join(beside)}", hint=hint)


def manifest_text(value: Mapping[str, Any]) -> str:
    """A manifest as the node writes it down."""
    import yaml

    text: str = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)
    return text


def write_manifest(home: Path, service_id: str, value: Mapping[str, Any]) -> str:
    """Says whether the file was created, configured or unchanged. Raises OSError with nothing changed."""
    text = manifest_text(value).encode()
    file = file_of(home, service_id)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        old = file.read_bytes()
    except FileNotFoundError:
        old = None
    if old == text:
        return "unchanged"
    write_atomically(file, text)
    return "created" if old is None else "configured"


def _ids(file: Path, kept: KeptIds) -> list[str]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [manifest.id for manifest in parse_manifests(text, str(file), file.suffix, ids=kept).manifests]
