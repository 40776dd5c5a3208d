"""How long a crashed service waits before its next start, and what counts as a crash.

Replaced at once the first time; then initialDelay, doubling up to maxDelay; afresh once it was ready for
resetAfter. That tells a service which does not work from one which had an accident. One that works for a
moment each time has one accident after the other: so whatever the wait is, each of its slots is replaced no
more than so many times in any minute. These fold what happened into a `History`; `waiting` holds a start
back until its time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.decide.history import Completed, Rejected

if TYPE_CHECKING:
    from manifests.model.service import Service
    from manifests.model.spec import Restart
    from reconciler.decide.conditions import Verdict
    from reconciler.decide.history import History
    from runtimes.base import Exit

#: Share of a delay that jitter may add, so that services that fell together do not rise together.
JITTER = 0.1
#: Seconds in which replacements are counted.
MINUTE = 60.0


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
    per_minute: int,
    reason: str = "",
) -> History:
    """An instance ended, or could not be started, and is to be replaced.

    `per_minute`: how often at most, for each slot, where its manifest does not say.
    """
    restart = service.manifest.restart
    # What never was ready gets no fresh start, even where being ready for no time at all is enough for one.
    lasted = 0 < ready_for >= restart.reset_after
    fresh = history.crashed != service.revision or lasted
    crashes = 1 if fresh else history.crashes + 1
    delay = backoff(crashes, restart, jitter)
    before = history.crashed_at if history.crashed == service.revision else ()
    recent = tuple(at for at in before if at > now - MINUTE)
    most = (restart.per_minute or per_minute) * max(service.manifest.slots, 1)
    if len(recent) >= most and (rest := recent[-most] + MINUTE - now) > delay:
        delay = rest
        cause = f"{cause}; it was replaced {len(recent)} times within a minute"
    return replace(
        history,
        crashed_at=(*recent, now)[-most:],
        crashes=crashes,
        crashed=service.revision,
        restarts=history.restarts + 1,
        last_failure=cause,
        last_reason=reason,
        delay=delay,
        not_before=now + delay,
    )


def after_exit(
    history: History,
    service: Service,
    slot: int,
    exit: Exit,
    *,
    now: float,
    ready_for: float,
    jitter: float,
    per_minute: int,
) -> History:
    """An instance that nobody stopped has ended: completed or crashed, as its restart policy says."""
    policy = service.manifest.restart.policy
    if policy == "never" or (policy == "onFailure" and exit.success):
        done = Completed(service.revision, exit.success, str(exit))
        return replace(history, completed={**history.completed, slot: done})
    return after_crash(
        history, service, str(exit),
        now=now, ready_for=ready_for, jitter=jitter, per_minute=per_minute, reason=exit.why,
    )  # fmt: skip


def after_refusal(history: History, service: Service, verdict: Verdict) -> History:
    """Its start failed for a reason that waiting does not mend: another attempt needs a change, or a person.

    What was healthy before goes on being tried: its program may be on a disk that is away.
    """
    if history.is_healthy(service):
        return history
    return replace(history, rejected=Rejected(service.revision, verdict), rollout=None, not_before=0.0)
