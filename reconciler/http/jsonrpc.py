"""The server's side of JSON-RPC 2.0: one body in, one answer out, whatever the methods are.

Requests, notifications and batches (answered in order). Answers are HTTP 200, or 204 when nothing but
notifications came. What the methods are and what their params mean is the caller's business.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, NoReturn

from reconciler.http.messages import Response, json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    #: Name and params of a method → its result. Raises RpcError; anything else counts as an internal error.
    Call = Callable[[str, Any], Awaitable[object]]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

_log = logging.getLogger(__name__)


class RpcError(Exception):
    """What a caller gets instead of a result; `data` is left out when it is None."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


async def respond(body: bytes, call: Call) -> Response:
    """Answers what came in one request's body. Never raises for what is wrong with it, or with `call`."""
    try:
        calls = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return json_response(200, _failed(None, RpcError(PARSE_ERROR, "the request is not JSON")))
    if not isinstance(calls, list):
        answer = await _answer(calls, call)
        return json_response(200, answer) if answer else Response(204)
    if not calls:
        return json_response(200, _failed(None, RpcError(INVALID_REQUEST, "an empty batch")))
    answers = [answer for each in calls if (answer := await _answer(each, call))]
    return json_response(200, answers) if answers else Response(204)


async def _answer(request: object, call: Call) -> dict[str, Any] | None:
    """The response object; None for a notification that is well formed."""
    if not isinstance(request, dict) or not _is_request(request):
        return _failed(None, RpcError(INVALID_REQUEST, "not a JSON-RPC 2.0 request"))
    answer = await _run(request, call)
    return answer if "id" in request else None


def _is_request(request: dict[str, Any]) -> bool:
    call_id = request.get("id")
    known_id = call_id is None or (isinstance(call_id, (str, int, float)) and not isinstance(call_id, bool))
    return known_id and request.get("jsonrpc") == "2.0" and isinstance(request.get("method"), str)


async def _run(request: dict[str, Any], call: Call) -> dict[str, Any]:
    name, call_id = request["method"], request.get("id")
    try:
        return {"jsonrpc": "2.0", "id": call_id, "result": await call(name, request.get("params"))}
    except RpcError as error:
        return _failed(call_id, error)
    except Exception:
        _log.exception("the method %s failed", name)
        return _failed(call_id, RpcError(INTERNAL_ERROR, "the node could not do it; its log has more"))


def _failed(call_id: object, error: RpcError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": call_id, "error": told}


def _refuse(constant: str) -> NoReturn:
    """NaN and Infinity are not JSON, though Python's reader takes them."""
    raise ValueError(constant)
