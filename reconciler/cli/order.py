"""`atek stop`, `start`, `restart`: asks the node, then waits until it is really so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client, find_service
from reconciler.cli.waiting import wait_for
from reconciler.drive.service_state import explanation, serves
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Look = Callable[[dict[str, Any]], str | None]

_DONE = {"stop": "stopped", "start": "started", "restart": "restarted"}


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError when it is not so in time, or cannot become so."""
    client = Client(arguments.home)
    status = client.status()
    if all(service["id"] != arguments.id for service in status["services"]):
        # It may be in the node's records, for others to run; or the node says that there is no such.
        client.call(arguments.command, id=arguments.id)
        print(f"the nodes that run {arguments.id} are asked to {arguments.command} it")
        return 0
    before = find_service(status, arguments.id)
    client.call(arguments.command, id=arguments.id)
    if not arguments.wait:
        print(f"{arguments.id} is asked to {arguments.command}")
        return 0
    reached = wait_for(client, _look(arguments.command, before), seconds=arguments.wait)
    if reached is None:
        service = find_service(client.status(), arguments.id)
        why = explanation(service) or "its instances have not ended"
        raise UserError(
            f"{arguments.id} is not {_DONE[arguments.command]} after {arguments.wait:g} s: {why}",
            hint=f"the node goes on trying; `atek logs {arguments.id}` may say more",
        )
    print(reached)
    return 0


def _look(command: str, before: dict[str, Any]) -> Look:
    """What tells that the order is carried out: never the answer to it, always the state of the world."""
    service_id = before["id"]
    old = {instance["instance"] for instance in before["instances"]} if command == "restart" else set()

    def look(status: dict[str, Any]) -> str | None:
        service = find_service(status, service_id)
        if command == "stop":
            return f"{service_id} is stopped" if not service["instances"] else None
        return serves(service, without=old)

    return look
