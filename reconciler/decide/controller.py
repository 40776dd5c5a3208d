"""What the node keeps in mind about one service: the wish, the instances, the past, the answers.

One `Controller` per id. It is changed only from the event loop's thread, by `loop`, and read by `status`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from reconciler.decide.history import History
from reconciler.decide.lifecycle import TRANSITIONS, VERDICTS, Event, State

if TYPE_CHECKING:
    from manifests.model.service import Service
    from manifests.model.snapshot import Declared
    from reconciler.decide.conditions import Condition, Verdict
    from reconciler.decide.world import Instance, World
    from runtimes.base import Kept, Running


#: The rank of services that no source declares: whoever is declared goes before them.
UNDECLARED = 1_000_000


class Cancellable(Protocol):
    """Work in the background that can be given up."""

    def cancel(self) -> None: ...


class Preparing(Protocol):
    """A preparation in progress. One that was given up is in progress until it has cleaned up."""

    @property
    def service(self) -> Service: ...

    def cancel(self) -> None: ...

    async def over(self) -> None:
        """Returns once nothing of it is at work any more."""
        ...


@dataclass(slots=True)
class Tracked:
    """One instance: the planner's view of it and the runtime's.

    `crash`: its stop counts as a crash, for the `reason` where there is a name for it. `drain` waits for
    the requests that are in flight to it. `condemned`: a liveness or startup probe gave it up, whatever its
    state was then.
    """

    view: Instance
    running: Running
    crash: str = ""
    reason: str = ""
    drain: Cancellable | None = None
    condemned: bool = False

    def follow(self, service: Service | None) -> None:
        """Policies of the same revision apply at once; to an instance of another revision its own do."""
        if service is not None and service.revision == self.view.revision:
            self.view = replace(self.view, service=service)
            self.running = replace(self.running, service=service)

    def apply(self, event: Event, now: float) -> bool:
        """Moves through the lifecycle table; True when the state changed."""
        self._note_verdict(event)
        state = TRANSITIONS[self.view.state, event]
        if state is self.view.state:
            return False
        ready_since = self.view.ready_since
        if self.drain is not None and state is not State.DRAINING:
            self.drain.cancel()
        if state is State.READY and ready_since is None:
            ready_since = now
        self.view = replace(self.view, state=state, since=now, ready_since=ready_since)
        return True

    def _note_verdict(self, event: Event) -> None:
        """Probes go on while an instance drains, and say whether it could serve again."""
        self.condemned = self.condemned or event is Event.CONDEMN
        if event in VERDICTS:
            fit = event is Event.PASS and not self.condemned
            if fit is not self.view.fit:
                self.view = replace(self.view, fit=fit)


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that keeps nobody from running, and since when (seconds since 1970) it holds."""

    condition: Condition
    since: float


@dataclass(slots=True)
class Wish:
    """The desired half: what the sources say about a service, resolved, and what a person added to it.

    `declared` is what it was made from; `rank` is the precedence of the source that declares it, the lowest
    first. `note` is what else a person should know about it. `barred`: revisions that must not run at all.
    """

    service: Service | None = None
    problem: Verdict | None = None
    on_cycle: bool = False
    declared: Declared | None = None
    rank: int = UNDECLARED
    note: Noted | None = None
    barred: frozenset[str] = frozenset()

    @property
    def file(self) -> str:
        """Who to tell what to change; empty when nobody declares it."""
        return self.declared.file if self.declared else ""


@dataclass(slots=True)
class Controller:
    """All about one service.

    `busy` while actions are carried out, `again` when a wake-up came meanwhile, `unswept` when prepared
    packages of older revisions may lie around. `settled` is the world in which there was nothing to do, and
    nothing that time alone would change. `saved`: what of the history came from effects and is on disk, or on
    its way there. `kept`: what somebody found last that it has kept; None when nobody looked. `found`: what
    else was found while it runs, by the type of the condition.
    """

    id: str
    wish: Wish = field(default_factory=Wish)
    suspended: bool = False
    generation: int = 0
    instances: dict[str, Tracked] = field(default_factory=dict)
    history: History = field(default_factory=History)
    preparing: list[Preparing] = field(default_factory=list)
    progress: str = ""
    conditions: tuple[Condition, ...] = ()
    transitions: dict[str, float] = field(default_factory=dict)
    busy: bool = False
    again: bool = False
    unswept: bool = False
    settled: World | None = None
    saved: tuple[object, ...] = ()
    kept: Kept | None = None
    found: dict[str, Noted] = field(default_factory=dict)

    def wishes(self, wish: Wish) -> None:
        """Takes over a new wish; what runs of its revision follows its policies from now on."""
        self.wish = wish
        for tracked in self.instances.values():
            tracked.follow(wish.service)

    @property
    def stopped(self) -> bool:
        """Whether a person or the manifest says that it should not run."""
        service = self.wish.service
        return self.suspended or (service is not None and service.manifest.suspend)

    def used_services(self) -> list[Service]:
        """The revisions whose prepared packages are still needed, or are being made."""
        services = [self.wish.service, self.history.healthy]
        services += [preparing.service for preparing in self.preparing]
        services += [tracked.running.service for tracked in self.instances.values()]
        return [service for service in services if service is not None]

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, None before the first decision."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def ready(self) -> bool:
        condition = self.condition("Ready")
        return condition is not None and condition.status == "True"

    @property
    def succeeded(self) -> bool:
        """Whether its program ended successfully, as its restart policy allows."""
        condition = self.condition("Ready")
        return condition is not None and condition.reason == "Completed"
