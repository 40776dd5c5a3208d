"""Calls and answers that are too large to be taken apart at once: looked at slice by slice. Pure.

Each function is a generator that yields after a little work. What `jsonrpc` promises of small ones holds here
too, but for mistakes in the grammar further down than the first level: `json_scanner` does not see them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from runtimes.router.protocol import jsonrpc
from runtimes.router.protocol.json_scanner import NotJson, Scanner, TooMany
from runtimes.router.protocol.jsonrpc import Call, Incoming, Malformed

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

#: Bytes up to which everything is taken apart at once, and up to which it may be written anew at once.
SMALL, TINY = 16 * 1024, 4 * 1024
#: Bytes between two turns.
SLICE = 2 * 1024
_MEMBERS = ("jsonrpc", "id", "method", "params", "result", "error")
_VERSION = b'"2.0"'

Pieces = list[memoryview]


def answer(call_id: Any, body: bytes | bytearray, service_id: str) -> Generator[None, None, Pieces]:
    """As `jsonrpc.answer`: what the client gets, as pieces of memory that follow each other."""
    view = memoryview(body)
    try:
        scan = yield from _scanned(view)
        members = _members(view, scan)
        part = _part(members) if scan.is_object else ""
    except TooMany:
        part = ""
    except NotJson:
        return _one(jsonrpc.failed(call_id, jsonrpc.PARSE_ERROR, f"{service_id} did not answer with JSON"))
    if not part:
        message = f"{service_id} answered JSON that is no JSON-RPC answer"
        return _one(jsonrpc.failed(call_id, jsonrpc.BAD_ANSWER, message))
    if part == "error" and not _is_error(members[part]):
        message = f"{service_id} answered with an error that is none"
        return _one(jsonrpc.failed(call_id, jsonrpc.BAD_ANSWER, message))
    if _is_for(call_id, members, scan):
        return [view]
    head = b'{"jsonrpc":"2.0","id":%b,"%b":' % (jsonrpc.dumps(call_id), part.encode())
    return [memoryview(head), members[part], memoryview(b"}")]


def parse(body: bytes | bytearray) -> Generator[None, None, Incoming]:
    """As `jsonrpc.parse`."""
    view = memoryview(body)
    try:
        scan = yield from _scanned(view)
        if scan.is_object:
            return Incoming((_call(view, scan),))
        calls: list[Call | Malformed] = []
        for begin, end in scan.spans:
            calls.append((yield from _item(view[begin:end])))
            yield
    except TooMany:
        return Incoming((_malformed(None, f"a batch has at most {jsonrpc.MOST_CALLS} calls"),))
    except NotJson:
        return Incoming((_malformed(None, "the request is not JSON", jsonrpc.PARSE_ERROR),))
    if not calls:
        return Incoming((_malformed(None, "the batch is empty"),))
    return Incoming(tuple(calls), batch=True)


def _item(view: memoryview) -> Generator[None, None, Call | Malformed]:
    """One call of a batch."""
    if len(view) <= SMALL:
        return jsonrpc.item(bytes(view))
    scan = yield from _scanned(view)
    if not scan.is_object:
        return _malformed(None, "a request is a JSON object")
    return _call(view, scan)


def _scanned(view: memoryview) -> Generator[None, None, Scanner]:
    scan = Scanner()
    for at in range(0, len(view), SLICE):
        scan.feed(bytes(view[at : at + SLICE]))
        yield
    scan.finish()
    return scan


def _members(view: memoryview, scan: Scanner) -> dict[str, memoryview]:
    """Those that mean something; of two with one name the last, as most libraries take it."""
    return {
        name: view[begin:end]
        for name, (begin, end) in zip(scan.names, scan.spans, strict=False)
        if name in _MEMBERS
    }


def _says(members: dict[str, memoryview], name: str, text: bytes) -> bool:
    value = members.get(name)
    return value is not None and len(value) == len(text) and bytes(value) == text


# -- answers


def _part(members: dict[str, memoryview]) -> str:
    """Which of `result` and `error` it is; empty for neither and both. Null beside the other is none."""
    parts = [name for name in ("result", "error") if name in members]
    if len(parts) == 2:
        if _says(members, "error", b"null"):
            return "result"
        return "error" if _says(members, "result", b"null") and _is_error(members["error"]) else ""
    return parts[0] if parts else ""


def _is_error(value: memoryview) -> bool:
    """A very large one is an object, and its caller sees for itself."""
    if len(value) > SMALL:
        return bytes(value[:1]) == b"{"
    try:
        return jsonrpc.is_error(orjson.loads(value))
    except ValueError:
        return False


def _is_for(call_id: Any, members: dict[str, memoryview], scan: Scanner) -> bool:
    """Whether it says everything once, and whose answer it is in the caller's own words."""
    said = [name for name in scan.names if name in _MEMBERS]
    if len(said) != 3 or "id" not in members or not _says(members, "jsonrpc", _VERSION):
        return False
    own_id = _id(members["id"])
    return type(own_id) is type(call_id) is not float and own_id == call_id


def _id(value: memoryview) -> Any:
    """A list, which nobody's id is, for what is none."""
    try:
        return jsonrpc.exact(bytes(value)) if len(value) <= SMALL else []
    except ValueError:
        return []


# -- calls


def _call(view: memoryview, scan: Scanner) -> Call | Malformed:
    members = _members(view, scan)
    call_id = _id(members["id"]) if "id" in members else None
    if not jsonrpc.is_id(call_id):
        return _malformed(None, "an id is a string, a number or null")
    method = _id(members["method"]) if "method" in members else None
    if not _says(members, "jsonrpc", _VERSION) or type(method) is not str:
        return _malformed(call_id, 'a request has "jsonrpc": "2.0" and a method')
    params = members.get("params")
    if params is None or _says(members, "params", b"null"):
        return jsonrpc.item(_written(members, b"[]"))
    if bytes(params[:1]) not in (b"[", b"{"):
        return _malformed(call_id, "params are a list or an object")
    return Call(_written(members, params), call_id, "id" not in members, method)


def _written(members: dict[str, memoryview], params: bytes | memoryview) -> bytes:
    """Each member once, and none that was not looked at."""
    names = [name for name in ("jsonrpc", "id", "method") if name in members]
    parts: Sequence[bytes | memoryview] = [
        piece for name in names for piece in (b'"%b":' % name.encode(), members[name], b",")
    ]
    return b"".join((b"{", *parts, b'"params":', params, b"}"))


def _malformed(call_id: Any, message: str, code: int = jsonrpc.INVALID_REQUEST) -> Malformed:
    return Malformed(jsonrpc.failed(call_id, code, message))


def size_of(answer: bytes | Pieces) -> int:
    return len(answer) if isinstance(answer, bytes) else sum(map(len, answer))


def join(answers: Sequence[bytes | Pieces]) -> Pieces:
    """The answers to a batch, as one. What is small is put together; the brackets are pieces of their own."""
    pieces: Pieces = [memoryview(b"[")]
    small: list[bytes] = []
    for number, answer in enumerate(answers):
        comma = b"," if number else b""
        if isinstance(answer, bytes):
            small += (comma, answer)
            continue
        pieces += [memoryview(b"".join((*small, comma))), *answer]
        small = []
    return [*pieces, memoryview(b"".join(small)), memoryview(b"]")]


def _one(answer: bytes) -> Pieces:
    return [memoryview(answer)]
