"""`atek.cloud/user-sessions-api`: who is signed in, and how one gets to be.

The router passes these calls on as they came, with the session that they came by (`Atek-Auth-Session`), and
lets everybody ask. Signing in gives a new session, whatever cookie came along, and ends the one before it on
that device; signing out ends it at every host. Pages of other sites never get here (`decide.cross_site`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.apis.caller import not_authorized
from reconciler.apis.params import Options
from reconciler.http.jsonrpc import METHOD_NOT_FOUND, RpcError
from reconciler.people.decide import LONGEST
from reconciler.people.devices import client_of
from runtimes.router.protocol.cookies import session_cookie

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.apis.params import Params
    from reconciler.http.messages import Response
    from reconciler.people.devices import Client
    from reconciler.people.port import People

API = "atek.cloud/user-sessions-api"


class Credentials(Options):
    """What somebody says to be, and shows for it."""

    username: str
    password: str


class UserSessionCalls:
    """The calls of one request, and the cookie that their answer sets."""

    def __init__(self, people: People, headers: Mapping[str, str]) -> None:
        self._people = people
        self._client = client_of(headers)
        self._session = headers.get("atek-auth-session", "")
        self._cookie: bytes | None = None

    async def call(self, name: str, params: Params) -> object:
        """Raises RpcError, UserError or OSError."""
        match name:
            case "whoami":
                return self._whoami()
            case "login":
                return await self._login(params.options(0, Credentials))
            case "logout":
                await self._logout()
                return None
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {name}")

    def cookies(self, response: Response) -> Response:
        """The answer with the cookie of these calls, if there is one."""
        if self._cookie is None:
            return response
        return replace(response, headers={**response.headers, "set-cookie": self._cookie.decode()})

    def _whoami(self) -> dict[str, Any]:
        found = self._people.session(self._session)
        return {"isActive": True, "username": found[0].username} if found else {"isActive": False}

    async def _login(self, wanted: Credentials) -> dict[str, Any]:
        person, token = await self._people.login(wanted.username, wanted.password, self._client)
        if self._session:
            await self._people.end([self._session])
        self._session, self._cookie = "", signed_in(token, self._client)
        return {"isActive": True, "username": person.username}

    async def _logout(self) -> None:
        if not self._session:
            raise not_authorized()
        await self._people.end([self._session])
        self._session, self._cookie = "", session_cookie("", secure=self._client.secure, seconds=0)


def signed_in(token: str, client: Client) -> bytes:
    """The Set-Cookie that a browser is signed in by: as long as a session may last."""
    return session_cookie(token, secure=client.secure, seconds=int(LONGEST))
