"""What becomes of an instance: from its start or its adoption until its end is in the service's history.

What probes find and what the planner asks for moves it through the lifecycle table; the router is told before
anybody else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from reconciler.decide import backoff
from reconciler.decide.controller import Tracked
from reconciler.decide.lifecycle import Event, State
from reconciler.decide.world import Instance
from reconciler.drive.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from manifests.model.service import Service
    from reconciler.decide.controller import Controller
    from reconciler.drive.surroundings import Surroundings
    from runtimes.base import Exit, Running
    from runtimes.probes import Prober

#: Seconds until an instance is supervised again after an internal error in supervising it.
SUPERVISE_AGAIN = 1.0


class Instances:
    """Those that run, each with a task that supervises it."""

    def __init__(
        self, surroundings: Surroundings, prober: Prober, jitter: Callable[[], float], per_minute: int
    ) -> None:
        """`per_minute`: how often what does not say so itself is replaced, for each of its slots."""
        self._per_minute = per_minute
        self._surroundings = surroundings
        self._events = surroundings.events
        self._prober = prober
        self._jitter = jitter

    def adopt(self, controller: Controller, running: Running, tasks: TaskGroup) -> None:
        """Takes over an instance that an earlier life of this node started."""
        self.track(controller, running, tasks)
        self._events.emit(
            controller.id, "Adopted", f"found running as {running.pid or running.container}", running.instance
        )

    def track(self, controller: Controller, running: Running, tasks: TaskGroup) -> None:
        """From now on it is known, and supervised."""
        view = Instance(running.instance, running.service, running.slot, State.STARTING, anyio.current_time())
        tracked = Tracked(view, running)
        tracked.follow(controller.wish.service)
        controller.instances[running.instance] = tracked
        self._surroundings.routing.publish(controller)
        tasks.start_soon(self._supervise, controller, tracked)

    def move(self, controller: Controller, tracked: Tracked, event: Event, why: str) -> bool:
        """Through the lifecycle table; whether that leads elsewhere."""
        if not tracked.apply(event, anyio.current_time()):
            return False
        self._surroundings.routing.publish(controller)
        bad = event in (Event.FAIL, Event.CONDEMN)
        self._events.emit(controller.id, tracked.view.state.value, why, tracked.view.id, warning=bad)
        return True

    def crashed(
        self, controller: Controller, service: Service, cause: str, *, ready_for: float, reason: str = ""
    ) -> None:
        """An instance ended, or could not be started, and is to be replaced."""
        controller.history = backoff.after_crash(
            controller.history, service, cause,
            now=anyio.current_time(), ready_for=ready_for, jitter=self._jitter(), reason=reason,
            per_minute=self._per_minute,
        )  # fmt: skip
        self._surroundings.metrics.restarted(controller.id)

    def moved(self, controller: Controller, running: Running, lacking: str, failures: Sequence[str]) -> None:
        """Tasks of an instance came or went: the router is told, and so is whoever asks for the status."""
        tracked = controller.instances.get(running.instance)
        if tracked is None:
            return
        tracked.running = replace(tracked.running, copies=running.copies, endpoint=running.endpoint)
        controller.progress = lacking
        self._surroundings.routing.publish(controller)
        for line in failures:
            self._events.emit(controller.id, "TaskLost", line, running.instance, warning=True)
        self._judge_tasks(controller, tracked, lacking)

    def _judge_tasks(self, controller: Controller, tracked: Tracked, lacking: str) -> None:
        """Without a probe to say so, an instance serves as long as any of its tasks does."""
        if tracked.running.service.manifest.probes.readiness not in (None, "none"):
            return
        if not tracked.running.copies:
            self._happened(controller, tracked, Event.FAIL, lacking)
        elif tracked.view.state is State.UNREADY:
            self._happened(controller, tracked, Event.PASS, "")

    def condemn(self, controller: Controller, reason: str, why: str) -> None:
        """All that live of a service have to end, and may not go on as they are."""
        for tracked in list(controller.instances.values()):
            if tracked.view.live and not tracked.crash:
                tracked.reason = reason
                self._happened(controller, tracked, Event.CONDEMN, why)

    async def _supervise(self, controller: Controller, tracked: Tracked) -> None:
        exit = await self._until_it_ends(controller, tracked)
        try:
            self._ended(controller, tracked, exit)
        except Exception as error:
            # It is gone, whatever is wrong with telling so.
            controller.instances.pop(tracked.view.id, None)
            self._surroundings.errors.report(controller.id, error)
            self._surroundings.changed(controller.id)

    async def _until_it_ends(self, controller: Controller, tracked: Tracked) -> Exit:
        running = tracked.running

        def happened(event: Event, why: str) -> None:
            self._happened(controller, tracked, event, why)

        while True:
            try:
                runtime = self._surroundings.runtime(running.service)
                return await supervise(running, runtime, self._prober, happened)
            except Exception as error:
                # Whatever is wrong with supervising one instance, the others are supervised on.
                self._surroundings.errors.report(controller.id, error)
                await anyio.sleep(SUPERVISE_AGAIN)

    def _happened(self, controller: Controller, tracked: Tracked, event: Event, why: str) -> None:
        was_fit = tracked.view.fit
        moved = self.move(controller, tracked, event, why)
        if moved and event is Event.CONDEMN:
            tracked.crash = why
        # An instance that is condemned stays so for the reason that it was.
        new = why != tracked.view.complaint and event in (Event.CONDEMN, Event.FAIL) and not tracked.crash
        if moved or new:
            tracked.view = replace(tracked.view, complaint=why)
        if moved or new or tracked.view.fit is not was_fit:
            self._surroundings.changed(controller.id)

    def _ended(self, controller: Controller, tracked: Tracked, exit: Exit) -> None:
        view, now = tracked.view, anyio.current_time()
        asked = view.leaving and not tracked.crash
        tracked.apply(Event.EXIT, now)
        controller.instances.pop(view.id, None)
        ready_for = now - view.ready_since if view.ready_since is not None else 0.0
        if tracked.crash:
            self.crashed(controller, view.service, tracked.crash, ready_for=ready_for, reason=tracked.reason)
        elif not asked:
            self._ended_by_itself(controller, view, exit, now, ready_for)
        self._surroundings.routing.publish(controller)
        reason, message = ("Stopped", exit.status) if asked else ("Exited", str(exit))
        self._events.emit(controller.id, reason, message, view.id, warning=not asked and not exit.success)
        self._surroundings.changed(controller.id)

    def _ended_by_itself(
        self, controller: Controller, view: Instance, exit: Exit, now: float, ready_for: float
    ) -> None:
        controller.history = backoff.after_exit(
            controller.history, view.service, view.slot, exit,
            now=now, ready_for=ready_for, jitter=self._jitter(), per_minute=self._per_minute,
        )  # fmt: skip
        if view.slot not in controller.history.completed:
            self._surroundings.metrics.restarted(controller.id)
