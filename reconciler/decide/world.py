"""All that a decision about one service may depend on, as one value, and the decision as another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.decide.lifecycle import LEAVING, LIVE, State

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.actions import Action
    from reconciler.decide.conditions import Condition, Verdict
    from reconciler.decide.history import History


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy as the planner sees it. Times are seconds of the monotonic clock.

    `complaint` is what a probe found wrong last, where one did; it is of no interest once it is ready.
    `fit`: its last probe found it well; what a liveness probe condemned never is again.
    """

    id: str
    service: Service
    slot: int
    state: State
    since: float
    ready_since: float | None = None
    complaint: str = ""
    fit: bool = True

    @property
    def revision(self) -> str:
        return self.service.revision

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def leaving(self) -> bool:
        return self.state in LEAVING

    @property
    def ready(self) -> bool:
        return self.state is State.READY


@dataclass(frozen=True, slots=True)
class World:
    """One service at one moment.

    `known` is False when some source was never read: then a missing service is not an absent one.
    `observed` is False when the runtime could not say what runs, and `unobserved` then may say why.
    `problem` says why `service` could not be brought up to date (its package is gone, its dependencies form a
    cycle): what runs stays.
    `barred`: revisions that must not run, although they did.
    `waiting_for` names dependencies that are not there yet; `held_by` services that must stop first.
    Two worlds are equal when they differ in nothing but the time.
    """

    id: str
    service: Service | None
    instances: tuple[Instance, ...]
    history: History
    now: float = field(compare=False)
    known: bool = True
    observed: bool = True
    unobserved: Verdict | None = None
    suspended: bool = False
    shutdown: bool = False
    problem: Verdict | None = None
    barred: frozenset[str] = frozenset()
    waiting_for: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()

    @property
    def absent(self) -> bool:
        """No source declares it, as far as they could be read."""
        return self.service is None and self.problem is None

    @property
    def stop_reason(self) -> str:
        """Why nothing of the service should run, or an empty string."""
        if self.shutdown:
            return "NodeStopping"
        if self.suspended:
            return "Suspended"
        return "Pruned" if self.absent and self.known else ""

    @property
    def gone(self) -> bool:
        """Nothing is left of a service that nobody declares any more."""
        return self.absent and self.known and self.observed and not self.instances


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do until something changes."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Work goes on; look again at `at` (monotonic seconds) if nothing happens before."""

    at: float


@dataclass(frozen=True, slots=True)
class Failed:
    """It went wrong and is tried again at `at`."""

    at: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Stalled:
    """It needs a change or a person."""

    verdict: Verdict


Outcome = Settled | RetryAfter | Failed | Stalled


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, what to remember, what to tell, and when to look again.

    `gone` means that nothing is left of a service that nobody declares.
    """

    actions: tuple[Action, ...]
    history: History
    outcome: Outcome
    conditions: tuple[Condition, ...]
    gone: bool = False
