"""JSON-RPC 2.0 as the gateway needs it: taking requests apart, checking answers, saying errors. Pure.

Most requests and answers are passed on as the bytes they came in: checked, but not written anew, which is
faster and keeps numbers exactly as their author wrote them. orjson reads integers beyond 64 bits and
fractions as floats; so where an id is a float, and wherever something has to be written anew, the standard
library's exact numbers are used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any

import orjson

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
NO_SUCH_METHOD = -32601
INVALID_PARAMS = -32602
#: The service answered JSON that is no answer (the original's RPC library has this code for it).
BAD_ANSWER = -32002
#: The node's own: the service could not be asked, or may not be.
UNAVAILABLE = -32000

_MEMBERS = ("jsonrpc", "id", "method", "params")
#: Calls in one batch.
MOST_CALLS = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way to a service. `body` is what the service gets; a notification has no answer."""

    body: bytes
    id: Any = None
    notification: bool = False
    method: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something in a request that cannot be delivered; `answer` is what the client gets for it."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """A whole request: its calls, in order, and whether they came as a batch."""

    calls: tuple[Call | Malformed, ...]
    batch: bool = False


def single(body: bytes) -> int | str | None:
    """The id, if the body is one call in the usual form, which goes out as it is.

    None for all else, right or wrong: `parse` it.
    """
    try:
        value = orjson.loads(body)
        if value["jsonrpc"] == "2.0" and type(value["params"]) is list:
            call_id: int | str = value["id"]
            if type(value["method"]) is str and (type(call_id) is int or type(call_id) is str):
                return call_id
    except (ValueError, LookupError, TypeError):
        pass
    return None


def parse(body: bytes, *, plain: bool = False) -> Incoming:
    """What a client sent. Total: what is wrong becomes an answer.

    `plain`: only what was looked at goes out, each member once, because libraries differ in which of two
    they take, and some in whether `Method` is one of them.
    """
    try:
        return _parse(body, plain=plain)
    except ValueError:
        return Incoming((Malformed(failed(None, PARSE_ERROR, "the request is not JSON")),))


def _parse(body: bytes, *, plain: bool) -> Incoming:
    value = exact(body) if plain else _loads(body)
    if type(value) is not list:
        return Incoming((_call(_plain(value), None) if plain else _call(value, body),))
    if not value:
        return Incoming((Malformed(failed(None, INVALID_REQUEST, "the batch is empty")),))
    if len(value) > MOST_CALLS:
        message = f"a batch has at most {MOST_CALLS} calls"
        return Incoming((Malformed(failed(None, INVALID_REQUEST, message)),))
    # Parts of a batch are written anew, so they are read with exact numbers.
    items = map(_plain, value) if plain else exact(body)
    return Incoming(tuple(_call(item, None) for item in items), batch=True)


def _plain(value: Any) -> Any:
    return {name: value[name] for name in _MEMBERS if name in value} if type(value) is dict else value


def item(body: bytes) -> Call | Malformed:
    """One call by itself, as a part of a batch is taken: written anew."""
    try:
        return _call(exact(body), None)
    except ValueError:
        return Malformed(failed(None, PARSE_ERROR, "the request is not JSON"))


def _call(value: Any, body: bytes | None) -> Call | Malformed:
    if type(value) is not dict:
        return Malformed(failed(None, INVALID_REQUEST, "a request is a JSON object"))
    if type(value.get("id")) is float and body is not None:
        value = exact(body)
    call_id = value.get("id")
    if not is_id(call_id):
        return Malformed(failed(None, INVALID_REQUEST, "an id is a string, a number or null"))
    method = value.get("method")
    if value.get("jsonrpc") != "2.0" or type(method) is not str:
        message = 'a request has "jsonrpc": "2.0" and a method'
        return Malformed(failed(call_id, INVALID_REQUEST, message))
    params = value.get("params")
    if type(params) is list and body is not None:
        return Call(body, call_id, "id" not in value, method)
    if params is not None and type(params) not in (list, dict):
        return Malformed(failed(call_id, INVALID_REQUEST, "params are a list or an object"))
    try:
        return _rewritten(value, body)
    except ValueError:
        return Malformed(failed(call_id, INVALID_REQUEST, "a number in it is out of all range"))


def is_id(value: Any) -> bool:
    """What is beyond the range of floats could not be given back."""
    return value is None or type(value) in (str, int) or (type(value) is float and isfinite(value))


def _rewritten(value: dict[str, Any], body: bytes | None) -> Call:
    """Params reach a service as a list also where the client left them out."""
    written = value if body is None else exact(body)
    if written.get("params") is None:
        written = {**written, "params": []}
    return Call(dumps(written), written.get("id"), "id" not in written, written["method"])


def is_usual(call_id: Any, body: bytes) -> bool:
    """Whether an answer goes to its caller as it is, as by far the most do."""
    try:
        value = orjson.loads(body)
        own_id = value["id"]
        if own_id == call_id and len(value) == 3 and value["jsonrpc"] == "2.0" and "result" in value:
            return type(own_id) is type(call_id) is not float
    except (ValueError, LookupError, TypeError):
        pass
    return False


def answer(call_id: Any, body: bytes, service_id: str) -> bytes:
    """What the client gets for what the service answered: the caller's id comes back in any case."""
    if is_usual(call_id, body):
        return body
    try:
        return _answer(call_id, body, service_id)
    except ValueError:
        return failed(call_id, PARSE_ERROR, f"{service_id} did not answer with JSON")


