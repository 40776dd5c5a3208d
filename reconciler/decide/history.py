"""What a service's past means for its future: crashes and back-off, rollouts, what was healthy, what was not.

A value and the functions that fold what happened into it. Times are seconds of the node's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from manifests.model.quantities import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from manifests.model.service import Service
    from manifests.model.spec import Restart
    from reconciler.decide.conditions import Verdict
    from runtimes.base import Exit

#: First wait and longest wait between attempts to prepare a package, seconds.
PREPARE_RETRY, PREPARE_RETRY_MAX = 5.0, 600.0
#: Share of a delay that jitter may add, so that services that fell together do not rise together.
JITTER = 0.1


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
    """A revision on its way to its first health: since when it made no progress, how many are ready."""

    revision: str
    since: float
    ready: int = 0


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
    """

    crashes: int = 0
    crashed: str = ""
    restarts: int = 0
    last_failure: str = ""
    last_reason: str = ""
    delay: float = 0.0
    not_before: float = 0.0
    rollout: Rollout | None = None
    healthy: Service | None = None
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


def backoff(crashes: int, restart: Restart, jitter: float) -> float:
    """Seconds to wait after the n-th crash in a row: 0, then initialDelay doubling up to maxDelay.

    `jitter` is a number from 0 to 1.
    """
    if crashes <= 1:
        return 0.0
    # The exponent is bounded: 2.0 ** 2000 overflows, and 60 doublings outlast any maxDelay.
    delay = min(restart.initial_delay * 2.0 ** min(crashes - 2, 60), restart.max_delay)
    return delay * (1 + JITTER * jitter)


def after_crash(
    history: History,
    service: Service,
    cause: str,
    *,
    now: float,
    ready_for: float,
    jitter: float,
    reason: str = "",
) -> History:
    """An instance ended, or could not be started, and is to be replaced."""
    restart = service.manifest.restart
    # What never was ready gets no fresh start, even where being ready for no time at all is enough for one.
    lasted = 0 < ready_for >= restart.reset_after
    fresh = history.crashed != service.revision or lasted
    crashes = 1 if fresh else history.crashes + 1
    delay = backoff(crashes, restart, jitter)
    return replace(
        history,
        crashes=crashes,
        crashed=service.revision,
        restarts=history.restarts + 1,
        last_failure=cause,
        last_reason=reason,
        delay=delay,
        not_before=now + delay,
    )


def after_exit(
    history: History, service: Service, slot: int, exit: Exit, *, now: float, ready_for: float, jitter: float
) -> History:
    """An instance that nobody stopped has ended: completed or crashed, as its restart policy says."""
    policy = service.manifest.restart.policy
    if policy == "never" or (policy == "onFailure" and exit.success):
        done = Completed(service.revision, exit.success, str(exit))
        return replace(history, completed={**history.completed, slot: done})
    return after_crash(
        history, service, str(exit), now=now, ready_for=ready_for, jitter=jitter, reason=exit.why
    )


def refused(history: History, service: Service, verdict: Verdict) -> History:
    """Its start failed for a reason that waiting does not mend: another attempt needs a change, or a person.

    What was healthy before goes on being tried: its program may be on a disk that is away.
    """
    if history.is_healthy(service):
        return history
    return replace(history, rejected=Rejected(service.revision, verdict), rollout=None, not_before=0.0)


def prepare_started(history: History, revision: str) -> History:
    before = history.preparations.get(revision)
    attempts = before.attempts + 1 if before else 1
    return _with_preparation(history, revision, Preparation(attempts=attempts))


def prepare_done(history: History, revision: str) -> History:
    return _with_preparation(history, revision, Preparation(done=True))


def prepare_failed(
    history: History, revision: str, verdict: Verdict, *, permanent: bool, now: float
) -> History:
    """Transient failures are tried again after 5 s, doubling to 10 min."""
    before = history.preparations.get(revision)
    attempts = before.attempts if before else 1
    wait = min(PREPARE_RETRY * 2.0 ** min(attempts - 1, 30), PREPARE_RETRY_MAX)
    failed = Preparation(failure=verdict, permanent=permanent, attempts=attempts, retry_at=now + wait)
    return _with_preparation(history, revision, failed)


def prepare_cancelled(history: History, revision: str) -> History:
    rest = {key: value for key, value in history.preparations.items() if key != revision}
    return replace(history, preparations=rest)


def swept(history: History, kept: Collection[str]) -> History:
    """Prepared packages of other revisions are gone: whoever wants one again has to prepare it."""
    rest = {key: value for key, value in history.preparations.items() if key in kept}
    return replace(history, preparations=rest)


def asked_again(history: History) -> History:
    """A person asked: whatever was given up or is waiting is tried at once."""
    waiting = {key: value for key, value in history.preparations.items() if value.failure is None}
    return replace(
        history, crashes=0, crashed="", delay=0.0, not_before=0.0, rollout=None, rejected=None,
        completed={}, preparations=waiting,
    )  # fmt: skip


def describe_crashes(history: History) -> str:
    """`exited with status 1, 4 times in a row; waits 800ms before each new start`."""
    times = f", {history.crashes} times in a row" if history.crashes > 1 else ""
    wait = (
        f"; waits {format_duration(round(history.delay, 1))} before the next start" if history.delay else ""
    )
    return f"{history.last_failure}{times}{wait}"


def _with_preparation(history: History, revision: str, preparation: Preparation) -> History:
    return replace(history, preparations={**history.preparations, revision: preparation})
