"""Who calls a system API, as the router says, and what an API answers to those who may not.

Codes, where JSON-RPC leaves them to the server, are those of the original's RPC library, which its clients
know by name: -32001 ParamValidationError, -32003 GeneralError (a handler threw; "Not authorized" too).
-32601 is a method that there is not. `data`, where there is any, is `{"hint": …}` for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.gitops.port import GIT
from reconciler.http.jsonrpc import RpcError
from reconciler.peers.port import FOLLOW
from reconciler.people.model import GUEST, OWNER
from runtimes.router.decide.table import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.people.port import People

BAD_PARAMS = -32001
GENERAL = -32003


@dataclass(frozen=True, slots=True)
class Caller:
    """`user` is a user's key, or `system`: an administrator, or a service of the node's own.

    `role` is that of a person who is signed in; of a service, which acts for a person as far as it is theirs,
    and of nobody that is known, it is empty.
    """

    user: str
    service: str = ""
    role: str = ""

    @property
    def admin(self) -> bool:
        return self.user == SYSTEM or self.role == OWNER

    @property
    def guest(self) -> bool:
        """Whether it is somebody who may use what is there, and bring nothing."""
        return self.role == GUEST

    @property
    def followed(self) -> bool:
        """Whether it is a service that another node brought here."""
        return self.user.startswith((FOLLOW, GIT))


def caller_of(headers: Mapping[str, str], people: People) -> Caller:
    """From a request's headers. Raises RpcError where the router said nothing: nobody may do nothing.

    What a person installed acts as that person, but has none of an owner's rights: those are for who is
    signed in, of whom the router says that the node itself is called.
    """
    user = headers.get("atek-auth-user", "")
    if not user:
        raise not_authorized()
    service = headers.get("atek-auth-service", "")
    person = people.everybody.people.get(user) if service == SYSTEM else None
    return Caller(user, service, person.role if person else "")


def not_authorized() -> RpcError:
    return RpcError(GENERAL, "Not authorized")


def require_admin(caller: Caller) -> None:
    """Raises RpcError."""
    if not caller.admin:
        raise not_authorized()
