"""Conditions in Kubernetes' shape, and the three every service has: Ready, Reconciling, Stalled.

Ready answers "does it serve?", Reconciling "is the node still working on it?", Stalled "does it need a
person?". A reason is UpperCamelCase and stable; a message is for people and does not change by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from manifests.model.base import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

Status = Literal["True", "False", "Unknown"]
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Condition:
    """One answer. The time of its last transition is added where it is stored, not where it is decided."""

    type: str
    status: Status
    reason: str
    message: str = ""

    def __post_init__(self) -> None:
        """Names of files and words of programs may be anything; this can be written down everywhere."""
        if not self.message.isprintable():
            object.__setattr__(self, "message", printable(self.message, _LONGEST))


@dataclass(frozen=True, slots=True)
class Verdict:
    """A reason with its message: why something is as it is. `passing`: nobody needs to do anything."""

    reason: str
    message: str
    passing: bool = False


def condition_of(entry: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """One condition of an entry in status, of a service or a source; Unknown where nothing is decided yet."""
    unknown = {"type": kind, "status": "Unknown", "reason": "", "message": ""}
    return next((each for each in entry.get("conditions") or () if each["type"] == kind), unknown)
