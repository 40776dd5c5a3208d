"""What a Compose file is read with: what lies beside it, and what its reader knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.compose.ids import KeptIds
    from manifests.model.snapshot import Problem

    #: The text of a file by its path; None when there is no such file. Raises BrokenText.
    ReadFile = Callable[[str], str | None]


def _ignore(_: Problem) -> None: ...


@dataclass(frozen=True, slots=True)
class Around:
    """`home` is what `~` means, empty where it means nothing. `warn` hears of what may surprise.

    `kept`: ids that services of an earlier version have, by their projects. `root` names the project of a
    file in
    a folder whose own name means nothing.
    """

    home: str = ""
    warn: Callable[[Problem], None] = _ignore
    kept: KeptIds = field(default_factory=dict)
    root: str = ""


NOBODY = Around()
