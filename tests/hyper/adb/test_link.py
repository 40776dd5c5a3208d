"""The raw connection to the daemon: answers find who waits for them, and its end leaves nobody waiting."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from hyper.adb.link import LinkedClient
from hyper.port import HyperError
from tests.runtimes.router.wire import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    #: A line from the client → what is sent for it.
    Script = Callable[[dict[str, Any]], bytes]

pytestmark = pytest.mark.anyio

DB = "ab" * 32


def result(call: dict[str, Any], value: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": value}).encode() + b"\n"


def record(call: dict[str, Any]) -> bytes:
    """A record that says what was asked for."""
    return result(call, {"path": call["params"]["path"], "seq": 1, "value": {"path": call["params"]["path"]}})


class Scripted:
    """A daemon that answers each line as `answer` says; nothing is the end of the connection."""

    def __init__(self, socket: Path) -> None:
        self.socket = str(socket)
        self.answer: Script = record
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.socket)

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        while line := await reader.readline():
            data = self.answer(json.loads(line))
            if not data:
                break
            writer.write(data)
        writer.close()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Scripted]:
    daemon = Scripted(tmp_path / "s")
    await daemon.start()
    yield daemon
    await daemon.stop()


async def gets(client: LinkedClient, *names: str) -> list[Any]:
    """Asks for all of them at once; what each came to."""
    found: dict[str, Any] = {}

    async def get(name: str) -> None:
        try:
            got = await client.get(DB, (name,))
            found[name] = got and got.value["path"][0]
        except HyperError as error:
            found[name] = error.code

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(get, name)
    return [found[name] for name in names]


async def test_many_calls_share_one_connection(daemon: Scripted) -> None:
    client = LinkedClient(daemon.socket)
    names = [str(number) for number in range(50)]
    assert await gets(client, *names) == names
    assert await gets(client, *names) == names
    assert daemon.connections == 1


async def test_answers_in_any_order_and_pieces(daemon: Scripted) -> None:
    held: list[dict[str, Any]] = []

    def answer(call: dict[str, Any]) -> bytes:
        held.append(call)
        if len(held) < 3:
            return b"\n"
        notice = b'{"jsonrpc":"2.0","method":"db.state","params":{}}\n'
        unknown = b'{"jsonrpc":"2.0","id":99,"result":{}}\n'
        return notice + b"".join(map(record, reversed(held))) + unknown

    daemon.answer = answer
    assert await gets(LinkedClient(daemon.socket), "a", "b", "c") == ["a", "b", "c"]


async def test_errors_have_their_codes(daemon: Scripted) -> None:
    error = {"code": -32000, "message": "full", "data": {"code": "NO_SPACE", "hint": "delete something"}}
    daemon.answer = lambda call: json.dumps({"id": call["id"], "error": error}).encode() + b"\n"
    with pytest.raises(HyperError) as caught:
        await LinkedClient(daemon.socket).get(DB, ("a",))
    assert (caught.value.code, caught.value.message, caught.value.hint) == (
        "NO_SPACE",
        "full",
        "delete something",
    )


async def test_what_is_no_json_is_not_sent(daemon: Scripted) -> None:
    client = LinkedClient(daemon.socket)
    with pytest.raises(HyperError) as caught:
        await client.put(DB, ("a",), {"x": object()})
    assert caught.value.code == "BAD_REQUEST"
    assert await gets(client, "a") == ["a"]


async def test_nobody_is_there(tmp_path: Path) -> None:
    assert await gets(LinkedClient(str(tmp_path / "nobody")), "a", "b") == ["AWAY", "AWAY"]


@pytest.mark.parametrize("last", [b"", b"nonsense\n", b"[]\n", b"\xff\n"])
async def test_a_connection_that_ends_fails_what_waits_and_the_next_call_makes_another(
    daemon: Scripted, last: bytes
) -> None:
    client = LinkedClient(daemon.socket)
    assert await gets(client, "a") == ["a"]
    daemon.answer = lambda call: last
    assert await gets(client, "b", "c") == ["AWAY", "AWAY"]
    daemon.answer = record
    assert await gets(client, "d", "e") == ["d", "e"]
    assert daemon.connections <= 3


async def test_a_daemon_that_comes_back(daemon: Scripted) -> None:
    client = LinkedClient(daemon.socket)
    assert await gets(client, "a") == ["a"]
    await daemon.stop()
    assert await gets(client, "b") == ["AWAY"]
    await daemon.start()
    assert await gets(client, "c") == ["c"]


async def test_nobody_waits_for_an_answer_any_more(daemon: Scripted) -> None:
    calls: list[dict[str, Any]] = []

    def hold(call: dict[str, Any]) -> bytes:
        calls.append(call)
        return b"\n"

    daemon.answer = hold
    client = LinkedClient(daemon.socket)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, DB, ("a",))
        with anyio.fail_after(PATIENCE):
            while not calls:
                await anyio.sleep(0.001)
        tasks.cancel_scope.cancel()
    daemon.answer = lambda call: record(calls[0]) + record(call)
    assert await gets(client, "b") == ["b"]
