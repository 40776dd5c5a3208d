"""The loop: takes a wake-up, reads the world, decides, acts, and tells.

    wake(id) ──► queue ──► reconcile(id): world ──plan──► decision ──► effects ──► changed(id) ──► wake(id)

One decision at a time, made without an `await`; the actions of one service are carried out one after
another, those of different services next to each other. Conditions never wake the loop by themselves: only a
service whose readiness changed wakes those that depend on it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from reconciler.decide.conditions import Condition
from reconciler.decide.history import asked_again
from reconciler.decide.plan import plan
from reconciler.decide.world import Failed, RetryAfter, World
from reconciler.drive.dependencies import Dependencies
from reconciler.drive.internal_errors import InternalErrors
from reconciler.drive.memory import Memory
from reconciler.drive.observation import Observation
from reconciler.drive.queue import WakeQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from anyio.abc import TaskGroup

    from reconciler.decide.controller import Controller, Wish
    from reconciler.decide.world import Decision
    from reconciler.drive.controllers import Controllers
    from reconciler.drive.effects import Effects
    from reconciler.drive.events import EventLog
    from reconciler.drive.instances import Instances
    from reconciler.drive.metrics import Metrics
    from reconciler.drive.routing import Routing
    from reconciler.state.store import Store
    from runtimes.base import Kept, Running, Runtime, RuntimeUnavailable

    #: Told whom to tell of a service that changed, and of a runtime that is away.
    MakeEffects = Callable[[Callable[[str], None], Callable[[str, RuntimeUnavailable], None]], Effects]

#: Seconds until a service is looked at again whose handling has an internal error.
AFTER_ERROR = 5.0


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
        self.observation = Observation(runtimes, events, self._observed)
        self.known = False
        self.stopping = False
        self._listeners: list[Callable[[str], None]] = []
        self._effects = make_effects(self._changed, self.lost)
        self._routing = routing
        self._memory = Memory(store, controllers, events)
        self.saver = self._memory.saver
        self._errors = InternalErrors(events, metrics)
        self._wall = wall
        self._dependencies = Dependencies(self.controllers)
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

    @property
    def instances(self) -> Instances:
        """What runs, for who finds out that it may not."""
        return self._effects.instances

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
            controller.history = asked_again(controller.history)
        self.queue.wake(controller.id)

    async def look_at_kept(self, service_id: str) -> Kept | None:
        """For whoever asks; a decision looks for itself when it needs to know. None: nobody can look now."""
        controller = self.controllers.get(service_id)
        if controller is None:
            return None
        service = next((each.running.service for each in controller.instances.values()), None)
        service = service or controller.history.healthy or controller.wish.service
        if service is not None and not self.observation.away:
            return await self._effects.look_at_kept(controller, service)
        return None

    # -- its life

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Remembers, adopts, then reconciles until cancelled."""
        self._memory.restore()
        async with anyio.create_task_group() as tasks:
            await self.observation.begin(partial(self._adopt, tasks), tasks)
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
        return bool(controller.instances) and self.observation.lacking(controller) is None

    async def kill_all(self) -> None:
        """Ends every instance at once, for a person who will not wait."""
        for controller in list(self.controllers.values()):
            for tracked in list(controller.instances.values()):
                await self._effects.force(controller, tracked, "AskedTwice")

    def lost(self, name: str, failure: RuntimeUnavailable) -> None:
        """A runtime cannot be reached any more."""
        self.observation.lost(name, failure)

    def moved(self, running: Running, lacking: str, failures: Sequence[str]) -> None:
        """A runtime's cluster runs an instance elsewhere than before, or in fewer places than it should."""
        controller = self.controllers.get(running.service.id)
        if controller is not None:
            self._effects.instances.moved(controller, running, lacking, failures)
            self.heard(controller.id)

    def _adopt(self, tasks: TaskGroup, running: Running) -> None:
        controller = self.controllers.obtain(running.service.id)
        if running.instance not in controller.instances:
            self._effects.instances.adopt(controller, running, tasks)
            self.queue.wake(controller.id)

    def _observed(self) -> None:
        """Other runtimes than before can say what runs."""
        self.wake_all()
        self._empty.set()

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
            # An internal error in one service's handling must not take the others down with the node.
            self._errors.report(controller.id, error)
            await anyio.sleep(1)
        controller.busy = controller.again = False
        self._changed(controller.id)

    def _fail(self, service_id: str, error: Exception) -> None:
        """Nobody knows what to do about one service; what runs of it runs on."""
        verdict = self._errors.report(service_id, error)
        controller = self.controllers[service_id]
        controller.settled = None
        controller.conditions = (
            Condition("Ready", "Unknown", verdict.reason, verdict.message),
            Condition("Reconciling", "True", verdict.reason, verdict.message),
            Condition("Stalled", "False", verdict.reason, verdict.message),
        )
        self.heard(service_id)
        self.queue.wake_at(service_id, anyio.current_time() + AFTER_ERROR)

    async def _sweep(self, controller: Controller) -> None:
        try:
            # Whose copy has the present state has to be known before others go.
            await self.saver.save_if_due(controller.id)
            await self._effects.preparations.sweep(controller, controller.used_services)
        except OSError as error:
            self.events.emit(controller.id, "CollectFailed", f"cannot save state: {error}", warning=True)
        controller.busy = False
        if controller.again:
            controller.again = False
            self.queue.wake(controller.id)
        self._signal_if_empty(controller)
        await self._effects.preparations.purge(controller)

    def _world(self, controller: Controller) -> World:
        wish = controller.wish
        unobserved = self.observation.lacking(controller)
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
            barred=wish.barred,
            waiting_for=self._dependencies.waiting_for(controller),
            held_by=self._dependencies.held_by(controller) if self.stopping else (),
        )

    def _keep(self, controller: Controller, decision: Decision) -> None:
        """Takes over what the decision wants remembered and told."""
        before = controller.history
        controller.history = decision.history
        self._memory.decided(controller, before)
        # Requests wait for what was decided to come.
        self._routing.publish(controller)
        self._take_over(controller, decision.conditions)

    def _take_over(self, controller: Controller, conditions: tuple[Condition, ...]) -> None:
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
        await self._effects.preparations.sweep(controller, lambda: ())
        controller.busy = controller.again = False
        if plan(self._world(controller)).gone:
            self._forget(controller)
        else:
            self.queue.wake(controller.id)
        self._signal_if_empty(controller)
        await self._effects.preparations.purge(controller)

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
        if controller is not None:
            self._memory.happened(controller)
        others = self._dependencies
        self._wake(others.dependencies(service_id) if self.stopping else others.dependents(service_id))

    def _wake(self, service_ids: Iterable[str]) -> None:
        for service_id in service_ids:
            self.queue.wake(service_id)

    def _signal_if_empty(self, controller: Controller) -> None:
        if self.stopping and not (controller.instances or controller.busy):
            self._empty.set()


def _is_final(decision: Decision, controller: Controller) -> bool:
    """Whether the same world can only lead to the same decision, and that one asks for nothing."""
    waiting = isinstance(decision.outcome, (RetryAfter, Failed))
    return not (decision.actions or decision.gone or waiting or controller.unswept)
