"""What is remembered of a service: crashes, rollouts, what was healthy, what was not, what was prepared.

A value; `backoff` and `preparations` fold what happened into it. Times are seconds of the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from manifests.model.quantities import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.service import Service
    from reconciler.decide.conditions import Verdict


@dataclass(frozen=True, slots=True)
class Preparation:
    """The last attempt to prepare one revision. Running while `failure` and `done` are both unset."""

    done: bool = False
    failure: Verdict | None = None
    permanent: bool = False
    attempts: int = 1
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """A revision on its way to its first health: since when it made no progress, how many are ready.

    `kept`: what the service had kept when it began; empty for nothing, None where nobody looked.
    """

    revision: str
    since: float
    ready: int = 0
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A revision that was taken down again, and is not tried until something changes."""

    revision: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Completed:
    """A slot whose program ended, as its restart policy allows."""

    revision: str
    success: bool
    message: str


@dataclass(frozen=True, slots=True)
class Keeps:
    """What the service had kept when the revision began to take over; `what` is empty for nothing.

    Looked at once for each update, so that what the new revision writes does not change how it takes over.
    """

    revision: str
    what: str


@dataclass(frozen=True, slots=True)
class History:
    """`crashes` counts since the last reset, `restarts` since the node knows the service.

    `last_reason` names the last crash where more is known of it than that it happened (OOMKilled).
    `crashed_at`: when it crashed within the last minute. `back` is False once another revision ran with the
    data and was given up, where somebody has to be asked first before `healthy` has it again.
    """

    crashes: int = 0
    crashed: str = ""
    restarts: int = 0
    crashed_at: tuple[float, ...] = ()
    last_failure: str = ""
    last_reason: str = ""
    delay: float = 0.0
    not_before: float = 0.0
    rollout: Rollout | None = None
    healthy: Service | None = None
    back: bool = True
    rejected: Rejected | None = None
    keeps: Keeps | None = None
    completed: Mapping[int, Completed] = field(default_factory=dict)
    preparations: Mapping[str, Preparation] = field(default_factory=dict)

    def prepared(self, service: Service) -> bool:
        """A service without a package and an image has nothing to prepare."""
        if service.package is None and service.manifest.image is None:
            return True
        preparation = self.preparations.get(service.revision)
        return preparation is not None and preparation.done

    def kept_for(self, service: Service) -> Keeps | None:
        """What was found for the update to this revision. The way back from a rejected one belongs to it."""
        keeps = self.keeps
        back = keeps and self.rejected and self.rejected.revision == keeps.revision
        return keeps if keeps and (back or keeps.revision == service.revision) else None

    def is_healthy(self, service: Service) -> bool:
        """Whether this revision has been entirely ready before."""
        return self.healthy is not None and self.healthy.revision == service.revision

    def completed_slots(self, service: Service) -> frozenset[int]:
        """The slots whose program ended for good under this revision."""
        slots, ended = range(service.manifest.slots), self.completed.items()
        return frozenset(slot for slot, done in ended if slot in slots and done.revision == service.revision)

    def describe_crashes(self) -> str:
        """`exited with status 1, 4 times in a row; waits 800ms before the next start`."""
        times = f", {self.crashes} times in a row" if self.crashes > 1 else ""
        delay = format_duration(round(self.delay, 1))
        wait = f"; waits {delay} before the next start" if self.delay else ""
        return f"{self.last_failure}{times}{wait}"


def asked_again(history: History) -> History:
    """A person asked: whatever was given up or is waiting is tried at once."""
    waiting = {key: value for key, value in history.preparations.items() if value.failure is None}
    return replace(
        history, crashes=0, crashed="", crashed_at=(), delay=0.0, not_before=0.0, rollout=None, rejected=None,
        completed={}, preparations=waiting,
    )  # fmt: skip
