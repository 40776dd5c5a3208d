"""Who may do what. Pure: a caller, what the tables say about a database, and an answer.

An administrator may everything. The owner of a database, a service together with its user, reads, writes and
configures it; what is public everybody reads. What the tables do not name is somebody else's database, which
whoever has its key may read, or one of the node's own, which is an administrator's business. What belongs to
this service itself was made by a person in a browser, so all services of that person share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyper.adb.rules.entries import Owner
from hyper.adb.rules.errors import RpcError, refused

if TYPE_CHECKING:
    from hyper.adb.rules.entries import Entry

SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Caller:
    """As the router said. `own` is the key of this service, the Atek Database."""

    user: str
    service: str
    admin: bool = False
    own: str = ""

    @property
    def owner(self) -> Owner:
        """Whose a database is that it makes."""
        return Owner(self.user, self.service)

    def owns(self, entry: Entry) -> bool:
        if not self.user or entry.owner.user != self.user:
            return False
        return entry.owner.service in ((self.service, self.own) if self.own else (self.service,))


def require_admin(caller: Caller) -> None:
    """Raises RpcError, as all of these."""
    if not caller.admin:
        raise not_authorized()


def require_read(caller: Caller, db_id: str, entry: Entry | None, *, nodes_own: bool = False) -> None:
    """`nodes_own`: no table names it, and its writer is this node."""
    if caller.admin:
        return
    allowed = not nodes_own if entry is None else entry.public or caller.owns(entry)
    if not allowed:
        raise refused(f"Not authorized to access {db_id}")


def require_write(caller: Caller, db_id: str, entry: Entry | None) -> None:
    if not caller.admin and (entry is None or not caller.owns(entry)):
        raise refused(f"Not authorized to write {db_id}")


def require_configure(caller: Caller, entry: Entry | None) -> None:
    if caller.admin:
        return
    if entry is None:
        raise refused("Can't change the owning user of a database")
    if entry.owner.user != caller.user:
        raise refused("Can't configure a database owned by a different user")
    if not caller.owns(entry):
        raise refused("Can't configure a database owned by a different service")


def require_enumerate(caller: Caller, user: str) -> None:
    if not caller.admin and caller.user != user:
        raise refused("Cannot enumerate databases owned by another user")


def not_authorized() -> RpcError:
    return refused("Not authorized")
