"""What a person orders of a service: stop, start, restart, take over data.

A stop or a start is kept in the record that declares the service, where all that follow this node read it;
where no record does, in this node's own memory.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.decide import history as past
from reconciler.decide.inheritance import DATA_OWNED
from reconciler.errors import UserError
from reconciler.peers.port import RECORDS, Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.decide.controller import Controller
    from reconciler.drive.desired import DesiredState
    from reconciler.drive.loop import Reconciler
    from reconciler.peers.port import Nodes


class Orders:
    """Everything raises UserError, with nothing changed. `by` is this node's name, for the history."""

    def __init__(self, by: str, reconciler: Reconciler, desired: DesiredState, nodes: Nodes) -> None:
        self._by = by
        self._reconciler = reconciler
        self._controllers = reconciler.controllers
        self._desired = desired
        self._nodes = nodes

    async def stop(self, service_id: str) -> None:
        """Kept across restarts once this returns."""
        if await self._suspend_elsewhere(service_id, suspended=True):
            return
        controller = self._controllers.known(service_id)
        if not await self._suspend_record(controller, suspended=True):
            await self._save(controller, suspended=True)

    async def start(self, service_id: str) -> None:
        """Undoes a stop, and tries again what was given up."""
        if await self._suspend_elsewhere(service_id, suspended=False):
            return
        controller = self._controllers.known(service_id)
        service = controller.wish.service
        by_manifest = service is not None and service.manifest.suspend
        if by_manifest and not await self._suspend_record(controller, suspended=False):
            raise UserError(
                f"{service_id} is suspended by its manifest",
                hint=f"remove `suspend: true` from {controller.wish.file}",
            )
        await self._save(controller, suspended=False)

    async def restart(self, service_id: str) -> None:
        """Replaces the instances as a new revision would: with the same care."""
        controller = self._controllers.known(service_id)
        if controller.stopped:
            raise UserError(f"{service_id} is stopped", hint=f"`atek start {service_id}` starts it")
        controller.generation += 1
        try:
            with _saving():
                await self._reconciler.saver.save_now(service_id)
        except UserError:
            controller.generation -= 1
            raise
        controller.history = past.asked_again(controller.history)
        self._desired.resolve_again({service_id})

    async def adopt_data(self, service_id: str) -> None:
        """Lets a service have the data that one of another owner left under its id."""
        refusal = self._desired.refusals.get(service_id)
        if refusal is None or refusal.reason != DATA_OWNED:
            raise UserError(
                f"no service waits for data/{service_id}",
                hint=f"`atek status {service_id}` says how it fares",
            )
        with _saving():
            await self._desired.hand_over(service_id, refusal.source)
        message = f"data/{service_id} is handed over to {refusal.source}"
        self._reconciler.events.emit(service_id, "DataAdopted", message)

    # -- where it is kept

    async def _suspend_elsewhere(self, service_id: str, *, suspended: bool) -> bool:
        """Whether it is a service in this node's records that only others run: they read it there."""
        if service_id in self._controllers or not self._nodes.configured:
            return False
        if service_id not in await self._nodes.services.read():
            return False
        await self._nodes.services.suspend(service_id, self._change(suspended), suspended=suspended)
        return True

    async def _suspend_record(self, controller: Controller, *, suspended: bool) -> bool:
        """Whether the stop or start is in the record that declares the service, for all that follow it.

        While the daemon is away a stop is kept here, where it holds all the same.
        """
        service = controller.wish.service
        if service is None or service.source != RECORDS:
            return False
        if service.manifest.suspend is suspended:
            return True
        try:
            await self._nodes.services.suspend(controller.id, self._change(suspended), suspended=suspended)
        except UserError:
            if not suspended:
                raise
            return False
        return True

    def _change(self, suspended: bool) -> Change:
        return Change(self._by, "stop" if suspended else "start")

    async def _save(self, controller: Controller, *, suspended: bool) -> None:
        with _saving():
            await self._reconciler.suspend(controller, suspended=suspended)


@contextmanager
def _saving() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the state could not be saved, so nothing was changed: {error.strerror or error}",
            hint="free some space on the disk of the state directory and try again",
        ) from error
