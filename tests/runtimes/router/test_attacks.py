"""A hostile service reaches for the node's own APIs and for other services, with its token and without."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from manifests.model.patterns import matches_any
from reconciler.state.tokens import new_token
from runtimes.processes.proc import read_stat
from runtimes.router.carry import identify, peer_credentials
from runtimes.router.decide import access, request, table
from runtimes.router.decide.table import Credential, Export
from tests.runtimes.router.attacks import (
    HOST,
    OWN,
    TOKEN,
    Attacks,
    answered,
    hostile,
    node,
    visits,
    without,
)
from tests.runtimes.router.harness import API, call
from tests.runtimes.router.test_tunnels import UPGRADE
from tests.runtimes.router.wire import request as message

if TYPE_CHECKING:
    from tests.runtimes.router.attacks import Attack
    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio
attack = Attacks()


# -- the node's own APIs


def _everything_when_silent(allow: Any, api: str, *, nodes_own: bool) -> bool:
    return allow is None or matches_any(allow, api)


@attack(without(table, "allows", _everything_when_silent))
async def administer_since_nothing_was_said(world: World) -> bool:
    await node(world)
    await hostile(world, None)
    return await answered(world, OWN)


@attack(without(table, "allows", _everything_when_silent))
async def administer_by_a_star(world: World) -> bool:
    await node(world)
    await hostile(world, ("*",))
    return await answered(world, OWN)


@attack(without(table, "allows", _everything_when_silent))
async def administer_by_a_pattern_that_only_looks_like_the_nodes(world: World) -> bool:
    await node(world)
    await hostile(world, ("atek.*", "*/services-api"))
    return await answered(world, OWN)


@attack(without(table, "allows", _everything_when_silent))
async def administer_by_websocket(world: World) -> bool:
    await node(world)
    await hostile(world, None)
    bearer = f"Authorization: Bearer {TOKEN}"
    return (await world.ask("GET", f"/_atek/gateway?api={OWN}", *UPGRADE, bearer)).status == 200


@attack(without(table, "allows", _everything_when_silent))
async def administer_by_a_websocket_without_a_token(world: World) -> bool:
    await node(world)
    await hostile(world, None)
    return (await world.ask("GET", f"/_atek/gateway?api={OWN}", *UPGRADE, unix=True)).status == 200


@attack(without(table, "_in_order", lambda routes: sorted(routes, key=lambda each: -each.rank)))
async def have_the_calls_that_others_make_to_the_node(world: World) -> bool:
    await node(world)
    service = await hostile(world, exports=(Export(OWN, "/"),))
    await world.post(call(), api=OWN)
    return bool(service.requests)


# -- other services


@attack(without(table, "allows", lambda *_, **__: True))
async def call_what_is_not_allowed(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await answered(world, API)


@attack(without(access, "may_reach", lambda *_: True))
async def call_it_at_its_host(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await visits(world, f"Authorization: Bearer {TOKEN}", method="POST")


def _visitors(_: Any, decision: Any) -> Any:
    return decision


@attack(without(request, "unseen", _visitors))
async def be_a_visitor_on_the_unix_socket(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await visits(world, unix=True)


@attack(without(request, "is_guarded", lambda *_: False))
async def be_a_visitor_on_the_port(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await visits(world)


@attack(without(request, "decide_for", lambda _table, _names, asked, _peer: asked.otherwise))
async def be_a_proxy_for_a_visitor(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await visits(world, "X-Forwarded-For: 203.0.113.7", unix=True)


@attack(without(request, "decide_for", lambda _table, _names, asked, _peer: asked.otherwise))
async def be_a_page_of_the_victim(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await visits(world, f"Origin: http://{HOST}", "Sec-Fetch-Site: same-origin", "Cookie: a=b")


@attack(without(identify, "_look", lambda *_: ("", False)))
async def show_a_token_that_is_nobodys(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await visits(world, f"Authorization: Bearer {new_token()}", unix=True)


def _by_session(pid: int, leaders: Any, _node: Any) -> int | None:
    stat = read_stat(pid)
    return stat.session if stat is not None and stat.session in leaders else None


#: Forks until it is in a session of its own, and then asks for the victim at a Unix socket. Or connects, and
#: leaves the asking to a child, once nothing is left of who connected.
_FLIGHT = """
import os, socket, sys, time
path, times, early = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "early"
s = socket.socket(socket.AF_UNIX)
for _ in range(times):
    if os.fork():
        os.wait()
        os._exit(0)
    os.setsid()
s.connect(path)
if early:
    maker = os.getpid()
    if os.fork():
        os._exit(0)
    while os.path.exists(f"/proc/{maker}"):
        time.sleep(0.01)
s.sendall(b"GET /_api/notes HTTP/1.1\\r\\nHost: notes.localhost\\r\\nConnection: close\\r\\n\\r\\n")
answer = b""
while piece := s.recv(4096):
    answer += piece
print(answer.split()[1].decode(), flush=True)
"""


async def flight(world: World, times: int, when: str = "late") -> bool:
    def fly() -> str:
        command = [sys.executable, "-c", _FLIGHT, world.path, str(times), when]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            return process.stdout.read()

    return (await anyio.to_thread.run_sync(fly)).strip() == "200"


@attack(without(peer_credentials, "_leader", _by_session))
async def leave_the_session(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await flight(world, 1)


@attack(without(peer_credentials, "_leader", _by_session))
async def leave_it_twice(world: World) -> bool:
    await world.service()
    await hostile(world)
    return await flight(world, 2)


@attack(without(peer_credentials, "_leader", _by_session))
async def connect_and_leave_it_to_a_child(world: World) -> bool:
    """Whom the kernel names as the one who connected is gone by the time that it is asked."""
    await world.service()
    await hostile(world)
    return await flight(world, 1, "early")


@attack(without(peer_credentials, "_leader", _by_session))
async def be_what_a_build_runs(world: World) -> bool:
    """A process that the node started, and that is of no instance."""
    await world.service()
    await hostile(world, credentials=(Credential(TOKEN, 2**30),))
    world.plane.node = (os.getppid(), "")
    return await visits(world, unix=True)


@attack(without(peer_credentials, "_other_end", lambda _: peer_credentials._End(2**40, os.geteuid())))
async def connect_by_the_other_family(world: World) -> bool:
    """IPv4 out of a socket for IPv6 stands in another table of the kernel's."""
    await world.service()
    await hostile(world)
    with socket.socket(socket.AF_INET6) as mapped:
        mapped.setblocking(False)
        await anyio.to_thread.run_sync(_connect_mapped, mapped, world.port)
        stream = await anyio.abc.SocketStream.from_socket(mapped.dup())
        async with stream:
            await stream.send(message("GET", "/_api/notes", host=HOST))
            return b" 200 " in (await stream.receive())[:20]


def _connect_mapped(mapped: Any, port: int) -> None:
    mapped.setblocking(True)
    mapped.connect(("::ffff:127.0.0.1", port))
    mapped.setblocking(False)


@pytest.mark.parametrize("each", attack, ids=lambda each: each.name)
@pytest.mark.parametrize("guarded", [True, False])
async def test_each_fails_because_of_its_guard(
    world: World, monkeypatch: pytest.MonkeyPatch, each: Attack, *, guarded: bool
) -> None:
    await each.check(world, monkeypatch, guarded=guarded)
