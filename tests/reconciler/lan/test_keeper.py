"""What is really opened, for whom, and when it is closed again."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from reconciler.drive.events import EventLog
from reconciler.lan import keeper
from reconciler.lan.certificates import Shown
from reconciler.lan.keeper import Keeper
from reconciler.lan.wanted import Port
from reconciler.state.listening import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

pytestmark = pytest.mark.anyio

#: An address of this machine that stands for one that others reach.
ADDRESS, OTHER = "127.0.0.77", "127.0.0.78"


@pytest.fixture(autouse=True)
def these_are_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.lan.wanted.is_loopback", lambda host: host == "127.0.0.1")


class Router:
    """Remembers what it was told; what it was given stays open until it is told otherwise."""

    def __init__(self) -> None:
        self.private = False
        self.when_private: Callable[[], None] = lambda: None
        self.doors: dict[str, tuple[str, int, dict[str, Any]]] = {}
        self.shown: list[tuple[str, str]] = []
        self._sockets: dict[str, Sequence[socket.socket]] = {}

    def open_to_network(self, name: str, listeners: Sequence[socket.socket], **about: Any) -> None:
        self.close_door(name)
        address, port = listeners[0].getsockname()[:2]
        self.doors[name], self._sockets[name] = (address, port, about), listeners

    def close_door(self, name: str) -> None:
        self.doors.pop(name, None)
        for each in self._sockets.pop(name, ()):
            each.close()

    def show_certificate(self, pem: str, authority: str = "") -> None:
        self.shown.append((pem, authority))

    def people(self) -> None:
        self.private = True
        self.when_private()

    @property
    def places(self) -> set[tuple[str, int]]:
        return {(address, port) for address, port, _ in self.doors.values()}


class Node:
    def __init__(self) -> None:
        self.events = EventLog()
        self.ports: frozenset[Port] = frozenset()
        self._heard: Callable[[str], None] = lambda _: None

    def lan_ports(self) -> frozenset[Port]:
        return self.ports

    @contextmanager
    def listening(self, heard: Callable[[str], None]) -> Iterator[None]:
        self._heard = heard
        yield

    def wishes(self, *ports: Port) -> None:
        self.ports = frozenset(ports)
        self._heard("")


class Certificates:
    """Its certificate is for the names that it was asked for."""

    problem = ""

    async def look(self, hosts: Sequence[str], addresses: Sequence[str], now: float) -> Shown:
        return Shown(" ".join([*hosts, *addresses]), "root", now + 1)


class Names:
    host, problem = "pi.local", ""
    becomes = "pi.local"
    closed = False

    async def publish(self, port: int, addresses: Sequence[str], *, tls: bool) -> None:
        self.host = self.becomes

    async def close(self) -> None:
        self.closed = True


class World:
    def __init__(self, **more: Any) -> None:
        self.router, self.node, self.addresses = Router(), Node(), [ADDRESS]
        self.port = free_port()
        self.lan = Keeper(
            self.router, name="pi", domain="home.example", port=self.port,
            addresses=lambda: self.addresses, **{"listen": (Place("0.0.0.0"),), **more},
        )  # fmt: skip

    def changed(self) -> None:
        """As the kernel says."""
        self.lan._look_again()


@pytest.fixture
async def run() -> AsyncIterator[Callable[[World], World]]:
    async with anyio.create_task_group() as tasks:

        def begin(world: World) -> World:
            tasks.start_soon(world.lan.run, world.node)
            return world

        yield begin
        tasks.cancel_scope.cancel()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not holds():
            await anyio.sleep(0.005)


async def test_the_first_person_opens_it(run: Callable[[World], World]) -> None:
    world = run(World())
    await until(lambda: world.lan.problems())
    assert world.router.doors == {} and world.lan.urls() == []
    world.router.people()
    await until(lambda: world.router.places == {(ADDRESS, world.port)})
    ((_, _, about),) = world.router.doors.values()
    said = {"service": "", "tls": False, "after_people": True, "home": world.port}
    assert about == {"hosts": ("pi.local",), **said}
    assert world.lan.problems() == []
    assert world.lan.urls() == [f"http://pi.local:{world.port}", f"http://{ADDRESS}:{world.port}"]


async def test_addresses_come_and_go(run: Callable[[World], World]) -> None:
    world = run(World())
    world.router.people()
    await until(lambda: world.router.places)
    world.addresses = [ADDRESS, OTHER]
    world.changed()
    await until(lambda: world.router.places == {(ADDRESS, world.port), (OTHER, world.port)})
    world.addresses = []
    world.changed()
    await until(lambda: not world.router.doors)
    # Nobody has the port any more.
    socket.create_server((ADDRESS, world.port)).close()


async def test_a_services_port_comes_and_goes_with_it(run: Callable[[World], World]) -> None:
    world, port = run(World()), free_port()
    world.node.wishes(Port(0, "notes", port))
    await until(lambda: ("127.0.0.1", port) in world.router.places)
    (condition,) = world.lan.conditions("notes")
    assert condition["reason"] == "NobodyToSignIn"
    assert world.lan.addresses("notes") == [f"http://localhost:{port}/"]
    world.router.people()
    await until(lambda: (ADDRESS, port) in world.router.places)
    assert world.lan.conditions("notes") == []
    assert world.lan.addresses("notes") == [f"http://pi.local:{port}/"]
    told = {each[0]: each[2] for each in world.router.doors.values() if each[1] == port}
    assert told[ADDRESS]["after_people"] and not told["127.0.0.1"]["after_people"]
    assert {about["service"] for about in told.values()} == {"notes"}
    world.node.wishes()
    await until(lambda: port not in {each for _, each in world.router.places})
    socket.create_server(("127.0.0.1", port)).close()


async def test_a_port_that_another_program_has_is_said_and_taken_once_it_is_free(
    run: Callable[[World], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "SOON", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        world = run(World(listen=()))
        world.node.wishes(Port(0, "notes", port))
        await until(lambda: world.lan._failed)
        assert f"127.0.0.1:{port} cannot be opened: another program has it" in world.lan._failed.values()
    await until(lambda: ("127.0.0.1", port) in world.router.places)
    events = [each.reason for each in world.node.events.recent(100) if each.service == "notes"]
    assert events.count("NotListening") == 1


async def test_a_certificate_is_for_the_name_that_it_came_to_have(run: Callable[[World], World]) -> None:
    names = Names()
    world = World(certificates=Certificates(), names=names)
    run(world)
    names.becomes = "pi-2.local"
    world.router.people()
    wanted = f"pi-2.local home.example *.home.example {ADDRESS}"
    await until(lambda: world.router.shown and world.router.shown[-1] == (wanted, "root"))
    ((_, _, about),) = world.router.doors.values()
    assert about["hosts"] == ("pi-2.local",) and about["tls"]
    assert world.lan.urls()[0] == f"https://pi-2.local:{world.port}"


async def test_the_end_closes_everything() -> None:
    names = Names()
    world = World(names=names)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.lan.run, world.node)
        world.router.people()
        await until(lambda: world.router.places)
        tasks.cancel_scope.cancel()
    assert world.router.doors == {} and names.closed


async def test_who_wants_nothing_costs_nothing(run: Callable[[World], World]) -> None:
    world = World(listen=())
    run(world)
    world.router.people()
    await anyio.wait_all_tasks_blocked()
    assert world.lan._pause() == float("inf") and world.router.doors == {}


def test_a_node_alone_loads_nothing_of_it() -> None:
    heavy = ("zeroconf", "cryptography", "reconciler.lan.mdns", "reconciler.lan.certificates")
    code = f"import sys, reconciler.up; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
