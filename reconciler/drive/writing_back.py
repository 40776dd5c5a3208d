"""What proved itself is written into the manifest that says `writeBack`, as a commit of its source.

Nothing of it is kept: whether there is anything to write follows from what a service stays at and what its
manifest says, and whoever is killed on the way finds the same again, or that it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from reconciler.decide.updating import unwritten
from reconciler.errors import UserError

if TYPE_CHECKING:
    from reconciler.decide.conditions import Verdict
    from reconciler.decide.updating import Edit, Kept
    from reconciler.drive.events import EventLog
    from reconciler.drive.origins import Host, Subject

#: Seconds until it is tried again: doubled each time, up to the second.
AGAIN, SELDOM = 10.0, 3600.0


@dataclass(slots=True, eq=False)
class WriteBack:
    """Of one service. `why` it could not be written, so far; `at`: when it is tried again."""

    events: EventLog
    why: str = ""
    at: float = 0.0
    pause: float = AGAIN

    def note(self, subject: Subject) -> Verdict | None:
        """What a person should know."""
        change = subject.origin.edit(subject.winner) if self.why else None
        return unwritten(change, f"source {subject.winner.source}", self.why) if change is not None else None

    async def step(self, host: Host, subject: Subject, kept: Kept, now: float) -> float:
        """Writes what is to be written; returns when to do so again, in seconds since 1970."""
        change = _wanted(subject, kept)
        if change is None:
            self.why, self.at, self.pause = "", 0.0, AGAIN
            return inf
        # A clock that was set back makes nobody wait for years.
        if now < self.at <= now + SELDOM:
            return self.at
        why = await self._write(host, subject, change)
        # Until the source has taken the commit, there is the same to be written: which is done then.
        self.at, self.pause = now + self.pause, min(2 * self.pause, SELDOM)
        if why != self.why:
            self.why = why
            await host.look_again(subject.id)
        return self.at

    async def _write(self, host: Host, subject: Subject, change: Edit) -> str:
        try:
            commit = await host.write_back(subject.winner, change)
        except UserError as error:
            # The service's condition tells of it.
            return f"{error} ({error.hint})" if error.hint else str(error)
        if commit:
            told = f"{change.after} instead of {change.before}: commit {commit[:12]}"
            self.events.emit(subject.id, "UpdateWritten", f"source {subject.winner.source}: {told}")
        return ""


def _wanted(subject: Subject, kept: Kept) -> Edit | None:
    """What did not work is at most still there because of its data, and is nothing for others."""
    here = subject.here
    if subject.rule is None or not subject.rule.write_back or here is None or kept.is_bad(here):
        return None
    return subject.origin.edit(subject.winner)
