"""`atek call`: one JSON-RPC call through the running node's gateway, with an administrator's token."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.cli.client import NodeGone, NodeSocket
from reconciler.cli.token import admin_token
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

GATEWAY_SOCKET = "gateway.sock"
# The system APIs wait for what they were asked; the longest of their deadlines, and some.
_ANSWER_SECONDS = 330.0
# Valid inside JSON's strings, yet commands to a terminal: DEL, C1, marks that reorder text; lone surrogates.
_UNSHOWABLE = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def run(arguments: argparse.Namespace) -> int:
    """Prints the result as JSON. Raises UserError with what the gateway or the service says is wrong."""
    result = call(arguments.home, arguments.api, arguments.method, as_list(arguments.params))
    print(as_text(result, pretty=sys.stdout.isatty()))
    return 0


def as_list(params: object) -> list[Any]:
    """A single value is the only param: that is what most methods take."""
    return params if isinstance(params, list) else [params]


def as_text(value: object, *, pretty: bool) -> str:
    """JSON with nothing in it that a terminal would obey."""
    if pretty:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    else:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _UNSHOWABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def call(home: Path, api: str, method: str, params: list[Any]) -> Any:
    """The method's result. Raises UserError."""
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    url = f"http://localhost/_atek/gateway?api={quote(api, safe='')}"
    with NodeSocket(home, GATEWAY_SOCKET).connected(_ANSWER_SECONDS) as (pool, timeout):
        headers = [("authorization", f"Bearer {admin_token(home)}"), ("content-type", "application/json")]
        response = pool.request(
            "POST", url, headers=headers, content=request, extensions={"timeout": timeout}
        )
    return _result(response.status, response.content)


def _result(status: int, body: bytes) -> Any:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise NodeGone(f"the gateway answered {status} without JSON", hint="try again in a moment")
    error = answer.get("error")
    if isinstance(error, dict):
        data = error.get("data")
        hint = data.get("hint", "") if isinstance(data, dict) else ""
        raise UserError(str(error.get("message") or f"error {error.get('code')}"), hint=str(hint))
    if status == 401:
        raise UserError("the node does not know this token", hint="it reads admin.token when it starts")
    if "result" not in answer:
        raise UserError(f"the gateway answered {status}: {answer.get('message') or 'no result'}")
    return answer["result"]
