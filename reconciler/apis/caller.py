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
from runtimes.router.decide.table import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping

BAD_PARAMS = -32001
GENERAL = -32003


@dataclass(frozen=True, slots=True)
class Caller:
    """`user` is a user's key, or `system`: an administrator, or a service of the node's own."""

    user: str
    service: str = ""

    @property
    def admin(self) -> bool:
        return self.user == SYSTEM

    @property
    def followed(self) -> bool:
        """Whether it is a service that another node brought here."""
        return self.user.startswith((FOLLOW, GIT))


def caller_of(headers: Mapping[str, str]) -> Caller:
    """From a request's headers. Raises RpcError where the router said nothing: nobody may do nothing."""
    user = headers.get("atek-auth-user", "")
    if not user:
        raise not_authorized()
    return Caller(user, headers.get("atek-auth-service", ""))


def not_authorized() -> RpcError:
    return RpcError(GENERAL, "Not authorized")


def require_admin(caller: Caller) -> None:
    """Raises RpcError."""
    if not caller.admin:
        raise not_authorized()
