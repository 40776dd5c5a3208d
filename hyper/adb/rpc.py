"""One body in, one answer out: JSON-RPC 2.0, whatever the methods are.

The gateway takes batches apart, so none is understood here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import orjson

from hyper.adb.rules.errors import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, RpcError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    #: Name and params of a method → its result. Raises RpcError; anything else counts as a defect.
    Call = Callable[[str, Any], Awaitable[object]]

_log = logging.getLogger(__name__)


async def answer(body: bytes, call: Call) -> bytes:
    """The answer's body; empty for a notification. Never raises for what is wrong with the request."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _failed(None, RpcError(PARSE_ERROR, "the request is not JSON"))
    if not _is_call(request):
        return _failed(None, RpcError(INVALID_REQUEST, "not a call of JSON-RPC 2.0"))
    call_id = request.get("id")
    try:
        result = await call(request["method"], request.get("params"))
        told = orjson.dumps({"jsonrpc": "2.0", "id": call_id, "result": result})
    except RpcError as error:
        told = _failed(call_id, error)
    except Exception:
        _log.exception("the method %r failed", request["method"][:100])
        told = _failed(call_id, RpcError(INTERNAL_ERROR, "the database could not do it; its log has more"))
    return told if "id" in request else b""


def _is_call(request: Any) -> bool:
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return False
    call_id = request.get("id")
    known_id = call_id is None or (isinstance(call_id, (str, int, float)) and not isinstance(call_id, bool))
    return known_id and isinstance(request.get("method"), str)


def _failed(call_id: object, error: RpcError) -> bytes:
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return orjson.dumps({"jsonrpc": "2.0", "id": call_id, "error": told})
