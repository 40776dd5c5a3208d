"""What a person grants to the services of others, and takes back: `atek grant`, `atek revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from reconciler.drive.desired import DesiredState
    from reconciler.drive.events import EventLog


class Granting:
    """What is granted holds for the service of the source that asks now, across restarts of the node."""

    def __init__(self, desired: DesiredState, events: EventLog) -> None:
        self._desired = desired
        self._keeper = desired.gatekeeper
        self._events = events

    def rows(self, service_id: str = "") -> list[dict[str, Any]]:
        """All that is asked for or granted, or of one service: service, source, id, what, why, granted."""
        gates = self._desired.gates
        granted = any(service_id in ("", each) for _, each in self._keeper.grants.all())
        if not granted and not (service_id in gates if service_id else gates):
            return []
        rows = self._keeper.rows(self._desired.merged.services, gates)
        return [row for row in rows if service_id in ("", row["service"])]

    async def grant(self, service_id: str, rights: Sequence[str]) -> list[str]:
        """Those that are asked for and named, or all; returns what is new. Raises UserError."""
        gate, winner = self._desired.gates.get(service_id), self._desired.merged.services.get(service_id)
        if winner is None or gate is None or not gate.rights:
            raise UserError(
                f"{service_id} asks for nothing",
                hint="`atek grant` lists the services that ask for something",
            )
        asked = {right.id for right in gate.rights}
        _check(service_id, rights, asked, "asks for")
        granted = {row["id"] for row in self.rows(service_id) if row["granted"]}
        more = set(rights or asked) - granted
        self._change(service_id, winner.source, granted | more)
        for each in sorted(more):
            self._events.emit(service_id, "RightGranted", f"{each} is granted to it")
        await self._desired.refresh()
        return sorted(more)

    async def revoke(self, service_id: str, rights: Sequence[str]) -> list[str]:
        """Those that are named, or all; what needs them ends. Returns what was granted. Raises UserError."""
        of = {key: rights for key, rights in self._keeper.grants.all().items() if key[1] == service_id}
        granted = frozenset().union(*of.values())
        if not granted:
            raise UserError(f"nothing is granted to {service_id}", hint="`atek grant` lists what is")
        _check(service_id, rights, granted, "has")
        less = set(rights or granted) & granted
        for owner, service in of:
            try:
                self._keeper.grants.put(owner, service, of[owner, service] - less)
            except OSError as error:
                raise _unwritten(error) from error
        for each in sorted(less):
            self._events.emit(service_id, "RightRevoked", f"{each} is taken from it")
        await self._desired.refresh()
        return sorted(less)

    def forget(self, owner: str) -> None:
        """Nothing of that owner's is here any more. Raises UserError."""
        try:
            self._keeper.grants.forget(owner)
        except OSError as error:
            raise _unwritten(error) from error

    def _change(self, service_id: str, source: str, rights: Collection[str]) -> None:
        try:
            self._keeper.change(service_id, source, rights)
        except OSError as error:
            raise _unwritten(error) from error


def _check(service_id: str, rights: Sequence[str], there: Collection[str], verb: str) -> None:
    if wrong := sorted(set(rights) - set(there)):
        raise UserError(
            f"{service_id} {verb} no right {wrong[0]}", hint=f"it {verb} {', '.join(sorted(there))}"
        )


def _unwritten(error: OSError) -> UserError:
    return UserError(
        f"it could not be saved, so nothing was changed: {error.strerror or error}",
        hint="free some space on the disk of the state directory and try again",
    )
