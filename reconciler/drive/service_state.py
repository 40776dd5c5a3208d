"""What one service's entry in `status` means: whether it serves, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.decide.conditions import condition_of
from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection


def explanation(service: dict[str, Any]) -> str:
    """Why a service is not ready, or what else there is to say about it."""
    stalled, ready = condition_of(service, "Stalled"), condition_of(service, "Ready")
    telling = stalled if stalled["status"] == "True" else ready
    if telling["status"] == "True" and telling is ready:
        return str(ready["message"])
    return ": ".join(part for part in (telling["reason"], telling["message"]) if part)


def serves(service: dict[str, Any], *, without: Collection[str] = ()) -> str | None:
    """A sentence once the wanted revision is ready and no instance of `without` is left; None before.

    Raises UserError when the node has given up on it.
    """
    name = service["id"]
    if any(instance.get("instance") in without for instance in service["instances"]):
        return None
    if condition_of(service, "Stalled")["status"] == "True":
        raise UserError(f"{name}: {explanation(service)}", hint=f"`atek logs {name}` may say more")
    ready = condition_of(service, "Ready")
    if ready["reason"] == "Completed":
        return f"{name} has completed"
    current = service["observedRevision"] == service["desiredRevision"]
    return f"{name} is ready" if ready["status"] == "True" and current else None
