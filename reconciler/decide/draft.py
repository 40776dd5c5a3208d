"""A decision in the making: what the steps of `plan` have asked for so far, and want remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.decide.actions import Stop

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.actions import Action
    from reconciler.decide.conditions import Verdict
    from reconciler.decide.history import History
    from reconciler.decide.world import Instance


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing may start yet. `until`: when time alone ends it; `failing`: it went wrong before."""

    verdict: Verdict
    until: float | None = None
    failing: bool = False


@dataclass(slots=True)
class Draft:
    """`wake` is the earliest moment at which time alone changes it; `stopped` who is asked to end by it.

    `unprepared`: the declared revision, while it cannot be started yet.
    """

    history: History
    actions: list[Action] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    wake: float | None = None
    hold: Hold | None = None
    unprepared: Service | None = None

    def look_again(self, at: float) -> None:
        self.wake = at if self.wake is None else min(self.wake, at)

    def stop(self, instance: Instance, reason: str, *, crash: bool = False) -> None:
        self.actions.append(Stop(instance.id, reason, crash=crash))
        self.stopped.add(instance.id)

    def wait(self, hold: Hold) -> None:
        self.hold = hold
        if hold.until is not None:
            self.look_again(hold.until)
