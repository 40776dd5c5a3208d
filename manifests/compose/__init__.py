"""A Compose file's text in; manifests, or problems, out: each service is run by the docker runtime. Pure.

    files ─► variables (`${VAR}`), env_file ─► merging ─► fields (a translator for each key) ─► model.Manifest
    values, words, ports, volumes     where Compose takes several spellings, one comes out
    ids                        what its services and its project are called
    around                     what its reader knows beside it
    translation                a service on its way

Imports documents and the model; files beside it are read by who calls. What is not translated is an error
that names key and line. What such a service has that other containers do not is told in `files`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.compose.around import NOBODY, Around
from manifests.compose.names import NAMES, is_compose, is_override

if TYPE_CHECKING:
    from manifests.compose.around import ReadFile
    from manifests.model.manifest import Manifest
    from manifests.model.snapshot import Problem

__all__ = ["NAMES", "Around", "is_compose", "is_override", "read_compose"]


def read_compose(
    source: str, file: str, folder: str, read: ReadFile, around: Around = NOBODY
) -> tuple[tuple[Manifest, ...], tuple[Problem, ...]]:
    """The services of a file in its order, or what is wrong; not both.

    `file` is its name in problems, `folder` the absolute path of where it lies.
    """
    # Loaded once there is a Compose file.
    from manifests.compose import files

    return files.read_compose(source, file, folder, read, around)
