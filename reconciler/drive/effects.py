"""Carries out what the planner asked for, and reports what came of it.

Each effect changes the world first and the controller's memory at once after it, without an `await` between,
so that the next decision sees both or neither. Nothing here decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from manifests.model.quantities import format_duration
from reconciler.decide import backoff, preparations
from reconciler.decide.actions import CancelPrepare, EndDrain, Look, Prepare, Resume, Start, Stop
from reconciler.decide.conditions import Verdict
from reconciler.decide.controller import Tracked
from reconciler.decide.history import Keeps
from reconciler.decide.internal_error import defect
from reconciler.decide.lifecycle import Event, State
from reconciler.decide.routes import backends_of, restarts
from reconciler.decide.strategy import changed_by_both, choose
from reconciler.decide.world import Instance
from reconciler.drive.supervision import attend
from runtimes.base import Kept, Launch, Notice, PermanentFailure, RuntimeFailure, RuntimeUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from anyio.abc import TaskGroup

    from manifests.model.service import Service
    from reconciler.decide.actions import Action
    from reconciler.decide.controller import Controller, Preparing
    from reconciler.decide.history import History
    from reconciler.drive.events import EventLog
    from reconciler.drive.metrics import Metrics
    from reconciler.drive.routing import Routing
    from runtimes.base import Exit, Running, Runtime
    from runtimes.probes import Prober

#: Preparations at a time: more would only make each slower on a small machine.
PREPARATIONS = 2
#: Seconds until an instance is watched again after a defect in watching it.
ATTEND_AGAIN = 1.0


@dataclass(eq=False, slots=True)
class _Preparing:
    """Implements `reconciler.decide.controller.Preparing`. `earlier`: those of the service before it."""

    service: Service
    earlier: Collection[Preparing]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)

    def cancel(self) -> None:
        self.scope.cancel()

    async def over(self) -> None:
        await self.ended.wait()


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
    ) -> None:
        self._changed = changed
        self._lost = lost
        self._runtimes = runtimes
        self._prober = prober
        self._events = events
        self._metrics = metrics
        self._routing = routing
        self._identity = identity
        self._new_id = new_id
        self._new_token = new_token
        self._jitter = jitter
        self._preparations = anyio.Semaphore(PREPARATIONS)

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
                await self._look(controller, action)
            case Prepare():
                self._begin_preparing(controller, action.service, tasks)
            case CancelPrepare():
                self._cancel_preparing(controller, action.revision)

    def adopt(self, controller: Controller, running: Running, tasks: TaskGroup) -> None:
        """Takes over an instance that an earlier life of this node started."""
        self._track(controller, running, tasks)
        self._events.emit(
            controller.id, "Adopted", f"found running as {running.pid or running.container}", running.instance
        )

    def moved(self, controller: Controller, running: Running, lacking: str, news: Sequence[str]) -> None:
        """Tasks of an instance came or went: the router is told, and so is whoever asks for the status.

        Without a probe to say so, an instance serves as long as any of its tasks does.
        """
        tracked = controller.instances.get(running.instance)
        if tracked is None:
            return
        tracked.running = replace(tracked.running, copies=running.copies, endpoint=running.endpoint)
        controller.progress = lacking
        self._routing.publish(controller)
        for line in news:
            self._events.emit(controller.id, "TaskLost", line, running.instance, warning=True)
        if tracked.running.service.manifest.probes.readiness in (None, "none"):
            if not running.copies:
                self._happened(controller, tracked, Event.FAIL, lacking)
            elif tracked.view.state is State.UNREADY:
                self._happened(controller, tracked, Event.PASS, "")

    async def sweep(self, controller: Controller, needed: Callable[[], Collection[Service]]) -> None:
        """Takes away all prepared packages but those that are needed, asked anew before each step."""
        controller.unswept = False
        for runtime in self._runtimes.values():
            keep = needed()
            controller.history = preparations.swept(
                controller.history, {service.revision for service in keep}
            )
            try:
                told = await runtime.rescue(controller.id, keep, controller.history.healthy)
                for line in told:
                    self._events.emit(controller.id, "FilesKept", line)
                # What was rescued is of no use any more, or it is of use again; nothing comes in between.
                keep = needed()
                await runtime.collect(controller.id, keep)
            except (RuntimeFailure, OSError) as failure:
                self._events.emit(controller.id, "CollectFailed", str(failure), warning=True)
            except Exception as error:
                self._defect(controller, error)

    async def look_at_kept(self, controller: Controller, service: Service) -> Kept:
        """What it has kept by now. What cannot be seen counts as something: it is not put at risk."""
        try:
            controller.kept = await self._runtime(service).kept(service)
        except (RuntimeFailure, OSError) as failure:
            if isinstance(failure, RuntimeUnavailable):
                self._lost(service.runtime, failure)
            controller.kept = Kept(f"what it keeps cannot be seen: {failure}")
        return controller.kept

    async def _tell_of_conflicts(self, controller: Controller, service: Service) -> None:
        try:
            kept = await self.look_at_kept(controller, service)
        except Exception as error:
            self._defect(controller, error)
            return
        if kept.conflicts:
            self._events.emit(controller.id, "ChangedByBoth", changed_by_both(kept), warning=True)

    async def _look(self, controller: Controller, action: Look) -> None:
        kept = await self.look_at_kept(controller, action.running)
        keeps = Keeps(action.service.revision, kept.what)
        controller.history = replace(controller.history, keeps=keeps)
        choice = choose(action.service, kept.what)
        self._events.emit(controller.id, "UpdateStrategy", f"{choice.strategy}: {choice.because}")

    async def purge(self, controller: Controller) -> None:
        """Deletes what was taken away, beside everything else: nothing of it is anybody's any more."""
        for runtime in self._runtimes.values():
            try:
                await runtime.purge()
            except (RuntimeFailure, OSError) as failure:
                self._events.emit(controller.id, "CollectFailed", str(failure), warning=True)
            except Exception as error:
                self._defect(controller, error)

    async def _anticipate(self, controller: Controller, service: Service) -> None:
        """Makes the next edit of a service quicker, beside everything else."""
        try:
            await self._runtime(service).anticipate(service)
        except (RuntimeFailure, OSError):
            # Nobody waits for it: the next preparation takes longer, or says what is wrong.
            return
        except Exception as error:
            self._defect(controller, error)

    async def _start(self, controller: Controller, action: Start, tasks: TaskGroup) -> None:
        service = action.service
        holder = controller.history.healthy
        identity = {**self._identity(service.id), "token": self._new_token(service.id)}
        launch = Launch(self._new_id(), service, action.slot, identity, holder)
        try:
            running = await self._runtime(service).start(launch)
        except RuntimeUnavailable as failure:
            self._lost(service.runtime, failure)
            return
        except RuntimeFailure as failure:
            self._crashed(controller, service, str(failure), ready_for=0.0, reason=failure.reason)
            if failure.permanent:
                controller.history = backoff.after_refusal(
                    controller.history, service, _for_good(failure, service)
                )
            self._events.emit(controller.id, failure.reason, str(failure), warning=True)
            return
        self._track(controller, running, tasks)
        if holder is not None and holder.revision != service.revision:
            tasks.start_soon(self._tell_of_conflicts, controller, service)
        self._events.emit(controller.id, "Started", f"revision {service.revision}", running.instance)

    def _track(self, controller: Controller, running: Running, tasks: TaskGroup) -> None:
        view = Instance(running.instance, running.service, running.slot, State.STARTING, anyio.current_time())
        tracked = Tracked(view, running)
        tracked.follow(controller.wish.service)
        controller.instances[running.instance] = tracked
        self._routing.publish(controller)
        tasks.start_soon(self._attend, controller, tracked)

    async def _attend(self, controller: Controller, tracked: Tracked) -> None:
        running = tracked.running

        def happened(event: Event, why: str) -> None:
            self._happened(controller, tracked, event, why)

        while True:
            try:
                exit = await attend(running, self._runtime(running.service), self._prober, happened)
                break
            except Exception as error:
                # Whatever is wrong with watching one instance, the others are watched on.
                self._defect(controller, error)
                await anyio.sleep(ATTEND_AGAIN)
        try:
            self._ended(controller, tracked, exit)
        except Exception as error:
            # It is gone, whatever is wrong with telling so.
            controller.instances.pop(running.instance, None)
            self._defect(controller, error)
            self._changed(controller.id)

    def _defect(self, controller: Controller, error: Exception) -> Verdict:
        """Something happened that nobody thought of; it concerns one service only."""
        self._metrics.reconcile_errors += 1
        verdict = defect(error)
        self._events.emit(controller.id, verdict.reason, verdict.message, warning=True)
        return verdict

    def _happened(self, controller: Controller, tracked: Tracked, event: Event, why: str) -> None:
        was_fit = tracked.view.fit
        moved = self._move(controller, tracked, event, why)
        if moved and event is Event.CONDEMN:
            tracked.crash = why
        # An instance that is condemned stays so for the reason that it was.
        new = why != tracked.view.complaint and event in (Event.CONDEMN, Event.FAIL) and not tracked.crash
        if moved or new:
            tracked.view = replace(tracked.view, complaint=why)
        if moved or new or tracked.view.fit is not was_fit:
            self._changed(controller.id)

    def _move(self, controller: Controller, tracked: Tracked, event: Event, why: str) -> bool:
        """Through the lifecycle table; where that leads elsewhere, the router is told before anybody else."""
        if not tracked.apply(event, anyio.current_time()):
            return False
        self._routing.publish(controller)
        bad = event in (Event.FAIL, Event.CONDEMN)
        self._events.emit(controller.id, tracked.view.state.value, why, tracked.view.id, warning=bad)
        return True

    def _ended(self, controller: Controller, tracked: Tracked, exit: Exit) -> None:
        view, now = tracked.view, anyio.current_time()
        asked = view.leaving and not tracked.crash
        tracked.apply(Event.EXIT, now)
        controller.instances.pop(view.id, None)
        ready_for = now - view.ready_since if view.ready_since is not None else 0.0
        if tracked.crash:
            self._crashed(controller, view.service, tracked.crash, ready_for=ready_for)
        elif not asked:
            controller.history = backoff.after_exit(
                controller.history, view.service, view.slot, exit,
                now=now, ready_for=ready_for, jitter=self._jitter(),
            )  # fmt: skip
            if view.slot not in controller.history.completed:
                self._metrics.restarted(controller.id)
        self._routing.publish(controller)
        reason, message = ("Stopped", exit.status) if asked else ("Exited", str(exit))
        self._events.emit(controller.id, reason, message, view.id, warning=not asked and not exit.success)
        self._changed(controller.id)

    def _crashed(
        self, controller: Controller, service: Service, cause: str, *, ready_for: float, reason: str = ""
    ) -> None:
        controller.history = backoff.after_crash(
            controller.history, service, cause,
            now=anyio.current_time(), ready_for=ready_for, jitter=self._jitter(), reason=reason,
        )  # fmt: skip
        self._metrics.restarted(controller.id)

    async def force(self, controller: Controller, tracked: Tracked, reason: str) -> None:
        """Ends an instance at once, whatever it is doing."""
        if not self._move(controller, tracked, Event.FORCE, reason):
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
        elif self._move(controller, tracked, Event.STOP, action.reason):
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
                    await self._routing.drained(backend.instance, restart=restarts(controller))
            if not scope.cancel_called:
                await self._end_drain(controller, tracked.view.id, reason)
        except Exception as error:
            # The planner's deadline ends this drain; nothing else is concerned.
            self._defect(controller, error)

    def _resume(self, controller: Controller, instance: str) -> None:
        """Leaving DRAINING gives up the wait for its requests, and publishes it again."""
        tracked = controller.instances.get(instance)
        if tracked is not None:
            self._move(controller, tracked, Event.RESUME, "wanted again")

    async def _end_drain(self, controller: Controller, instance: str, reason: str) -> None:
        tracked = controller.instances.get(instance)
        if tracked is not None and self._move(controller, tracked, Event.DRAINED, reason):
            self._changed(controller.id)
            await self._signal(controller, tracked)

    async def _signal(self, controller: Controller, tracked: Tracked, *, force: bool = False) -> None:
        try:
            await self._runtime(tracked.running.service).stop(tracked.running, force=force)
        except RuntimeUnavailable as failure:
            self._lost(tracked.running.service.runtime, failure)
        except RuntimeFailure as failure:
            self._events.emit(controller.id, failure.reason, str(failure), tracked.view.id, warning=True)

    def _begin_preparing(self, controller: Controller, service: Service, tasks: TaskGroup) -> None:
        revision = service.revision
        controller.history = preparations.started(controller.history, revision)
        self._events.emit(controller.id, "Preparing", f"revision {revision}")
        work = _Preparing(service, tuple(controller.preparing))
        controller.preparing.append(work)
        tasks.start_soon(self._prepare, controller, work)

    async def _prepare(self, controller: Controller, work: _Preparing) -> None:
        with work.scope:
            # Two of one service would meet in its folders: what was given up may still be cleaning up.
            for earlier in work.earlier:
                await earlier.over()
            history = await self._prepared(controller, work.service)
            if not work.scope.cancel_called:
                controller.history = history
        controller.preparing.remove(work)
        work.ended.set()
        controller.progress = ""
        controller.unswept = True
        self._changed(controller.id)
        made = controller.history.preparations.get(work.service.revision)
        if made is not None and made.done:
            await self._anticipate(controller, work.service)
        else:
            # It may fail again and again.
            await self.purge(controller)

    async def _prepared(self, controller: Controller, service: Service) -> History:
        """Prepares, and returns the history with the result in it."""

        def progress(line: str) -> None:
            controller.progress = line
            if isinstance(line, Notice):
                self._events.emit(controller.id, line.reason, line)

        begin = anyio.current_time()
        try:
            async with self._preparations:
                await self._runtime(service).prepare(service, progress)
        except RuntimeUnavailable as failure:
            self._lost(service.runtime, failure)
            return preparations.cancelled(controller.history, service.revision)
        except RuntimeFailure as failure:
            verdict = (
                _for_good(failure, service) if failure.permanent else Verdict(failure.reason, str(failure))
            )
            self._events.emit(controller.id, failure.reason, str(failure), warning=True)
            return preparations.failed(
                controller.history, service.revision, verdict,
                permanent=failure.permanent, now=anyio.current_time(),
            )  # fmt: skip
        except Exception as error:
            # A defect in preparing one package must not take the node down with it.
            verdict = self._defect(controller, error)
            return preparations.failed(
                controller.history, service.revision, verdict, permanent=False, now=anyio.current_time()
            )
        took = format_duration(round(anyio.current_time() - begin, 1))
        self._events.emit(controller.id, "Prepared", f"revision {service.revision}, in {took}")
        return preparations.done(controller.history, service.revision)

    def _cancel_preparing(self, controller: Controller, revision: str) -> None:
        """At once for the planner, which may ask for it again; its folders are another's once it is over."""
        controller.history = preparations.cancelled(controller.history, revision)
        for work in controller.preparing:
            if work.service.revision == revision:
                work.cancel()

    def _runtime(self, service: Service) -> Runtime:
        runtime = self._runtimes.get(service.runtime)
        if runtime is None:
            raise PermanentFailure("UnknownRuntime", f"this node has no runtime {service.runtime}")
        return runtime


def _for_good(failure: RuntimeFailure, service: Service) -> Verdict:
    again = f"not tried again until something changes, or by `atek start {service.id}`"
    return Verdict(failure.reason, f"{failure}; {again}")
