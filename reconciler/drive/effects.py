"""Carries out what the planner asked for, and reports what came of it.

Each effect changes the world first and the controller's memory at once after it, without an `await` between,
so that the next decision sees both or neither. Nothing here decides.

Here programs are started and asked to end; `preparing` prepares them, `instances` follows them until they
have ended, `kept` looks at what they keep.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from reconciler.decide import backoff
from reconciler.decide.actions import CancelPrepare, EndDrain, Look, Prepare, Resume, Start, Stop
from reconciler.decide.lifecycle import Event, State
from reconciler.decide.routes import backends_of, restarts
from reconciler.drive.instances import Instances
from reconciler.drive.internal_errors import InternalErrors
from reconciler.drive.preparing import Preparations, why_failed
from reconciler.drive.stateful import look_at_kept, look_before_update, warn_of_conflicts
from reconciler.drive.surroundings import Surroundings
from runtimes.base import Launch, RuntimeFailure, RuntimeUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.abc import TaskGroup

    from manifests.model.service import Service
    from reconciler.decide.actions import Action
    from reconciler.decide.controller import Controller, Tracked
    from reconciler.drive.events import EventLog
    from reconciler.drive.limits import Limits
    from reconciler.drive.metrics import Metrics
    from reconciler.drive.routing import Routing
    from reconciler.drive.secrets import SecretKeeper
    from runtimes.base import Kept, Running, Runtime
    from runtimes.probes import Prober


class Effects:
    """The hands of the loop.

    `changed` is called with a service's id whenever its world is different, `lost` with a runtime's name when
    it turns out that it cannot be reached.
    """

    def __init__(
        self,
        changed: Callable[[str], None],
        lost: Callable[[str, RuntimeUnavailable], None],
        *,
        runtimes: Mapping[str, Runtime],
        prober: Prober,
        events: EventLog,
        metrics: Metrics,
        routing: Routing,
        identity: Callable[[str], Mapping[str, str]],
        new_id: Callable[[], str],
        new_token: Callable[[str], str],
        jitter: Callable[[], float],
        secrets: SecretKeeper,
        limits: Limits,
    ) -> None:
        self._secrets = secrets
        self._limits = limits
        self._surroundings = Surroundings(
            runtimes, events, metrics, InternalErrors(events, metrics), routing, changed, lost
        )
        self._events = events
        self._identity = identity
        self._new_id = new_id
        self._new_token = new_token
        self.instances = Instances(self._surroundings, prober, jitter, limits.restarts_per_minute)
        self.preparations = Preparations(self._surroundings, secrets)

    async def carry_out(self, controller: Controller, action: Action, tasks: TaskGroup) -> None:
        """One action; what takes long goes on in `tasks`."""
        match action:
            case Start():
                await self._start(controller, action, tasks)
            case Stop():
                await self._stop(controller, action, tasks)
            case EndDrain():
                await self._end_drain(controller, action.instance, action.reason)
            case Resume():
                self._resume(controller, action.instance)
            case Look():
                await look_before_update(self._surroundings, controller, action)
            case Prepare():
                self.preparations.begin(controller, action.service, tasks)
            case CancelPrepare():
                self.preparations.cancel(controller, action.revision)

    async def _start(self, controller: Controller, action: Start, tasks: TaskGroup) -> None:
        service = action.service
        holder = controller.history.healthy
        token, router_token = (self._new_token(service.id) for _ in range(2))
        identity = {**self._identity(service.id), "token": token, "routerToken": router_token}
        try:
            await self._limits.require_room(service)
            secrets = self._secrets.open(service)
            launch = Launch(self._new_id(), service, action.slot, identity, holder, secrets)
            running = await self._surroundings.runtime(service).start(launch)
        except RuntimeUnavailable as failure:
            self._surroundings.lost(service.runtime, failure)
        except RuntimeFailure as failure:
            self._not_started(controller, service, failure)
        else:
            self._started(controller, launch, running, tasks)

    def _not_started(self, controller: Controller, service: Service, failure: RuntimeFailure) -> None:
        self.instances.crashed(controller, service, str(failure), ready_for=0.0, reason=failure.reason)
        if failure.permanent:
            verdict = why_failed(failure, service)
            controller.history = backoff.after_refusal(controller.history, service, verdict)
        self._events.emit(controller.id, failure.reason, str(failure), warning=True)

    def _started(self, controller: Controller, launch: Launch, running: Running, tasks: TaskGroup) -> None:
        service, before = launch.service, launch.holder
        self.instances.track(controller, running, tasks)
        if before is not None and before.revision != service.revision:
            tasks.start_soon(warn_of_conflicts, self._surroundings, controller, service)
        self._events.emit(controller.id, "Started", f"revision {service.revision}", running.instance)

    async def look_at_kept(self, controller: Controller, service: Service) -> Kept:
        """For whoever asks; a decision looks for itself when it needs to know."""
        return await look_at_kept(self._surroundings, controller, service)

    async def force(self, controller: Controller, tracked: Tracked, reason: str) -> None:
        """Ends an instance at once, whatever it is doing."""
        if not self.instances.move(controller, tracked, Event.FORCE, reason):
            tracked.view = replace(tracked.view, since=anyio.current_time())
        await self._signal(controller, tracked, force=True)

    async def _stop(self, controller: Controller, action: Stop, tasks: TaskGroup) -> None:
        tracked = controller.instances.get(action.instance)
        if tracked is None:
            return
        if action.crash:
            tracked.crash = tracked.crash or "it was not ready in time"
        if action.force:
            await self.force(controller, tracked, action.reason)
        elif self.instances.move(controller, tracked, Event.STOP, action.reason):
            if tracked.view.state is State.DRAINING:
                scope = tracked.drain = anyio.CancelScope()
                tasks.start_soon(self._drain, controller, tracked, scope, action.reason)
            else:
                await self._signal(controller, tracked)

    async def _drain(
        self, controller: Controller, tracked: Tracked, scope: anyio.CancelScope, reason: str
    ) -> None:
        """Waits for the requests in flight, until the instance is left no more time for them."""
        if scope.cancel_called:
            return
        try:
            with scope:
                for backend in backends_of(tracked):
                    await self._surroundings.routing.drained(backend.instance, restart=restarts(controller))
            if not scope.cancel_called:
                await self._end_drain(controller, tracked.view.id, reason)
        except Exception as error:
            # The planner's deadline ends this drain; nothing else is concerned.
            self._surroundings.errors.report(controller.id, error)

    def _resume(self, controller: Controller, instance: str) -> None:
        """Leaving DRAINING gives up the wait for its requests, and publishes it again."""
        tracked = controller.instances.get(instance)
        if tracked is not None:
            self.instances.move(controller, tracked, Event.RESUME, "wanted again")

    async def _end_drain(self, controller: Controller, instance: str, reason: str) -> None:
        tracked = controller.instances.get(instance)
        if tracked is not None and self.instances.move(controller, tracked, Event.DRAINED, reason):
            self._surroundings.changed(controller.id)
            await self._signal(controller, tracked)

    async def _signal(self, controller: Controller, tracked: Tracked, *, force: bool = False) -> None:
        try:
            await self._surroundings.runtime(tracked.running.service).stop(tracked.running, force=force)
        except RuntimeUnavailable as failure:
            self._surroundings.lost(tracked.running.service.runtime, failure)
        except RuntimeFailure as failure:
            self._events.emit(controller.id, failure.reason, str(failure), tracked.view.id, warning=True)
