"""The system APIs behind one HTTP handler: what the router forwards to the node itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.apis import inspect, services, user_sessions, users
from reconciler.apis.caller import GENERAL, caller_of
from reconciler.apis.params import Params
from reconciler.apis.user_sessions import UserSessionCalls
from reconciler.errors import UserError
from reconciler.http.jsonrpc import METHOD_NOT_FOUND, RpcError, respond
from reconciler.http.messages import json_response
from runtimes.router.decide.table import Export

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from reconciler.apis.inspect import InspectApi
    from reconciler.apis.services import Method, ServicesApi
    from reconciler.apis.users import UsersApi
    from reconciler.http.jsonrpc import Call
    from reconciler.http.messages import Handler, Request, Response
    from reconciler.people.port import People

SERVICES_PATH = "/_atek/api/services"
INSPECT_PATH = "/_atek/api/inspect"
USERS_PATH = "/_atek/api/users"
USER_SESSIONS_PATH = "/_atek/api/user-sessions"
#: What the node exports, as a service among others.
EXPORTS = (
    Export(services.API, SERVICES_PATH),
    Export(inspect.API, INSPECT_PATH),
    Export(users.API, USERS_PATH),
    Export(user_sessions.API, USER_SESSIONS_PATH),
)


def system_apis(
    services_api: ServicesApi,
    inspect_api: InspectApi,
    users_api: UsersApi,
    people: People,
    *,
    otherwise: Handler,
) -> Handler:
    """Answers at the exports' paths; what else is asked for goes to `otherwise`."""
    apis = {
        SERVICES_PATH: services_api.methods,
        INSPECT_PATH: inspect_api.methods,
        USERS_PATH: users_api.methods,
    }

    async def handle(request: Request) -> Response:
        methods = apis.get(request.path)
        if methods is None and request.path != USER_SESSIONS_PATH:
            return await otherwise(request)
        if request.method != "POST":
            told = {"error": True, "message": "this address takes POST"}
            return json_response(405, told, headers={"allow": "POST"})
        if methods is None:
            calls = UserSessionCalls(people, request.headers)
            return calls.cookies(await respond(request.body, _translated(calls.call)))
        return await respond(request.body, _call(methods, request.headers, people))

    return handle


def _call(methods: Mapping[str, Method], headers: Mapping[str, str], people: People) -> Call:
    async def call(name: str, params: Params) -> object:
        caller = caller_of(headers, people)
        method = methods.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {name}")
        return await method(caller, params)

    return _translated(call)


def _translated(answer: Callable[[str, Params], Awaitable[object]]) -> Call:
    """With errors as the original's clients know them."""

    async def call(name: str, given: Any) -> object:
        try:
            return await answer(name, Params(given))
        except UserError as error:
            data = {"hint": error.hint} if error.hint else None
            raise RpcError(GENERAL, error.message, data) from error
        except OSError as error:
            message = f"the state could not be saved: {error.strerror or error}"
            raise RpcError(GENERAL, message, {"hint": "is there space left on the node's disk?"}) from error

    return call
