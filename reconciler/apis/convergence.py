"""Waiting until the world is as somebody asked for, with a deadline, and saying which of the two came.

Woken by the node's events; every answer is the state of the world, never that of the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.drive.service_state import explanation, serves
from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from manifests.model.manifest import Manifest
    from reconciler.apis.port import ApiNode
    from reconciler.decide.event import EventRecord

    #: The outcome, or None while it is still open.
    Look = Callable[[], "Outcome | None"]

#: Seconds. An outcome has to last this long: status is a moment older than a wish that was just declared.
LASTS = 0.02
#: Not every change of status is told as an event.
LOOK_ANYWAY = 0.25
#: For the node to notice a changed file, and to take down what did not become ready in time.
NOTICE = 5.0

_UNNOTICED = "the node has not noticed the change"
_RUNNING = "its instances have not ended"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call tells of the service: whether it is as was asked for, and if not, why."""

    converged: bool
    message: str


class Convergence:
    """The waits of one call. Together they last at most `longest` seconds, whatever manifests allow.

    Who asks through the router gets an error after its `answerTimeout`, so this has to be less.
    """

    def __init__(self, node: ApiNode, longest: float) -> None:
        self._node = node
        self._ends = anyio.current_time() + longest

    async def noticed(self, service_id: str, manifest: Manifest) -> Outcome:
        """Until the node works towards this manifest, or says why it cannot."""

        def look() -> Outcome | None:
            return Outcome(True, "noticed") if self._follows(service_id, manifest) else None

        return await self._converge(look, seconds=NOTICE, unless=lambda: _UNNOTICED)

    async def serving(
        self, service_id: str, manifest: Manifest, *, without: Collection[str] = (), more: float = 0
    ) -> Outcome:
        """Until what this manifest declares is ready (or, for a stopped service, known), or is given up.

        Within its `healthyDeadline` and `more` seconds. `without`: instances that must be gone.
        """

        def look() -> Outcome | None:
            entry = self._node.service(service_id)
            if entry is None or not self._follows(service_id, manifest):
                return None
            return _serving(entry, without)

        def why() -> str:
            entry = self._node.service(service_id)
            if entry is None or not self._follows(service_id, manifest):
                return _UNNOTICED
            return explanation(entry) or "old instances have not ended"

        seconds = manifest.update.healthy_deadline + NOTICE + more
        return await self._converge(look, seconds=seconds, unless=why)

    async def stopped(self, service_id: str, manifest: Manifest) -> Outcome:
        """Until nothing of the service runs."""

        def look() -> Outcome | None:
            entry = self._node.service(service_id)
            return None if entry and entry["instances"] else Outcome(True, f"{service_id} is stopped")

        return await self._converge(look, seconds=seconds_to_stop(manifest), unless=lambda: _RUNNING)

    async def gone(self, service_id: str, manifest: Manifest) -> Outcome:
        """Until nothing is left of a service that nobody declares any more."""

        def look() -> Outcome | None:
            known = self._node.service(service_id) is not None
            return None if known else Outcome(True, f"{service_id} is gone")

        def why() -> str:
            return _UNNOTICED if service_id in self._node.declared() else _RUNNING

        return await self._converge(look, seconds=seconds_to_stop(manifest), unless=why)

    def _follows(self, service_id: str, manifest: Manifest) -> bool:
        declared = self._node.declared().get(service_id)
        return declared is not None and declared.manifest == manifest

    async def _converge(self, look: Look, *, seconds: float, unless: Callable[[], str]) -> Outcome:
        """The outcome that `look` finds, or after so many seconds what `unless` says."""
        seconds = min(seconds, max(self._ends - anyio.current_time(), 0.0))
        heard = False
        with self._node.events.subscribe() as events, anyio.move_on_after(seconds):
            while True:
                outcome = look()
                if outcome is None:
                    # Conditions follow the events that they come from, so after each there is a second look.
                    heard = await _hear(events, within=LASTS if heard else LOOK_ANYWAY)
                    continue
                await anyio.sleep(LASTS)
                if look() == outcome:
                    return outcome
        return Outcome(False, f"not within {round(seconds, 1):g} s: {unless()}")


def seconds_to_stop(manifest: Manifest) -> float:
    """How long requests in flight, and then the programs, may take to end."""
    return manifest.update.drain_timeout + manifest.stop.grace_period + NOTICE


async def _hear(events: AsyncIterator[EventRecord], *, within: float) -> bool:
    """Whether anything happens within so many seconds."""
    with anyio.move_on_after(within):
        await anext(events)
        return True
    return False


def _serving(entry: dict[str, Any], without: Collection[str]) -> Outcome | None:
    if entry["suspended"]:
        return None if entry["instances"] else Outcome(True, f"{entry['id']} is stopped")
    try:
        done = serves(entry, without=without)
    except UserError as error:
        return Outcome(False, error.message)
    return Outcome(True, done) if done else None
