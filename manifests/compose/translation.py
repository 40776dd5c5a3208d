"""A service of a Compose file on its way to a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from manifests.compose.shared import Shared
    from manifests.documents.document import Path


@dataclass(slots=True)
class Translation:
    """One service on its way. `folder` is the file's; `read_env` reads an env file by its path as written.

    `volumes` are the names declared on top of the file, `variables` those for interpolation.
    """

    name: str
    folder: str
    read_env: Callable[[str, Path, bool], Mapping[str, str | None]]
    variables: Mapping[str, str]
    shared: Shared
    volumes: frozenset[str] = frozenset()
    manifest: dict[str, Any] = field(default_factory=dict)
    #: What it mounts of the file's secrets and configs, as a manifest has them.
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Name → value of env files, which `environment` wins over.
    from_files: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    dependencies: dict[str, tuple[str, Path]] = field(default_factory=dict)
    exposed: list[int] = field(default_factory=list)
    capabilities_added: list[str] = field(default_factory=list)
    capabilities_dropped: list[str] = field(default_factory=list)
    checked: bool = False
