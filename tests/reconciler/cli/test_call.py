"""`atek call` and `atek token`, against a gateway that answers whatever a test wants."""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import SocketListener
from anyio.from_thread import start_blocking_portal

from reconciler.cli.call import as_text
from reconciler.errors import UserError
from reconciler.http.messages import Request, Response, json_response
from reconciler.http.server import bind_unix, serve_http
from reconciler.state.tokens import READ_ONLY, ensure_tokens, read_tokens, token_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.reconciler.cli.atek import Atek


class Gateway:
    """Remembers the requests; `answer` is the JSON-RPC answer without its id, or a whole response."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: dict[str, Any] | Response = {"result": None}

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        if isinstance(self.answer, Response):
            return self.answer
        return json_response(200, {"jsonrpc": "2.0", "id": json.loads(request.body)["id"]} | self.answer)

    @property
    def params(self) -> Any:
        return json.loads(self.requests[-1].body)["params"]


@asynccontextmanager
async def serving(gateway: Gateway, home: Path) -> AsyncIterator[None]:
    listener = await SocketListener.from_socket(bind_unix(home / "run" / "gateway.sock"))
    async with anyio.create_task_group() as group:
        group.start_soon(serve_http, listener, gateway)
        yield
        group.cancel_scope.cancel()


@pytest.fixture
def home(atek: Atek) -> Path:
    for folder in ("state", "run"):
        (atek.home / folder).mkdir(mode=0o700, parents=True)
    return atek.home


@pytest.fixture
def gateway(home: Path) -> Iterator[Gateway]:
    ensure_tokens(home)
    made = Gateway()
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(made, home)):
        yield made


# What is sent


def test_the_call_goes_to_the_api_as_an_administrator(atek: Atek, gateway: Gateway, home: Path) -> None:
    gateway.answer = {"result": {"services": []}}
    result = atek("call", "example.com/no tes&x=1", "list")
    assert (result.status, result.out, result.err) == (0, '{"services":[]}\n', "")
    (request,) = gateway.requests
    assert (request.method, request.path) == ("POST", "/_atek/gateway")
    assert request.query == "api=example.com%2Fno%20tes%26x%3D1"
    assert request.headers["authorization"] == f"Bearer {read_tokens(home)[0]}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"jsonrpc": "2.0", "id": 1, "method": "list", "params": []}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("[]", []),
        ('["notes", {"a": 1}]', ["notes", {"a": 1}]),
        ('"notes"', ["notes"]),
        ('{"sourceUrl": "file:///notes"}', [{"sourceUrl": "file:///notes"}]),
        ("null", [None]),
        ("5", [5]),
    ],
)
def test_params_are_a_list_or_the_only_one(atek: Atek, gateway: Gateway, written: str, sent: Any) -> None:
    assert atek("call", "a", "b", written).status == 0
    assert gateway.params == sent


@pytest.mark.parametrize("params", ["notes", "{", "", "[1,]", "NaN", "[" * 100_000])
def test_params_that_are_not_json_are_wrong_usage(atek: Atek, gateway: Gateway, params: str) -> None:
    result = atek("call", "a", "b", params)
    assert (result.status, result.out, gateway.requests) == (2, "", [])
    assert "is not valid JSON" in result.err


# What comes back


def test_a_result_is_one_line_in_a_pipe_and_indented_on_a_terminal() -> None:
    value = {"a": [1, "日本"], "b": None}
    assert as_text(value, pretty=False) == '{"a":[1,"日本"],"b":null}'
    assert as_text(value, pretty=True).splitlines()[:3] == ["{", '  "a": [', "    1,"]


def test_a_result_cannot_command_the_terminal() -> None:
    value = ["\x1b[2J\x9b2J\x7f\u202e\ud800"]
    for pretty in (True, False):
        text = as_text(value, pretty=pretty)
        assert json.loads(text) == value
        assert text.isascii() and text.replace("\n", "").isprintable()


def test_an_error_is_one_line_with_its_hint(atek: Atek, gateway: Gateway) -> None:
    data = {"hint": "`atek status`\nlists them"}
    gateway.answer = {"error": {"code": -32003, "message": "no\x1b[2J\nnotes", "data": data}}
    result = atek("call", "a", "b")
    assert (result.status, result.out) == (1, "")
    assert result.err == "atek: no notes\nhint: `atek status` lists them\n"


@pytest.mark.parametrize("data", [None, [], "text", {"other": 1}])
def test_an_error_needs_no_hint(atek: Atek, gateway: Gateway, data: object) -> None:
    gateway.answer = {"error": {"code": -32601, "message": "No service available", "data": data}}
    assert atek("call", "a", "b").err == "atek: No service available\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (json_response(401, {"error": True, "message": "Not authorized"}), "does not know this token"),
        (json_response(404, {"error": True, "message": "Not found"}), "answered 404: Not found"),
        (json_response(200, {"jsonrpc": "2.0", "id": 1}), "answered 200: no result"),
        (json_response(200, {"jsonrpc": "2.0", "id": 1, "error": {"code": -1}}), "error -1"),
        (json_response(200, []), "without JSON"),
        (Response(502, b"<html>"), "answered 502 without JSON"),
    ],
)
def test_other_answers(atek: Atek, gateway: Gateway, answer: Response, said: str) -> None:
    gateway.answer = answer
    result = atek("call", "a", "b")
    assert (result.status, result.out) == (1, "")
    assert said in result.err


def test_without_a_node(atek: Atek) -> None:
    result = atek("call", "a", "b")
    assert result.status == 1
    assert result.err.startswith("atek: no node runs on")
    assert result.err == atek("down").err


def test_help_shows_how(atek: Atek) -> None:
    result = atek("call", "--help")
    assert result.status == 0
    assert "atek call atek.cloud/services-api get '\"notes\"'" in result.out


# Tokens


def test_the_token_for_scripts(atek: Atek, home: Path) -> None:
    before = atek("token")
    assert (before.status, before.out) == (1, "")
    assert "no administrator's token yet" in before.err
    (token,) = ensure_tokens(home)
    assert len(bytes.fromhex(token)) == 32
    assert atek("token").out == f"{token}\n"
    assert ensure_tokens(home) == (token,)
    assert token_file(home).stat().st_mode & 0o777 == 0o600


def test_the_token_for_monitoring_is_another_one(atek: Atek, home: Path) -> None:
    (token,) = ensure_tokens(home)
    assert "no read-only token yet" in atek("token", "--read-only").err
    (reader,) = ensure_tokens(home, READ_ONLY)
    assert atek("token", "--read-only").out == f"{reader}\n" != f"{token}\n"
    assert token_file(home, READ_ONLY).stat().st_mode & 0o777 == 0o600


def test_tokens_of_two_homes_differ(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "state").mkdir(parents=True)
    assert ensure_tokens(home) != ensure_tokens(other)


def test_a_person_may_add_tokens(atek: Atek, home: Path) -> None:
    (first,) = ensure_tokens(home)
    with token_file(home).open("a") as file:
        file.write("\n  my-own-long-enough-token  \n")
    assert read_tokens(home) == (first, "my-own-long-enough-token")
    assert ensure_tokens(home) == read_tokens(home)
    assert atek("token").out == f"{first}\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_can_reach_is_refused(atek: Atek, home: Path, mode: int) -> None:
    (token,) = ensure_tokens(home)
    token_file(home).chmod(mode)
    result = atek("token")
    assert (result.status, result.out) == (1, "")
    assert "can be read by others" in result.err and "chmod 600" in result.err
    assert token not in result.err
    with pytest.raises(UserError):
        ensure_tokens(home)


@pytest.mark.parametrize("line", ["short", "with spaces in the middle", "naïve-but-long-enough", "\x1b" * 20])
def test_a_line_that_is_no_token_is_named_but_not_shown(home: Path, line: str) -> None:
    ensure_tokens(home)
    with token_file(home).open("a") as file:
        file.write(line)
    with pytest.raises(UserError, match=r"admin.token:2: a token has") as caught:
        read_tokens(home)
    assert line not in caught.value.message


def test_an_empty_file_is_like_none(home: Path) -> None:
    token_file(home).touch(mode=0o600)
    assert read_tokens(home) == ()
    assert len(ensure_tokens(home)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_another_user(atek: Atek, home: Path) -> None:
    ensure_tokens(home)
    token_file(home).chmod(0)
    assert "belongs to another user" in atek("token").err
