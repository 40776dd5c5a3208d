"""The loop: takes a wake-up, reads the world, decides, acts, and tells.

    wake(id) ──► queue ──► reconcile(id): world ──plan──► decision ──► effects ──► changed(id) ──► wake(id)

One decision at a time, made without an `await`; the actions of one service are carried out one after
another, those of different services next to each other. Conditions never wake the loop by themselves: only a
service whose readiness changed wakes those that depend on it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from reconciler.decide import history as past
from reconciler.decide.conditions import Condition, Verdict
from reconciler.decide.internal_error import defect
from reconciler.decide.plan import plan
from reconciler.decide.world import Failed, RetryAfter, World
from reconciler.drive.dependencies import Dependencies
from reconciler.drive.queue import WakeQueue
from reconciler.state.store import Remembered, Saver
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from anyio.abc import TaskGroup

    from reconciler.decide.controller import Controller, Wish
    from reconciler.decide.world import Decision
    from reconciler.drive.controllers import Controllers
    from reconciler.drive.effects import Effects
    from reconciler.drive.events import EventLog
    from reconciler.drive.metrics import Metrics
    from reconciler.drive.routing import Routing
    from reconciler.state.store import Store
    from runtimes.base import Running, Runtime, RuntimeUnavailable

    #: Told whom to tell of a service that changed, and of a runtime that is away.
    MakeEffects = Callable[[Callable[[str], None], Callable[[str, RuntimeUnavailable], None]], Effects]

#: Seconds until a runtime that could not say what runs is asked again.
OBSERVE_AGAIN = 2.0
#: Seconds until a service is looked at again whose handling has a defect.
AFTER_DEFECT = 5.0
_AWAY = "RuntimeUnavailable"
_NOT_YET = Verdict("Unobservable", "waits until the runtime can say what runs")


class Reconciler:
    """Converges the wishes it is told with what the runtimes run."""

    def __init__(
        self,
        *,
        controllers: Controllers,
        runtimes: Mapping[str, Runtime],
        make_effects: MakeEffects,
        store: Store,
        events: EventLog,
        metrics: Metrics,
        routing: Routing,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.controllers = controllers
        self.queue = WakeQueue()
        self.events = events
        self.metrics = metrics
        self.saver = Saver(store, self._recall)
        #: Runtime → why it cannot say what runs.
        self.away = dict.fromkeys(runtimes, _NOT_YET)
        self.known = False
        self.stopping = False
        self._listeners: list[Callable[[str], None]] = []
        self._runtimes = runtimes
        self._effects = make_effects(self._changed, self.lost)
        self._routing = routing
        self._store = store
        self._wall = wall
        self._dependencies = Dependencies(self.controllers)
        self._tasks: TaskGroup | None = None
        self._empty = anyio.Event()

    # -- what others tell it

    def declare(self, wishes: Mapping[str, Wish], *, known: bool) -> None:
        """New wishes for some services; an empty `Wish` for one that no source mentions any more."""
        self.known = known
        for service_id, wish in wishes.items():
            controller = self.controllers.obtain(service_id)
            self._dependencies.link(service_id, controller.wish, wish)
            controller.wishes(wish)
            self.queue.wake(service_id)
            self.heard(service_id)
        self._routing.publish(*(self.controllers[service_id] for service_id in wishes))

    def heard(self, service_id: str) -> None:
        """`status` may say something new of a service; "" stands for the sources."""
        for listener in self._listeners:
            listener(service_id)

    @contextmanager
    def listening(self, listener: Callable[[str], None]) -> Iterator[None]:
        """Meanwhile, what is `heard` is told to the listener too."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def wake_all(self) -> None:
        """The full resync: every service is looked at again."""
        for service_id in self.controllers:
            self.queue.wake(service_id)

    async def suspend(self, controller: Controller, *, suspended: bool) -> None:
        """A person's stop or start. Raises OSError, with nothing changed, when it cannot be kept."""
        before = controller.suspended
        controller.suspended = suspended
        try:
            await self.saver.save_now(controller.id)
        except OSError:
            controller.suspended = before
            raise
        finally:
            self._routing.publish(controller)
            self.heard(controller.id)
        if not suspended:
            controller.history = past.asked_again(controller.history)
        self.queue.wake(controller.id)

    async def look_at_kept(self, service_id: str) -> None:
        """For whoever asks; a decision looks for itself when it needs to know."""
        controller = self.controllers.get(service_id)
        if controller is None:
            return
        service = next((each.running.service for each in controller.instances.values()), None)
        service = service or controller.history.healthy or controller.wish.service
        if service is not None and not self.away:
            await self._effects.look_at_kept(controller, service)

    # -- its life

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Remembers, adopts, then reconciles until cancelled."""
        self._remember()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            await self._observe(tasks)
            tasks.start_soon(self.saver.run)
            task_status.started()
            while True:
                service_id = await self.queue.get()
                self.metrics.queue_depth = len(self.queue)
                try:
                    self._reconcile(service_id, tasks)
                except Exception as error:
                    self._fail(service_id, error)

    async def shut_down(self) -> None:
        """Stops everything in reverse dependency order; returns once nothing runs and all is saved."""
        self.stopping = True
        self._routing.hurry()
        self.wake_all()
        while any(map(self._has_to_stop, self.controllers.values())):
            self._empty = anyio.Event()
            await self._empty.wait()
        await self.saver.flush()

    def _has_to_stop(self, controller: Controller) -> bool:
        """What runs where nobody can reach it is left to the next life of the node."""
        if controller.busy:
            return True
        return bool(controller.instances) and self._unobserved(controller) is None

    async def kill_all(self) -> None:
        """Ends every instance at once, for a person who will not wait."""
        for controller in list(self.controllers.values()):
            for tracked in list(controller.instances.values()):
                await self._effects.force(controller, tracked, "AskedTwice")

    def _remember(self) -> None:
        memories, problems = self._store.load()
        for problem in problems:
            self.events.emit("", "StateDamaged", problem, warning=True)
        for service_id, memory in memories.items():
            controller = self.controllers.obtain(service_id)
            controller.suspended = memory.suspended
            controller.generation = memory.generation
            controller.history = past.History(
                healthy=memory.healthy, rejected=memory.rejected, keeps=memory.keeps,
                completed=memory.completed,
            )  # fmt: skip
            controller.saved = _from_effects(controller.history)

    @property
    def observed(self) -> bool:
        """Whether all runtimes of this machine itself can say what runs; a remote engine may be away."""
        return all(why.reason == _AWAY for why in self.away.values())

    def lost(self, name: str, failure: RuntimeUnavailable) -> None:
        """A runtime cannot be reached any more: its services are left alone until it answers again."""
        if name in self.away or self._tasks is None:
            return
        self._is_away(name, failure)
        self._tasks.start_soon(self._observe_again, self._runtimes[name], self._tasks)
        self.wake_all()
        self._empty.set()

    def moved(self, running: Running, lacking: str, news: Sequence[str]) -> None:
        """A runtime's cluster runs an instance elsewhere than before, or in fewer places than it should."""
        controller = self.controllers.get(running.service.id)
        if controller is not None:
            self._effects.moved(controller, running, lacking, news)
            self.heard(controller.id)

    async def _observe(self, tasks: TaskGroup) -> None:
        """Adopts what runs. A runtime that cannot say keeps its services Unknown until it can."""
        for runtime in self._runtimes.values():
            if not await self._adopt(runtime, tasks):
                tasks.start_soon(self._observe_again, runtime, tasks)

    async def _observe_again(self, runtime: Runtime, tasks: TaskGroup) -> None:
        while True:
            await anyio.sleep(OBSERVE_AGAIN)
            if await self._adopt(runtime, tasks):
                self.wake_all()
                return

    async def _adopt(self, runtime: Runtime, tasks: TaskGroup) -> bool:
        try:
            found = await runtime.observe()
        except RuntimeFailure as failure:
            self._is_away(runtime.name, failure)
            return False
        del self.away[runtime.name]
        for running in found:
            controller = self.controllers.obtain(running.service.id)
            if running.instance not in controller.instances:
                self._effects.adopt(controller, running, tasks)
                self.queue.wake(running.service.id)
        return True

    def _is_away(self, name: str, failure: RuntimeFailure) -> None:
        """Told once, however often it is asked again."""
        why = Verdict(failure.reason, str(failure))
        if self.away.get(name) != why:
            self.away[name] = why
            self.events.emit("", failure.reason, f"{name}: {failure}", warning=True)

    def _unobserved(self, controller: Controller) -> Verdict | None:
        """Why nobody knows what runs of a service; None when it is known."""
        if not self.away:
            return None
        services = [controller.wish.service, controller.history.healthy]
        names = {service.runtime for service in services if service}
        names |= {tracked.running.service.runtime for tracked in controller.instances.values()}
        if not names:
            # Nothing is known of it: it may be of any runtime but one that is not of this machine.
            return next((why for why in self.away.values() if why.reason != _AWAY), None)
        return next((self.away[name] for name in sorted(names & self.away.keys())), None)

    # -- one reconciliation

    def _reconcile(self, service_id: str, tasks: TaskGroup) -> None:
        controller = self.controllers.get(service_id)
        if controller is None:
            return
        if controller.busy:
            controller.again = True
            return
        begin = time.perf_counter()
        world = self._world(controller)
        if world == controller.settled:
            self.metrics.reconciled(time.perf_counter() - begin)
            return
        decision = plan(world)
        self._keep(controller, decision)
        controller.settled = world if _is_final(decision, controller) else None
        if decision.actions:
            controller.busy = True
            tasks.start_soon(self._act, controller, decision, tasks)
        elif decision.gone and not controller.preparing:
            controller.busy = True
            tasks.start_soon(self._leave, controller)
        if isinstance(decision.outcome, (RetryAfter, Failed)):
            self.queue.wake_at(service_id, decision.outcome.at)
        elif controller.unswept and not controller.busy:
            controller.busy = True
            tasks.start_soon(self._sweep, controller)
        self._signal_if_empty(controller)
        self.metrics.reconciled(time.perf_counter() - begin)

    async def _act(self, controller: Controller, decision: Decision, tasks: TaskGroup) -> None:
        try:
            for action in decision.actions:
                await self._effects.carry_out(controller, action, tasks)
        except Exception as error:
            # A defect in one service's handling must not take the others down with the node.
            self._defect(controller.id, error)
            await anyio.sleep(1)
        controller.busy = controller.again = False
        self._changed(controller.id)

    def _fail(self, service_id: str, error: Exception) -> None:
        """Nobody knows what to do about one service; what runs of it runs on."""
        verdict = self._defect(service_id, error)
        controller = self.controllers[service_id]
        controller.settled = None
        controller.conditions = (
            Condition("Ready", "Unknown", verdict.reason, verdict.message),
            Condition("Reconciling", "True", verdict.reason, verdict.message),
            Condition("Stalled", "False", verdict.reason, verdict.message),
        )
        self.heard(service_id)
        self.queue.wake_at(service_id, anyio.current_time() + AFTER_DEFECT)

    def _defect(self, service_id: str, error: Exception) -> Verdict:
        self.metrics.reconcile_errors += 1
        verdict = defect(error)
        self.events.emit(service_id, verdict.reason, verdict.message, warning=True)
        return verdict

    async def _sweep(self, controller: Controller) -> None:
        try:
            # Whose copy has the present state has to be known before others go.
            await self.saver.save_if_due(controller.id)
            await self._effects.sweep(controller, controller.used_services)
        except OSError as error:
            self.events.emit(controller.id, "CollectFailed", f"cannot save state: {error}", warning=True)
        controller.busy = False
        if controller.again:
            controller.again = False
            self.queue.wake(controller.id)
        self._signal_if_empty(controller)
        await self._effects.purge(controller)

    def _world(self, controller: Controller) -> World:
        wish = controller.wish
        unobserved = self._unobserved(controller)
        return World(
            id=controller.id,
            service=wish.service,
            instances=tuple([tracked.view for tracked in controller.instances.values()]),
            history=controller.history,
            now=anyio.current_time(),
            known=self.known,
            observed=unobserved is None,
            unobserved=unobserved,
            suspended=controller.stopped,
            shutdown=self.stopping,
            problem=wish.problem,
            waiting_for=self._dependencies.waiting_for(controller),
            held_by=self._dependencies.held_by(controller) if self.stopping else (),
        )

    def _keep(self, controller: Controller, decision: Decision) -> None:
        """Takes over what the decision wants remembered and told."""
        before = controller.history
        controller.history = decision.history
        if _lasting(before) != _lasting(decision.history):
            self.saver.save_soon(controller.id)
        # Requests wait for what was decided to come.
        self._routing.publish(controller)
        self._tell(controller, decision.conditions)

    def _tell(self, controller: Controller, conditions: tuple[Condition, ...]) -> None:
        if conditions == controller.conditions:
            return
        before = {condition.type: condition.status for condition in controller.conditions}
        was_ready = controller.ready
        controller.conditions = conditions
        self.heard(controller.id)
        for condition in conditions:
            if before.get(condition.type) != condition.status:
                controller.transitions[condition.type] = self._wall()
                if condition.type == "Stalled" and condition.status == "True":
                    self.events.emit(controller.id, condition.reason, condition.message, warning=True)
        if controller.ready != was_ready or controller.succeeded:
            self._wake(self._dependencies.dependents(controller.id))

    async def _leave(self, controller: Controller) -> None:
        """Deletes what was prepared and forgets the service, unless somebody declares it again meanwhile."""
        await self._effects.sweep(controller, lambda: ())
        controller.busy = controller.again = False
        if plan(self._world(controller)).gone:
            self._forget(controller)
        else:
            self.queue.wake(controller.id)
        self._signal_if_empty(controller)
        await self._effects.purge(controller)

    def _forget(self, controller: Controller) -> None:
        del self.controllers[controller.id]
        self.saver.save_soon(controller.id)
        self.heard(controller.id)
        self.events.emit(controller.id, "Pruned", "nothing declares it any more")

    # -- what effects tell it

    def _changed(self, service_id: str) -> None:
        self.queue.wake(service_id)
        self.heard(service_id)
        controller = self.controllers.get(service_id)
        if controller is not None and _from_effects(controller.history) != controller.saved:
            # These come from effects, not from a decision, and what is done must not be done again.
            controller.saved = _from_effects(controller.history)
            self.saver.save_soon(service_id, urgent=True)
        others = self._dependencies
        self._wake(others.dependencies(service_id) if self.stopping else others.dependents(service_id))

    def _wake(self, service_ids: Iterable[str]) -> None:
        for service_id in service_ids:
            self.queue.wake(service_id)

    def _recall(self, service_id: str) -> Remembered | None:
        controller = self.controllers.get(service_id)
        if controller is None:
            return None
        past_ = controller.history
        return Remembered(
            suspended=controller.suspended,
            generation=controller.generation,
            healthy=past_.healthy,
            rejected=past_.rejected,
            keeps=past_.keeps,
            completed=past_.completed,
        )

    def _signal_if_empty(self, controller: Controller) -> None:
        if self.stopping and not (controller.instances or controller.busy):
            self._empty.set()


def _is_final(decision: Decision, controller: Controller) -> bool:
    """Whether the same world can only lead to the same decision, and that one asks for nothing."""
    waiting = isinstance(decision.outcome, (RetryAfter, Failed))
    return not (decision.actions or decision.gone or waiting or controller.unswept)


def _lasting(history: past.History) -> tuple[object, ...]:
    """What of a history is kept on disk, compared by identity because values are never changed in place."""
    return id(history.healthy), id(history.rejected), id(history.completed), id(history.keeps)


def _from_effects(history: past.History) -> tuple[object, ...]:
    return id(history.completed), id(history.keeps)
