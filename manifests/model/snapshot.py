"""What a source says now: the manifests it declares, and what is wrong with the rest.

A snapshot is a value. A source that cannot be read keeps the services of its last good snapshot and adds
a problem; only a source that was never read, in this life or an earlier one, is not `known`, and then
nobody may conclude that a service is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from manifests.model.base import LONGEST_TEXT, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from manifests.model.manifest import Manifest
    from manifests.model.policy import Policy

#: The reason of what nobody thought of.
INTERNAL_ERROR = "InternalError"
#: The reason of a warning: the service has an id that an earlier version gave it.
KEPT_ID = "KeptId"

SourceKind = Literal["config", "file", "git", "record", "follow"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a source: where, what, and what to do about it.

    `service` is the id it concerns, where that is known. `reason` (UpperCamelCase: PolicyForbids, Fetching …)
    says why a service that is known is not declared as its source has it.
    """

    message: str
    file: str = ""
    line: int | None = None
    key: str = ""
    hint: str = ""
    service: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        """What others wrote is shown by terminals, logs and JSON: it is made so that all of them can."""
        for name in ("message", "file", "key", "hint", "service"):
            text = getattr(self, name)
            if not text.isprintable() or len(text) > LONGEST_TEXT:
                object.__setattr__(self, name, printable(text))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file and self.line else self.file
        key = f"{self.key}: " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}: {key}{self.message}{hint}" if where else f"{key}{self.message}{hint}"


@dataclass(frozen=True, slots=True)
class Declared:
    """A manifest where it was found. `base` is the folder that a relative `source:` starts from.

    `within`: the folder that the files of its secrets have to lie in, where there is one. `policy`: on what
    terms it is here; None of what is the node's owner's.
    """

    manifest: Manifest
    base: str
    file: str
    within: str = ""
    policy: Policy | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether it was written by others than the owner of this node, as far as he has said."""
        return self.policy is not None and self.policy.trust == "foreign"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one source says. `revision` is a digest of it; `known` is False before the first read.

    `warnings`: what is as its files say, and may not be as it is meant.
    """

    source: str
    kind: SourceKind
    revision: str = ""
    services: Sequence[Declared] = ()
    problems: Sequence[Problem] = ()
    known: bool = True
    warnings: Sequence[Problem] = ()


class Source(Protocol):
    """Where manifests come from."""

    @property
    def name(self) -> str: ...

    @property
    def snapshot(self) -> Snapshot:
        """The current one; an unchanged file keeps the very same `Declared` objects."""
        ...

    async def scan(self) -> None:
        """Looks at the source again, whether or not an event announced a change."""
        ...

    async def watch(self, changed: Callable[[], None]) -> None:
        """Runs until cancelled; calls `changed` after each change of `snapshot`."""
        ...
