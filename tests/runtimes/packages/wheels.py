"""Wheels of the tests, and an installer that knows no others."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

_TELL = "def tell():\n    import sys\n    print(sys.prefix)\n"


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    needs: tuple[str, ...] = (),
    *,
    scripts: Mapping[str, str] | None = None,
    python: str = ">=3",
) -> str:
    """A package whose module has its version as VERSION, and tells its environment.

    Returns its hash as locks write it.
    """
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}\n"]
    metadata += [f"Requires-Dist: {each}\n" for each in needs]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"VERSION = {version!r}\n{_TELL}")
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "".join(metadata))
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        lines = [f"{script} = {place}\n" for script, place in (scripts or {}).items()]
        archive.writestr(
            f"{name}-{version}.dist-info/entry_points.txt", "[console_scripts]\n" + "".join(lines)
        )
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def only_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv finds these wheels, and asks nobody."""
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
