"""Preparations in the background, a few at a time; and the end of what was prepared and nobody needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from manifests.model.quantities import format_duration
from reconciler.decide import preparations
from reconciler.decide.conditions import Verdict
from runtimes.base import Notice, RuntimeFailure, RuntimeUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from anyio.abc import TaskGroup

    from manifests.model.service import Service
    from reconciler.decide.controller import Controller, Preparing
    from reconciler.decide.history import History
    from reconciler.drive.secrets import SecretKeeper
    from reconciler.drive.surroundings import Surroundings

#: Preparations at a time: more would only make each slower on a small machine.
AT_A_TIME = 2


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


class Preparations:
    """All of one node."""

    def __init__(self, surroundings: Surroundings, secrets: SecretKeeper) -> None:
        self._secrets = secrets
        self._surroundings = surroundings
        self._events = surroundings.events
        self._room = anyio.Semaphore(AT_A_TIME)

    def begin(self, controller: Controller, service: Service, tasks: TaskGroup) -> None:
        """Goes on in `tasks`."""
        controller.history = preparations.started(controller.history, service.revision)
        self._events.emit(controller.id, "Preparing", f"revision {service.revision}")
        work = _Preparing(service, tuple(controller.preparing))
        controller.preparing.append(work)
        tasks.start_soon(self._prepare, controller, work)

    def cancel(self, controller: Controller, revision: str) -> None:
        """At once for the planner, which may ask for it again; its folders are another's once it is over."""
        controller.history = preparations.cancelled(controller.history, revision)
        for work in controller.preparing:
            if work.service.revision == revision:
                work.cancel()

    async def sweep(self, controller: Controller, needed: Callable[[], Collection[Service]]) -> None:
        """Takes away all prepared packages but those that are needed, asked anew before each step."""
        controller.unswept = False
        for runtime in self._surroundings.runtimes.values():
            keep = needed()
            kept = {service.revision for service in keep}
            controller.history = preparations.swept(controller.history, kept)
            try:
                told = await runtime.retain(controller.id, keep, controller.history.healthy)
                for line in told:
                    self._events.emit(controller.id, "FilesKept", line)
                # What was retained is of no use any more, or it is of use again; nothing comes in between.
                keep = needed()
                await runtime.collect(controller.id, keep)
            except (RuntimeFailure, OSError) as failure:
                self._events.emit(controller.id, "CollectFailed", str(failure), warning=True)
            except Exception as error:
                self._surroundings.errors.report(controller.id, error)
        self._secrets.collect(controller.id, {service.revision for service in needed()})

    async def purge(self, controller: Controller) -> None:
        """Deletes what was taken away, beside everything else: nothing of it is anybody's any more."""
        for runtime in self._surroundings.runtimes.values():
            try:
                await runtime.purge()
            except (RuntimeFailure, OSError) as failure:
                self._events.emit(controller.id, "CollectFailed", str(failure), warning=True)
            except Exception as error:
                self._surroundings.errors.report(controller.id, error)

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
        self._surroundings.changed(controller.id)
        made = controller.history.preparations.get(work.service.revision)
        if made is not None and made.done:
            await self._prewarm(controller, work.service)
        else:
            # It may fail again and again.
            await self.purge(controller)

    async def _prewarm(self, controller: Controller, service: Service) -> None:
        """Makes the next edit of a service quicker, beside everything else."""
        try:
            await self._surroundings.runtime(service).prewarm(service)
        except (RuntimeFailure, OSError):
            # Nobody waits for it: the next preparation takes longer, or says what is wrong.
            return
        except Exception as error:
            self._surroundings.errors.report(controller.id, error)

    async def _prepared(self, controller: Controller, service: Service) -> History:
        """Prepares, and returns the history with the result in it."""
        begin = anyio.current_time()
        try:
            await self._run(controller, service)
        except RuntimeUnavailable as failure:
            self._surroundings.lost(service.runtime, failure)
            return preparations.cancelled(controller.history, service.revision)
        except RuntimeFailure as failure:
            self._events.emit(controller.id, failure.reason, str(failure), warning=True)
            return _failed(controller, service, why_failed(failure, service), permanent=failure.permanent)
        except Exception as error:
            # An internal error in preparing one package must not take the node down with it.
            verdict = self._surroundings.errors.report(controller.id, error)
            return _failed(controller, service, verdict)
        took = format_duration(round(anyio.current_time() - begin, 1))
        self._events.emit(controller.id, "Prepared", f"revision {service.revision}, in {took}")
        return preparations.done(controller.history, service.revision)

    async def _run(self, controller: Controller, service: Service) -> None:
        def progress(line: str) -> None:
            controller.progress = line
            if isinstance(line, Notice):
                self._events.emit(controller.id, line.reason, line)

        async with self._room:
            await self._surroundings.runtime(service).prepare(service, progress)


def _failed(
    controller: Controller, service: Service, verdict: Verdict, *, permanent: bool = False
) -> History:
    return preparations.failed(
        controller.history, service.revision, verdict, permanent=permanent, now=anyio.current_time()
    )


def why_failed(failure: RuntimeFailure, service: Service) -> Verdict:
    """What a person can do where waiting does not mend it is said too."""
    again = f"; not tried again until something changes, or by `atek start {service.id}`"
    return Verdict(failure.reason, f"{failure}{again if failure.permanent else ''}")
