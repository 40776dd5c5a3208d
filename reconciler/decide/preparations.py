"""Step 4: what has to be prepared, and what need not be any more? And what an attempt came to.

A revision is fetched, built and validated before anything is stopped for it. An attempt that failed in
passing is made again after 5 s, doubling to 10 min.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.decide.actions import CancelPrepare, Prepare
from reconciler.decide.history import Preparation

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from manifests.model.service import Service
    from reconciler.decide.candidates import Candidate
    from reconciler.decide.conditions import Verdict
    from reconciler.decide.draft import Draft
    from reconciler.decide.history import History
    from reconciler.decide.progress import Target
    from reconciler.decide.world import World

#: First wait and longest wait between attempts to prepare a package, seconds.
RETRY, RETRY_MAX = 5.0, 600.0


def request_preparations(
    world: World, choices: Sequence[Candidate], target: Target | None, draft: Draft
) -> None:
    """Asks for what is missing, and ends the work for what nobody wants any more."""
    for candidate in choices:
        if candidate.declared and not candidate.prepared:
            draft.unprepared = candidate.service
        # What was healthy before is needed where nothing can run meanwhile.
        if not candidate.prepared and (candidate.declared or target is None):
            _request(candidate.service, world.now, draft)
    if world.observed:
        _cancel(draft, _wanted(world, draft))


def _wanted(world: World, draft: Draft) -> set[str]:
    """What is healthy now decides which preparations are still of use."""
    services = () if world.stop_reason else (world.service, draft.history.healthy)
    return {service.revision for service in services if service}


def _request(service: Service, now: float, draft: Draft) -> None:
    attempt = draft.history.preparations.get(service.revision)
    if attempt is None:
        draft.actions.append(Prepare(service))
    elif attempt.failure and not attempt.permanent:
        if now >= attempt.retry_at:
            draft.actions.append(Prepare(service))
        else:
            draft.look_again(attempt.retry_at)


def _cancel(draft: Draft, wanted: Collection[str]) -> None:
    """A newer wish ends the work for an older one, before anything else."""
    attempts = draft.history.preparations.items()
    running = [revision for revision, attempt in attempts if not attempt.done and attempt.failure is None]
    draft.actions[:0] = [CancelPrepare(revision) for revision in running if revision not in wanted]


# -- what came of it


def started(history: History, revision: str) -> History:
    before = history.preparations.get(revision)
    attempts = before.attempts + 1 if before else 1
    return _with(history, revision, Preparation(attempts=attempts))


def done(history: History, revision: str) -> History:
    return _with(history, revision, Preparation(done=True))


def failed(history: History, revision: str, verdict: Verdict, *, permanent: bool, now: float) -> History:
    """Transient failures are tried again after 5 s, doubling to 10 min."""
    before = history.preparations.get(revision)
    attempts = before.attempts if before else 1
    wait = min(RETRY * 2.0 ** min(attempts - 1, 30), RETRY_MAX)
    attempt = Preparation(failure=verdict, permanent=permanent, attempts=attempts, retry_at=now + wait)
    return _with(history, revision, attempt)


def cancelled(history: History, revision: str) -> History:
    rest = {key: value for key, value in history.preparations.items() if key != revision}
    return replace(history, preparations=rest)


def swept(history: History, kept: Collection[str]) -> History:
    """Prepared packages of other revisions are gone: whoever wants one again has to prepare it."""
    rest = {key: value for key, value in history.preparations.items() if key in kept}
    return replace(history, preparations=rest)


def _with(history: History, revision: str, preparation: Preparation) -> History:
    return replace(history, preparations={**history.preparations, revision: preparation})
