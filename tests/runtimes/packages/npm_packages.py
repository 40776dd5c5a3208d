"""npm packages as tarballs, so that tools install them without any registry."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def tarball(place: Path, name: str, version: str = "1.0.0", *, files: dict[str, str], **more: Any) -> str:
    """Writes one into a folder and returns how a package.json depends on it."""
    place.mkdir(parents=True, exist_ok=True)
    described = {"name": name, "version": version, **more}
    path = place / f"{name}-{version}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in {"package.json": json.dumps(described), **files}.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"package/{file}")
            entry.size, entry.mode = len(data), 0o755 if text.startswith("#!") else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return f"file:{path}"