def _answer(call_id: Any, body: bytes, service_id: str) -> bytes:
    value = _loads(body)
    if type(value) is not dict or ("result" in value) == ("error" in value):
        # Some libraries send `"error": null` beside a result, or the other way round.
        value = _only_one(value)
        if value is None:
            return failed(call_id, BAD_ANSWER, f"{service_id} answered JSON that is no JSON-RPC answer")
        return _with_id(call_id, value)
    if "error" in value and not is_error(value["error"]):
        return failed(call_id, BAD_ANSWER, f"{service_id} answered with an error that is none")
    if _is_for(call_id, value):
        return body
    return _with_id(call_id, exact(body))


def _is_for(call_id: Any, value: dict[str, Any]) -> bool:
    """Whether an answer carries the call's id exactly as the caller wrote it."""
    own_id = value.get("id")
    same = type(own_id) is type(call_id) and own_id == call_id and type(own_id) is not float
    return same and value.get("jsonrpc") == "2.0"


def is_error(error: Any) -> bool:
    return type(error) is dict and type(error.get("code")) is int and type(error.get("message")) is str


def _only_one(value: Any) -> dict[str, Any] | None:
    if type(value) is not dict or not {"result", "error"} <= value.keys():
        return None
    if value["error"] is None:
        return {"result": value["result"]}
    return {"error": value["error"]} if value["result"] is None and is_error(value["error"]) else None


def _with_id(call_id: Any, value: dict[str, Any]) -> bytes:
    part = "error" if "error" in value else "result"
    return dumps({"jsonrpc": "2.0", "id": call_id, part: value[part]})


def failed(call_id: Any, code: int, message: str, data: Any = None) -> bytes:
    """An error as a response object."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return dumps({"jsonrpc": "2.0", "id": call_id, "error": error})


def join(answers: list[bytes]) -> bytes:
    """The answers to a batch, as one."""
    return b"[" + b",".join(answers) + b"]"


def _loads(body: bytes) -> Any:
    """Raises ValueError. What only orjson refuses (lone surrogates) gets a second look."""
    try:
        return orjson.loads(body)
    except ValueError:
        return exact(body)


def exact(body: bytes) -> Any:
    """With numbers as they were written. Raises ValueError."""
    try:
        # Given bytes, it would take other encodings than UTF-8 too, and let broken ones pass.
        return json.loads(str(body, "utf-8"), parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def dumps(value: Any) -> bytes:
    """Raises ValueError for what is beyond the range of floats, which JSON has no words for."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
