"""A service on a machine that misbehaves: rules happen in any order, then all faults are healed, and the
world has to become what is declared. The oracle compares processes with the declaration and never asks
the planner what it thinks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reconciler.decide import backoff, preparations
from reconciler.decide.actions import Action, CancelPrepare, EndDrain, Look, Prepare, Resume, Start, Stop
from reconciler.decide.conditions import Verdict
from reconciler.decide.history import History, Keeps, asked_again
from reconciler.decide.lifecycle import TRANSITIONS, Event, State
from reconciler.decide.plan import plan
from reconciler.decide.world import Failed, Instance, RetryAfter, World
from runtimes.base import Exit
from tests.reconciler.decide.worlds import service

if TYPE_CHECKING:
    from manifests.model.service import Service

MARKERS = ("a", "b", "c")
ROUNDS = 400


@dataclass
class Process:
    """What really runs, whatever the node believes."""

    id: str
    service: Service
    slot: int
    started: float
    asked_to_stop: bool = False
    was_asked_to_stop: bool = False


@dataclass
class Machine:
    """The world outside of the node, and its faults by revision.

    `busy`: requests in flight to these never end, unlike those to others, which have ended when it matters.
    """

    processes: dict[str, Process] = field(default_factory=dict)
    count: int = 0
    cannot_start: set[str] = field(default_factory=set)
    never_ready: set[str] = field(default_factory=set)
    cannot_prepare: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)

    def heal(self) -> None:
        for fault in (self.cannot_start, self.never_ready, self.cannot_prepare, self.deaf, self.busy):
            fault.clear()


class Convergence(RuleBasedStateMachine):
    """One service, one node, any trouble."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()
        self.now = 0.0
        self.declared: Service | None = None
        self.suspended = False
        self.observable = True
        self.views: dict[str, Instance] = {}
        self.history = History()
        self.wake: float | None = None
        self.keeps = ""
        self.looks = 0
        #: Revision → whether it was found that it must not run beside another.
        self.one_writer: dict[str, bool] = {}

    # -- what happens outside

    @initialize(marker=st.sampled_from(MARKERS), replicas=st.integers(1, 3))
    def begin(self, marker: str, replicas: int) -> None:
        """Most runs begin with something that serves, or nothing interesting can be lost."""
        self.declare_it(marker, replicas, "rolling", False)
        self.reconcile()

    @rule(
        marker=st.sampled_from(MARKERS),
        replicas=st.sampled_from([0, 1, 1, 2, 3]),
        strategy=st.sampled_from(["rolling", "recreate", None]),
        package=st.booleans(),
    )
    def declare(self, marker: str, replicas: int, strategy: str | None, package: bool) -> None:
        self.declare_it(marker, replicas, strategy, package)
        self.reconcile()

    def declare_it(self, marker: str, replicas: int, strategy: str | None, package: bool) -> None:
        self.declared = service(
            marker,
            replicas=replicas,
            package=package,
            update={"strategy": strategy, "healthyDeadline": "60s"},
        )

    @rule()
    def undeclare(self) -> None:
        self.declared = None

    @rule(suspended=st.booleans())
    def suspend(self, suspended: bool) -> None:
        self.suspended = suspended
        if not suspended:
            self.history = asked_again(self.history)

    @rule(
        marker=st.sampled_from(MARKERS),
        fault=st.sampled_from(["start", "ready", "prepare", "deaf", "busy"]),
    )
    def break_it(self, marker: str, fault: str) -> None:
        machine = self.machine
        faults = {
            "start": machine.cannot_start,
            "ready": machine.never_ready,
            "prepare": machine.cannot_prepare,
            "deaf": machine.deaf,
            "busy": machine.busy,
        }
        faults[fault].add(marker)

    @rule(marker=st.sampled_from(MARKERS))
    def mend_it(self, marker: str) -> None:
        for fault in (self.machine.cannot_start, self.machine.never_ready, self.machine.cannot_prepare):
            fault.discard(marker)

    @rule(marker=st.sampled_from(MARKERS))
    def requests_end(self, marker: str) -> None:
        """Those in flight to a revision finish, and where that was waited for the instance is told to end."""
        self.machine.busy.discard(marker)
        for view in list(self.views.values()):
            if view.state is State.DRAINING and marker_of(self.machine.processes[view.id]) == marker:
                self.end_drain(view.id)

    @rule(number=st.integers(0, 10), code=st.sampled_from([0, 1]))
    def crash(self, number: int, code: int) -> None:
        living = sorted(self.machine.processes)
        if living:
            self.end(living[number % len(living)], Exit(code=code))

    @rule(seconds=st.sampled_from([0.05, 0.5, 5.0, 70.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.reconcile()

    @rule(keeps=st.sampled_from(["", "a file"]))
    def keep(self, keeps: str) -> None:
        """The program keeps something, or throws all of it away."""
        self.keeps = keeps

    @rule(observable=st.booleans())
    def observation(self, observable: bool) -> None:
        """The runtime cannot say what runs, or can again."""
        self.observable = observable

    @rule(actions=st.integers(0, 2))
    def node_dies_after(self, actions: int) -> None:
        self.reconcile(limit=actions)
        self.reborn(self.history.healthy, self.history.keeps)

    @rule()
    def node_forgets_everything(self) -> None:
        self.reborn(None, None)

    # -- what the node does

    @rule()
    def round(self) -> None:
        self.reconcile()

    def reconcile(self, limit: int = 100) -> tuple[Action, ...]:
        self.look()
        decision = plan(
            World(
                id="app",
                service=self.declared,
                instances=tuple(self.views.values()),
                history=self.history,
                now=self.now,
                observed=self.observable,
                suspended=self.suspended,
            )
        )
        self.history = decision.history
        outcome = decision.outcome
        self.wake = outcome.at if isinstance(outcome, (RetryAfter, Failed)) else None
        for action in decision.actions[:limit]:
            self.carry_out(action)
        return decision.actions

    def look(self) -> None:
        """Probes: what runs well for a moment is ready."""
        for view in list(self.views.values()):
            process = self.machine.processes[view.id]
            if marker_of(process) not in self.machine.never_ready:
                self.happen(view.id, Event.PASS)

    def carry_out(self, action: Action) -> None:
        match action:
            case Prepare(service):
                self.history = preparations.started(self.history, service.revision)
                self.finish_preparing(service)
            case CancelPrepare(revision):
                self.history = preparations.cancelled(self.history, revision)
            case Start(service, slot):
                self.start(service, slot)
            case Stop():
                self.stop(action)
            case Resume(identity):
                assert not self.machine.processes[identity].asked_to_stop
                self.happen(identity, Event.RESUME)
            case Look(service):
                self.looks += 1
                self.history = replace(self.history, keeps=Keeps(service.revision, self.keeps))
                self.one_writer[service.revision] = bool(self.keeps)
            case EndDrain(identity):
                view = self.views[identity]
                assert self.now >= view.since + view.service.manifest.update.drain_timeout
                self.end_drain(identity)

    def finish_preparing(self, service: Service) -> None:
        if service.manifest.command and service.manifest.command[1] in self.machine.cannot_prepare:
            verdict = Verdict("PrepareFailed", "npm install failed")
            self.history = preparations.failed(
                self.history, service.revision, verdict, permanent=False, now=self.now
            )
        else:
            self.history = preparations.done(self.history, service.revision)

    def start(self, service: Service, slot: int) -> None:
        if service.manifest.command and service.manifest.command[1] in self.machine.cannot_start:
            self.crashed(service, "command not found", 0.0)
            return
        strategy = service.manifest.update.strategy
        if strategy == "recreate" or (strategy is None and self.one_writer.get(service.revision)):
            assert all(each.service.revision == service.revision for each in self.machine.processes.values())
        self.machine.count += 1
        identity = f"p{self.machine.count}"
        self.machine.processes[identity] = Process(identity, service, slot, self.now)
        self.views[identity] = Instance(identity, service, slot, State.STARTING, self.now)

    def stop(self, action: Stop) -> None:
        if action.force:
            assert self.views[action.instance].state in (State.STOPPING, State.KILLING)
            self.happen(action.instance, Event.FORCE)
            self.views[action.instance] = replace(self.views[action.instance], since=self.now)
            self.signal(action.instance, force=True)
            return
        self.happen(action.instance, Event.STOP)
        if self.views[action.instance].state is not State.DRAINING:
            self.signal(action.instance)
        elif marker_of(self.machine.processes[action.instance]) not in self.machine.busy:
            self.end_drain(action.instance)

    def end_drain(self, identity: str) -> None:
        self.happen(identity, Event.DRAINED)
        self.signal(identity)

    def signal(self, identity: str, *, force: bool = False) -> None:
        process = self.machine.processes[identity]
        process.asked_to_stop = process.was_asked_to_stop = True
        if force or marker_of(process) not in self.machine.deaf:
            self.end(identity, Exit(signal=15))

    def end(self, identity: str, exit: Exit) -> None:
        process = self.machine.processes.pop(identity)
        view = self.views.pop(identity, None)
        if view is not None and view.live and not process.asked_to_stop:
            ready_for = self.now - view.ready_since if view.ready_since is not None else 0.0
            self.crashed(process.service, str(exit), ready_for)

    def crashed(self, service: Service, cause: str, ready_for: float) -> None:
        self.history = backoff.after_crash(
            self.history, service, cause, now=self.now, ready_for=ready_for, jitter=0.5, per_minute=600
        )

    def happen(self, identity: str, event: Event) -> None:
        view = self.views[identity]
        state = TRANSITIONS[view.state, event]
        if state is not view.state:
            ready = view.ready_since if view.ready_since is not None or state is not State.READY else self.now
            self.views[identity] = replace(view, state=state, since=self.now, ready_since=ready)

    def reborn(self, healthy: Service | None, keeps: Keeps | None) -> None:
        """kill -9, and a new life: processes go on, what was only in memory is gone."""
        self.history = History(healthy=healthy, keeps=keeps)
        for process in self.machine.processes.values():
            process.asked_to_stop = False
        self.views = {
            process.id: Instance(process.id, process.service, process.slot, State.STARTING, self.now)
            for process in self.machine.processes.values()
        }

    # -- what must hold

    @invariant()
    def no_two_copies(self) -> None:
        """But one that was asked to end may have its successor beside it, where two revisions may be, too."""
        copies: dict[tuple[str, int], list[Process]] = {}
        for process in self.machine.processes.values():
            copies.setdefault((process.service.revision, process.slot), []).append(process)
        for first, *others in copies.values():
            assert len(others) <= 1
            for process in others:
                assert first.was_asked_to_stop
                assert process.service.manifest.update.strategy != "recreate"

    @invariant()
    def nobody_is_asked_to_end_while_it_may_get_requests(self) -> None:
        for process in self.machine.processes.values():
            if process.asked_to_stop:
                assert self.views[process.id].state in (State.STOPPING, State.KILLING)

    @precondition(lambda self: self.suspended or self.declared is None)
    @rule()
    def stopping_is_enough(self) -> None:
        """With nothing to run, a bounded number of rounds leaves nothing, deaf programs included."""
        self.observable = True
        self.settle()
        assert not self.machine.processes

    def teardown(self) -> None:
        self.machine.heal()
        self.observable = True
        self.history = asked_again(self.history)
        self.settle()
        self.world_is_as_declared()

    def settle(self) -> None:
        for _ in range(ROUNDS):
            if not self.reconcile():
                self.look()
                if self.wake is None and not self.reconcile():
                    return
                self.now = max(self.now, self.wake or self.now)
        raise AssertionError("did not converge")

    def world_is_as_declared(self) -> None:
        wanted: set[tuple[str, int]] = set()
        if self.declared and not self.suspended:
            replicas = self.declared.manifest.replicas
            wanted = {(self.declared.revision, slot) for slot in range(replicas)}
        running = {(process.service.revision, process.slot) for process in self.machine.processes.values()}
        assert running == wanted


def marker_of(process: Process) -> str:
    assert process.service.manifest.command
    return process.service.manifest.command[1]


Convergence.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestConvergence = Convergence.TestCase
