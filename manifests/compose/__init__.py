"""A Compose file's text in; manifests, or problems, out: each service is run by the docker runtime. Pure.

    files ─► variables (`${VAR}`), env_file ─► merging ─► fields (a translator for each key) ─► model.Manifest
    values, ports, volumes     where Compose takes several spellings, one comes out
    translation                a service on its way

Imports documents and the model; files beside it are read by who calls. What is not translated is an error
that names key and line. What such a service has that other containers do not is told in `files`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.compose.names import NAMES, is_compose, is_override

if TYPE_CHECKING:
    from manifests.compose.files import ReadFile
    from manifests.model.manifest import Manifest
    from manifests.model.snapshot import Problem

__all__ = ["NAMES", "is_compose", "is_override", "read_compose"]


def read_compose(
    source: str, file: str, folder: str, read: ReadFile
) -> tuple[tuple[Manifest, ...], tuple[Problem, ...]]:
    """See `files`, which is loaded once there is a Compose file."""
    from manifests.compose import files

    return files.read_compose(source, file, folder, read)
