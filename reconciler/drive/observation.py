"""What runs on the runtimes of a node: found and adopted when it starts, and known from then on.

A runtime that cannot say what runs keeps its services Unknown until it can: they are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from reconciler.decide.conditions import Verdict
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.abc import TaskGroup

    from reconciler.decide.controller import Controller
    from reconciler.drive.events import EventLog
    from runtimes.base import Running, Runtime, RuntimeUnavailable

#: Seconds until a runtime that could not say what runs is asked again.
OBSERVE_AGAIN = 2.0
_AWAY = "RuntimeUnavailable"
_NOT_YET = Verdict("Unobservable", "waits until the runtime can say what runs")


class Observation:
    """Which runtimes can say what runs. `changed` is called when one can again, or cannot any more.

    `away`: runtime → why it cannot.
    """

    def __init__(
        self,
        runtimes: Mapping[str, Runtime],
        events: EventLog,
        changed: Callable[[], None],
    ) -> None:
        self.away = dict.fromkeys(runtimes, _NOT_YET)
        self._runtimes = runtimes
        self._events = events
        self._changed = changed
        self._tasks: TaskGroup | None = None
        self._adopt: Callable[[Running], None] = lambda _: None

    async def begin(self, adopt: Callable[[Running], None], tasks: TaskGroup) -> None:
        """Tells `adopt` of all that runs; goes on in `tasks` where a runtime cannot say."""
        self._adopt, self._tasks = adopt, tasks
        for runtime in self._runtimes.values():
            if not await self._observe(runtime):
                tasks.start_soon(self._observe_again, runtime)

    @property
    def complete(self) -> bool:
        """Whether all runtimes of this machine itself can say what runs; a remote engine may be away."""
        return all(why.reason == _AWAY for why in self.away.values())

    def lost(self, name: str, failure: RuntimeUnavailable) -> None:
        """A runtime cannot be reached any more: its services are left alone until it answers again."""
        if name in self.away or self._tasks is None:
            return
        self._is_away(name, failure)
        self._tasks.start_soon(self._observe_again, self._runtimes[name])
        self._changed()

    def lacking(self, controller: Controller) -> Verdict | None:
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

    async def _observe_again(self, runtime: Runtime) -> None:
        while True:
            await anyio.sleep(OBSERVE_AGAIN)
            if await self._observe(runtime):
                self._changed()
                return

    async def _observe(self, runtime: Runtime) -> bool:
        try:
            found = await runtime.observe()
        except RuntimeFailure as failure:
            self._is_away(runtime.name, failure)
            return False
        del self.away[runtime.name]
        for running in found:
            self._adopt(running)
        return True

    def _is_away(self, name: str, failure: RuntimeFailure) -> None:
        """Told once, however often it is asked again."""
        why = Verdict(failure.reason, str(failure))
        if self.away.get(name) != why:
            self.away[name] = why
            self._events.emit("", failure.reason, f"{name}: {failure}", warning=True)
