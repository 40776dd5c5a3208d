"""The router as a process of the node: what it is told, what it tells, and what becomes of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtimes.router import remote
from runtimes.router.decide.table import Session, session_id
from runtimes.router.remote import RouterProcess
from tests.runtimes.router.harness import ADMIN, API, SOCKET, Surroundings, call, sessions, until
from tests.runtimes.router.instances import Held
from tests.runtimes.router.test_tunnels import UPGRADE, mirror
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AsyncExitStack
    from pathlib import Path

    from runtimes.router.decide.table import ServiceRoute

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
SESSION = "the-session"
#: A node that does nothing but run a router. Says the port and the router's pid.
NODE = """
import anyio, socket
from runtimes.router.remote import RouterProcess

async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    router = RouterProcess([listener], {"domain": "localhost", "adminTokens": []})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.run)
        print(listener.getsockname()[1], flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture
def anyio_backend() -> str:
    """The node's own loop, which is not the router's."""
    return "asyncio"


class Node(Surroundings):
    """Runs its router from `run` on. `deaths` are what it was told about routers that ended.

    `meanwhile`: what is published while none runs.
    """

    def __init__(self, domain: str = "localhost") -> None:
        super().__init__()
        self.domain = domain
        self.deaths: list[str] = []
        self.meanwhile: dict[str, ServiceRoute] = {}
        self.running = anyio.CancelScope()

    async def _open(self, stack: AsyncExitStack) -> None:
        tcp = socket.create_server(("127.0.0.1", 0))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(self.path)
        unix.listen()
        stack.callback(tcp.close)
        stack.callback(unix.close)
        self.port = tcp.getsockname()[1]
        self.log = self.folder / "access.log"
        settings = {"domain": self.domain, "adminTokens": [ADMIN], "accessLog": str(self.log)}
        self.router = RouterProcess((tcp, unix), settings, self._died)
        stack.callback(self.running.cancel)

    def _died(self, message: str) -> None:
        self.deaths.append(message)
        self.router.publish(self.meanwhile)

    def update(self, routes: Mapping[str, ServiceRoute | None]) -> None:
        self.router.publish(routes)

    def run(self) -> None:
        self.start(self._run)

    async def _run(self) -> None:
        with self.running:
            await self.router.run()

    async def kill(self) -> None:
        """kill -9 of the router, once there is one; another one takes its place."""
        await until(lambda: self.router.pid)
        os.kill(self.router.pid, signal.SIGKILL)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with Node() as made:
        yield made


class Wait:
    """Something that is awaited beside the test."""

    def __init__(self, node: Node, what: Callable[[], Awaitable[None]]) -> None:
        self.over = anyio.Event()
        node.start(self._wait, what)

    async def _wait(self, what: Callable[[], Awaitable[None]]) -> None:
        await what()
        self.over.set()


# -- what it is told


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_it_leads_to_what_was_published_before_it_began(node: Node, unix: bool) -> None:
    await node.service()
    node.run()
    answer = await node.post(call("echo", [1]), unix=unix)
    assert answer.json == {"jsonrpc": "2.0", "id": 1, "result": [1]}


async def test_it_leads_to_what_is_published_later(node: Node) -> None:
    node.run()
    assert (await node.ask(host=HOST)).status == 404
    service = await node.service()
    await until_published(node)
    assert (await node.ask(host=HOST)).status == 200
    service.publish()
    await until_published(node)
    assert (await node.ask(host=HOST)).status == 503
    node.router.publish({"notes": None})
    await until_published(node)
    assert (await node.ask(host=HOST)).status == 404


async def until_published(node: Node) -> None:
    """The link keeps its order: what was said before a question is known when it is answered."""
    assert await node.router.metrics()


async def test_many_changes_at_once_end_in_the_last_one(node: Node) -> None:
    service = await node.service()
    node.run()
    await node.ask(host=HOST)
    for _ in range(50):
        service.publish()
        node.router.publish({"other": None})
        service.publish(*service.instances)
    await until_published(node)
    assert (await node.ask(host=HOST)).status == 200


async def test_it_knows_sessions_and_whether_hosts_are_private(node: Node) -> None:
    service = await node.service(owner="bob")
    node.run()
    assert (await node.ask(host=HOST)).status == 200
    node.router.set_private(True)
    node.router.update_sessions(sessions({SESSION: Session("bob"), "other": Session("bob")}))
    await until_published(node)
    assert (await node.ask(host=HOST)).status == 401
    assert (await node.ask("GET", "/", service.cookie(SESSION), host=HOST)).status == 200
    node.router.update_sessions({session_id("other"): None})
    await until_published(node)
    assert (await node.ask("GET", "/", service.cookie(SESSION), host=HOST)).status == 200
    assert (await node.ask("GET", "/", service.cookie("other"), host=HOST)).status == 401


async def test_it_says_when_it_knows_and_which_sessions_were_used(node: Node) -> None:
    service = await node.service(owner="bob")
    assert await node.router.seen() == [], "while it is away"
    await node.router.told()
    node.run()
    await node.ask(host=HOST)
    for _ in range(20):
        node.router.set_private(True)
        await node.router.told()
        assert (await node.ask(host=HOST)).status == 401
        node.router.set_private(False)
        await node.router.told()
        assert (await node.ask(host=HOST)).status == 200
    assert await node.router.seen() == []
    assert service.requests


# -- what it tells


async def test_an_instance_is_drained_once_its_last_request_is_answered(node: Node) -> None:
    held = Held()
    service = await node.service(serve=held)
    node.run()
    client = await node.connect()
    await client.send(request("GET", "/x", host=HOST))
    await until(lambda: held.waiting)
    service.publish()
    drained = Wait(node, lambda: node.router.drained("notes-1"))
    await until_published(node)
    assert not drained.over.is_set()
    held.release()
    assert (await client.answer()).body == b"GET /x\n"
    await drained.over.wait()


async def test_what_nobody_asked_is_drained_at_once(node: Node) -> None:
    await node.router.drained("notes-1")
    node.run()
    service = await node.service()
    await node.ask(host=HOST)
    service.publish()
    await node.router.drained("notes-1")
    await node.router.drained("nothing")


async def test_in_a_hurry_a_websocket_is_cut_off(node: Node) -> None:
    service = await node.service(serve=mirror, exports=SOCKET)
    node.run()
    client = await node.connect()
    fields = (*UPGRADE, f"Authorization: Bearer {ADMIN}")
    await client.send(request("GET", f"/_atek/gateway?api={API}", *fields))
    assert (await client.head()).status == 101
    service.publish()
    await node.router.drained("notes-1", hurry=True)
    assert await client.rest() == b""


async def test_its_metrics_can_be_read_and_are_empty_while_it_is_away(node: Node) -> None:
    assert await node.router.metrics() == ""
    await node.service()
    node.run()
    await node.ask(host=HOST)
    families = {each.name: each for each in text_string_to_metric_families(await node.router.metrics())}
    (sample,) = families["atek_router_requests"].samples
    assert (sample.labels, sample.value) == ({"kind": "host", "route": "notes", "code": "200"}, 1)


async def test_monitoring_does_not_wait_for_a_router_that_hangs(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "METRICS_DEADLINE", 0.02)
    node.run()
    await node.ask()
    os.kill(node.router.pid, signal.SIGSTOP)
    assert await node.router.metrics() == ""
    os.kill(node.router.pid, signal.SIGCONT)


async def test_a_node_that_ends_waits_for_the_last_answer(node: Node) -> None:
    held = Held()
    await node.service(serve=held)
    node.run()
    client = await node.connect()
    await client.send(request("GET", "/last", host=HOST))
    await until(lambda: held.waiting)
    ended = Wait(node, node.router.end)
    await until_published(node)
    assert not ended.over.is_set()
    held.release()
    assert (await client.answer())["connection"] == "close"
    await ended.over.wait()
    assert [json.loads(line)["path"] for line in node.log.read_text().splitlines()] == ["/last"]


# -- its death, and the node's


async def test_a_router_that_is_killed_is_replaced_and_the_next_one_knows_everything(node: Node) -> None:
    service = await node.service(owner="bob")
    caller = await node.service("caller", owner="bob", exports=())
    node.run()
    node.router.set_private(True)
    node.router.update_sessions(sessions({SESSION: Session("bob"), "ended": Session("bob")}))
    node.router.update_sessions({session_id("ended"): None})
    killed = []
    for _ in range(3):
        assert (await node.post(call(), token=caller.token)).status == 200
        killed.append(node.router.pid)
        await node.kill()
        # Who comes now waits in the queue of the same listening socket.
        assert (await node.ask("GET", "/", service.cookie(SESSION), host=HOST)).status == 200
        assert (await node.ask(host=HOST)).status == 401
        assert (await node.ask("GET", "/", service.cookie("ended"), host=HOST)).status == 401
    assert len({*killed, node.router.pid}) == 4
    assert [("signal 9" in death) for death in node.deaths] == [True] * 3
    assert len(service.requests) == 6


async def test_what_was_published_while_it_was_away_is_known_too(node: Node) -> None:
    node.run()
    await node.ask()
    service = await node.service()
    node.meanwhile = {"notes": service.route}
    node.router.publish({"notes": None})
    await until_published(node)
    await node.kill()
    assert (await node.ask(host=HOST)).status == 200


async def test_who_waits_for_a_router_that_dies_is_let_go(node: Node) -> None:
    held = Held()
    service = await node.service(serve=held)
    node.run()
    client = await node.connect()
    await client.send(request("GET", host=HOST))
    await until(lambda: held.waiting)
    service.publish()
    drained = Wait(node, lambda: node.router.drained("notes-1"))
    ended = Wait(node, node.router.end)
    await until_published(node)
    await node.kill()
    await drained.over.wait()
    await ended.over.wait()
    assert await client.rest() == b""


async def test_it_ends_with_the_node_and_leaves_its_sockets(node: Node) -> None:
    node.run()
    await node.ask()
    pid = node.router.pid
    node.running.cancel()
    await until(lambda: not node.router.pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert os.path.exists(node.path) and node.deaths == []


async def test_it_ends_with_a_node_that_is_killed() -> None:
    async with await anyio.open_process([sys.executable, "-c", NODE], stderr=None) as parent:
        assert parent.stdout
        port = int(await parent.stdout.receive())
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(request("GET"))
            assert (await client.receive()).startswith(b"HTTP/1.1 404 ")
            parent.kill()
            # The router's last sign of life is the end of its connections.
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await client.receive()
    await until(lambda: is_free(port))


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "told", [b"", b'{"domain":"localhost","adminTokens":[]}\n'], ids=["nothing", "little"]
)
def test_it_ends_with_its_link_however_little_it_was_told(told: bytes) -> None:
    ours, theirs = socket.socketpair()
    doors, their_doors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends = [str(theirs.fileno()), "--doors", str(their_doors.fileno())]
    command = [sys.executable, "-m", "runtimes.router", "--link", *ends]
    with theirs, their_doors:
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno(), their_doors.fileno()], stderr=subprocess.PIPE
        )
    with ours, doors:
        ours.sendall(told)
    assert process.communicate()[1] == b""
    assert process.returncode == 0


# -- what it must not be disturbed by, and must not show


async def test_ctrl_c_is_for_the_node(node: Node) -> None:
    node.run()
    await node.ask()
    pid = node.router.pid
    os.kill(pid, signal.SIGINT)
    assert (await node.ask()).status == 404
    assert (node.router.pid, node.deaths) == (pid, [])
    assert os.getsid(pid) == pid


async def test_files_of_the_folder_that_a_node_is_started_in_are_no_part_of_it(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("orjson", "select", "runtimes"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong file')")
    monkeypatch.chdir(tmp_path)
    node.run()
    assert (await node.ask()).status == 404
    assert node.deaths == []


async def test_no_token_is_where_others_can_read_it(node: Node) -> None:
    service = await node.service()
    node.run()
    await node.post(call(), token=service.token)
    for name in ("cmdline", "environ"):
        with open(f"/proc/{node.router.pid}/{name}", "rb") as file:
            seen = file.read()
        assert ADMIN.encode() not in seen and service.token.encode() not in seen
