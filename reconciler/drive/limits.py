"""What a service may have of the disk and of its log, whatever instances it has; and what becomes of more.

    its log            what is too much is left out (runtimes.processes.log_rate); said here its data folder
    looked at while it runs and before each start; where it is too full, the service is ended,
                       and waits like a crashed one until there is less, or it may have more

How full a folder is takes a walk through it. That is made when the disk has become so much fuller that the
quota may be reached, and otherwise now and then; and never takes more than a fiftieth of the time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from manifests.model.quantities import format_size
from reconciler.decide.conditions import Condition
from reconciler.decide.controller import Noted
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.model.service import Service
    from manifests.model.spec import Resources
    from reconciler.decide.controller import Controller
    from reconciler.drive.controllers import Controllers
    from reconciler.drive.events import EventLog
    from reconciler.drive.instances import Instances
    from runtimes.processes.log_rate import Dropped

OVER_QUOTA = "DiskQuotaExceeded"
#: Seconds between two looks at the disk; the fewest and the most between two at a folder, in its own time
#: too.
GLANCE, SOON, LATEST, SHARE = 2.0, 5.0, 60.0, 50.0
#: Seconds after which another flood of output is another event, and after which it is over.
_ANOTHER, _OVER = 60.0, 600.0


class Disk(Protocol):
    """Where the data folders are."""

    async def used(self, service_id: str) -> int:
        """Bytes that the disk holds of a data folder. Raises OSError."""
        ...

    def free(self) -> int:
        """Bytes that are left on the disk. Raises OSError."""
        ...


class NoDisk:
    """For nodes whose services write nothing."""

    async def used(self, service_id: str) -> int:
        return 0

    def free(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Look:
    """At a data folder: what was found, how much was left on the disk then, and how long it took."""

    used: int
    free: int
    at: float
    took: float

    def is_due(self, quota: int, free: int, now: float) -> bool:
        """Whether it may be over its quota by now, or nobody has looked for long."""
        rest = max(SOON, self.took * SHARE)
        if now < self.at + rest:
            return False
        filled = self.free - free
        return filled >= max(quota - self.used, 0) / 2 or now >= self.at + max(LATEST, rest)


class Limits:
    """Those of all services of one node; `defaults` and `restarts_per_minute` where they say nothing."""

    def __init__(
        self,
        controllers: Controllers,
        events: EventLog,
        disk: Disk,
        defaults: Resources,
        restarts_per_minute: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.restarts_per_minute = restarts_per_minute
        self._controllers = controllers
        self._events = events
        self._disk = disk
        self._defaults = defaults
        self._wall = wall
        self._looks: dict[str, Look] = {}
        self._last_words: dict[str, float] = {}
        self._dropped: dict[str, int] = {}

    def of(self, service: Service) -> Resources:
        return service.manifest.resources.within(self._defaults)

    # -- logs

    def log_rate(self, service_id: str) -> int | None:
        """Bytes a second; None for any number."""
        controller = self._controllers.get(service_id)
        service = controller and controller.wish.service
        return self.of(service).log_rate if service else self._defaults.log_rate

    def log_dropped(self, service_id: str, dropped: Dropped) -> None:
        """Something was left out of its log."""
        controller = self._controllers.get(service_id)
        if controller is None:
            return
        now, before = anyio.current_time(), self._last_words.get(service_id)
        self._last_words[service_id] = now
        self._dropped[service_id] = self._dropped.get(service_id, 0) + dropped.size
        most = format_size(dropped.rate)
        message = (
            f"it prints more than {most} a second: {format_size(self._dropped[service_id])} are left out "
            "of its log; resources.logRate lets it print more"
        )
        since = controller.found["LogComplete"].since if "LogComplete" in controller.found else self._wall()
        controller.found["LogComplete"] = Noted(
            Condition("LogComplete", "False", "LogRateExceeded", message), since
        )
        if before is None or now > before + _ANOTHER:
            self._events.emit(service_id, "LogRateExceeded", str(dropped), warning=True)

    def _forget_floods(self) -> None:
        """Long ago what was left out is no condition of what runs."""
        now = anyio.current_time()
        for service_id, at in list(self._last_words.items()):
            if now > at + _OVER:
                del self._last_words[service_id], self._dropped[service_id]
                if (controller := self._controllers.get(service_id)) is not None:
                    controller.found.pop("LogComplete", None)

    # -- disk

    async def require_room(self, service: Service) -> None:
        """Before a start. Raises RuntimeFailure where its data folder is too full."""
        quota = self.of(service).disk
        if quota is None:
            return
        used = (await self._look(service.id)).used
        if used > quota:
            raise RuntimeFailure(OVER_QUOTA, _too_full(service.id, used, quota), hint=_HINT)

    async def run(self, instances: Instances) -> None:
        """Until cancelled."""
        while True:
            await anyio.sleep(GLANCE)
            self._forget_floods()
            for controller in list(self._controllers.values()):
                if controller.instances:
                    await self._check(controller, instances)

    async def _check(self, controller: Controller, instances: Instances) -> None:
        running = next(iter(controller.instances.values())).running
        quota = self.of(running.service).disk
        if quota is None:
            return
        try:
            look = self._looks.get(controller.id)
            if look is None or look.is_due(quota, self._disk.free(), anyio.current_time()):
                look = await self._look(controller.id)
        except (OSError, RuntimeFailure):
            return
        if look.used > quota:
            instances.condemn(
                controller, OVER_QUOTA, f"{_too_full(controller.id, look.used, quota)} ({_HINT})"
            )

    async def _look(self, service_id: str) -> Look:
        begin = anyio.current_time()
        try:
            used, free = await self._disk.used(service_id), self._disk.free()
        except OSError as error:
            raise RuntimeFailure(
                "DataFolder", f"data/{service_id} cannot be looked at: {error.strerror or error}"
            ) from error
        now = anyio.current_time()
        self._looks[service_id] = Look(used, free, now, now - begin)
        return self._looks[service_id]


_HINT = "remove some of it, or raise resources.disk; it is started again by itself"


def _too_full(service_id: str, used: int, quota: int) -> str:
    return f"data/{service_id} has {format_size(used)}, and may have {format_size(quota)}"
