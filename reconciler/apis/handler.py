"""The system APIs behind one HTTP handler: what the router forwards to the node itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.apis import inspect, services
from reconciler.apis.caller import GENERAL, caller_of
from reconciler.apis.params import Params
from reconciler.errors import UserError
from reconciler.http.jsonrpc import METHOD_NOT_FOUND, RpcError, respond
from reconciler.http.messages import json_response
from runtimes.router.decide.table import Export

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.apis.inspect import InspectApi
    from reconciler.apis.services import Method, ServicesApi
    from reconciler.http.jsonrpc import Call
    from reconciler.http.messages import Handler, Request, Response

SERVICES_PATH = "/_atek/api/services"
INSPECT_PATH = "/_atek/api/inspect"
#: What the node exports, as a service among others.
EXPORTS = (Export(services.API, SERVICES_PATH), Export(inspect.API, INSPECT_PATH))


def system_apis(services_api: ServicesApi, inspect_api: InspectApi, *, otherwise: Handler) -> Handler:
    """Answers at the exports' paths; what else is asked for goes to `otherwise`."""
    apis = {SERVICES_PATH: services_api.methods, INSPECT_PATH: inspect_api.methods}

    async def handle(request: Request) -> Response:
        methods = apis.get(request.path)
        if methods is None:
            return await otherwise(request)
        if request.method != "POST":
            told = {"error": True, "message": "this address takes POST"}
            return json_response(405, told, headers={"allow": "POST"})
        return await respond(request.body, _call(methods, request.headers))

    return handle


def _call(methods: Mapping[str, Method], headers: Mapping[str, str]) -> Call:
    async def call(name: str, given: Any) -> object:
        caller = caller_of(headers)
        method = methods.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {name}")
        try:
            return await method(caller, Params(given))
        except UserError as error:
            data = {"hint": error.hint} if error.hint else None
            raise RpcError(GENERAL, error.message, data) from error
        except OSError as error:
            message = f"the state could not be saved: {error.strerror or error}"
            raise RpcError(GENERAL, message, {"hint": "is there space left on the node's disk?"}) from error

    return call
