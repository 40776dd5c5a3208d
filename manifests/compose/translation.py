"""A service of a Compose file on its way to a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from manifests.compose.values import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.shared import Shared
    from manifests.documents.document import Path


class ReadEnv(Protocol):
    """The variables of an env file; None for a name alone. Raises Invalid."""

    def __call__(
        self,
        name: str,
        path: Path,
        *,
        required: bool,
        raw: bool = False,
        own: Mapping[str, str] = MappingProxyType({}),
        earlier: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, str | None]: ...


@dataclass(slots=True)
class Translation:
    """One service on its way. `folder` is the file's; `read_env` reads an env file, by its path as written.

    It gets what the service's own environment says, and earlier env files did. `home` is what `~` means,
    empty where it means nothing.
    `volumes` are the names declared on top of the file, `variables` those for interpolation.
    """

    name: str
    folder: str
    read_env: ReadEnv
    variables: Mapping[str, str]
    shared: Shared
    volumes: frozenset[str] = frozenset()
    home: str = ""
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
    env_files: list[tuple[Any, Path]] = field(default_factory=list)
    #: Names in `environment` that have no value there, nor anywhere else.
    without_value: set[str] = field(default_factory=set)
    engine: dict[str, Any] = field(default_factory=dict)
    #: What is left out, and why nothing is lost by that.
    ignored: list[tuple[Path, str]] = field(default_factory=list)
    #: Times of the image's own health check.
    health: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)

    def said_once(self, what: str, value: Any, path: Path) -> None:
        """A limit has two places in a file; both have to say the same. Raises Invalid."""
        if self.said.setdefault(what, value) != value:
            raise Invalid(path, f"says another value than the file has for {what} elsewhere", "leave one out")
