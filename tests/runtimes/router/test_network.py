"""What comes from the network: under which names it gets where, and whom it may take in nobody."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import orjson
import pytest

from runtimes.router.carry import doors, peer_credentials
from runtimes.router.carry.doors import Doors
from runtimes.router.decide import place
from runtimes.router.decide.place import names_from_network
from runtimes.router.decide.table import NODE, Credential, Session
from tests.runtimes.router.harness import ADMIN, World
from tests.runtimes.router.wire import Wire, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio

OTHERS = ("evil.example", "notes.evil.example", "pi.local.evil.example", "1.2.3", "0x7f.1")
COOKIE = "Cookie: session=alices"
ADDRESSES = ("192.168.1.5", "127.0.0.1", "[fd00::5]", "10.0.0.1")


class Network:
    """A router that other machines reach."""

    def __init__(self, world: World, stack: AsyncExitStack) -> None:
        self.world = world
        self._told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        doors = Doors(world.plane, theirs)
        stack.callback(self._told.close)
        stack.callback(theirs.close)
        stack.callback(doors.close)

    def open(self, service: str = "", *, after_people: bool = False, home: int = 0) -> int:
        """The port of a new listener."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            about = {"service": service, "tls": False, "afterPeople": after_people, "home": home}
            network = {"hosts": ["pi.local"], **about}
            packet = orjson.dumps({"door": f"n{listener.getsockname()}", "network": network})
            socket.send_fds(self._told, [packet], [listener.fileno()])
            port: int = listener.getsockname()[1]
            return port


@pytest.fixture
async def network(world: World) -> AsyncIterator[Network]:
    world.replace_plane(domain="home.example")
    async with AsyncExitStack() as stack:
        yield Network(world, stack)


async def ask(port: int, *fields: str, host: str, target: str = "/", source: str = "127.0.0.1") -> Message:
    async with await anyio.connect_tcp("127.0.0.1", port, local_host=source) as stream:
        client = Wire(stream)
        await client.send(request("GET", target, *fields, host=host))
        return await client.answer()


# -- the node's own names


async def test_the_node_answers_to_its_names_and_to_addresses(network: Network) -> None:
    node = await network.world.service(NODE, exports=())
    port = network.open()
    for host in ("pi.local", f"pi.local:{port}", "PI.local.", "home.example", "localhost", *ADDRESSES):
        assert (await ask(port, host=host, target="/livez")).status == 200, host
    assert len(node.requests) == 5 + len(ADDRESSES)


async def test_services_have_the_names_of_the_domain(network: Network) -> None:
    await network.world.service()
    port = network.open()
    assert (await ask(port, host="notes.home.example")).status == 200
    assert (await ask(port, host="notes.pi.local")).status == 421


@pytest.mark.parametrize("host", OTHERS)
async def test_a_name_that_somebody_made_lead_here_leads_nowhere(
    network: Network, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding and forged Hosts: the page and the node would be one origin."""
    node = await network.world.service(NODE, exports=())
    notes = await network.world.service()
    port, own = network.open(), network.open("notes")
    assert (await ask(port, host=host, target="/livez")).status == 421
    assert (await ask(own, host=host)).status == 421
    assert node.requests == notes.requests == []
    # Without the guard it succeeds: that is what keeps it out.
    monkeypatch.setattr(place, "_is_address", lambda _: True)
    network.world.plane.decisions = {}
    assert (await ask(port, host=host, target="/livez")).status == 200
    assert (await ask(own, host=host)).status == 200


async def test_at_home_addresses_are_no_names(network: Network) -> None:
    """Nobody gets to loopback by one, so nobody has to be answered."""
    await network.world.service(NODE, exports=())
    assert (await network.world.ask("GET", "/livez", host="192.168.1.5")).status == 421


async def test_without_people_the_network_is_told_nothing(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = await network.world.service()
    port, own = network.open(after_people=True), network.open("notes", after_people=True)
    for at, host, target in (
        (port, "pi.local", "/livez"),
        (port, "notes.home.example", "/"),
        (own, "pi.local", "/"),
    ):
        assert (await ask(at, host=host, target=target)).status == 403
    assert notes.requests == []
    network.world.sign_in({"alices": Session("alice")}, private=True)
    assert (await ask(own, COOKIE, host="pi.local")).status == 200
    # Without the guard everybody is in.
    network.world.sign_in({}, private=False)
    monkeypatch.setattr(
        doors,
        "names_from_network",
        lambda *each, **_: names_from_network(*each, after_people=False),
    )
    opened = network.open("notes", after_people=True)
    assert (await ask(opened, host="pi.local")).status == 200


# -- a port of a service's own


async def test_a_services_port_is_its_host_under_every_name(network: Network) -> None:
    notes = await network.world.service()
    port = network.open("notes")
    for host in ("pi.local", *ADDRESSES, "notes.home.example", "home.example"):
        assert (await ask(port, host=f"{host}:{port}", target="/_atek/gateway")).status == 200, host
    assert {each.target for each in notes.requests} == {"/_atek/gateway"}
    assert notes.requests[0]["x-forwarded-host"] == f"pi.local:{port}"


async def test_no_other_service_is_there(network: Network) -> None:
    await network.world.service()
    await network.world.service("other")
    assert (await ask(network.open("notes"), host="other.home.example")).status == 421


async def test_a_service_that_is_gone_leaves_a_port_without_answers(network: Network) -> None:
    assert (await ask(network.open("notes"), host="pi.local")).status == 404


async def test_who_is_not_signed_in_does_not_get_in_there_either(network: Network) -> None:
    notes = await network.world.service(owner="alice")
    network.world.sign_in({"alices": Session("alice")}, private=True)
    port = network.open("notes")
    assert (await ask(port, host="pi.local")).status == 401
    assert notes.requests == []
    assert (await ask(port, COOKIE, host="pi.local")).status == 200
    assert notes.request["cookie"] == ""
    network.world.sign_in({"alices": Session("alice")}, private=False)
    assert (await ask(port, host="pi.local")).status == 200


async def test_a_browser_finds_its_way_from_a_services_port_and_back(network: Network) -> None:
    await network.world.service(owner="alice")
    network.world.sign_in({"alices": Session("alice")}, private=True)
    home = network.open()
    port = network.open("notes", home=home)
    html = "Accept: text/html"
    asked = await ask(port, html, host=f"pi.local:{port}", target="/a?b=1")
    there, _, target = asked["location"].partition(f"pi.local:{home}")
    assert (asked.status, there) == (302, "http://")
    nobody = await ask(home, html, host=f"pi.local:{home}", target=target)
    assert nobody["location"] == f"/_atek/login?service=notes&path=%2Fa%3Fb%3D1&at={port}"
    back = await ask(home, html, COOKIE, host=f"pi.local:{home}", target=target)
    assert back["location"] == f"http://pi.local:{port}/a?b=1"
    assert (await ask(port, html, COOKIE, host=f"pi.local:{port}", target="/a?b=1")).status == 200
    # Nobody is led to a port that is somebody else's, nor to another host: a link of the node's own page
    # leads to the service's port, since nothing has a name below this one.
    for at in ("1", str(home), f"{port}@evil.example", f"0{port}", ""):
        elsewhere = f"/_atek/bind-session?service=notes&path=%2F&at={at}"
        answer = await ask(home, html, COOKIE, host=f"pi.local:{home}", target=elsewhere)
        assert answer["location"] == f"http://pi.local:{port}/", at
    at_home = await ask(home, html, COOKIE, host="home.example", target="/_atek/bind-session?service=notes")
    assert at_home["location"] == "http://notes.home.example/"


async def test_a_page_of_another_port_has_it_do_nothing(network: Network) -> None:
    """One host name for many services: a browser sends each of them the cookies of all."""
    await network.world.service()
    port = network.open("notes")
    assert (await ask(port, "Origin: http://pi.local:1", *_acts(), host=f"pi.local:{port}")).status == 403
    assert (await ask(port, f"Origin: http://pi.local:{port}", host=f"pi.local:{port}")).status == 200


def _acts() -> tuple[str, ...]:
    return ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Version: 13")


# -- a service that leaves its token out, and goes around by the network


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.5"])
@pytest.mark.parametrize("own", [False, True], ids=["host", "port"])
async def test_a_service_is_no_visitor_by_going_around(
    network: Network, source: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await network.world.service()
    me = (Credential("mine", os.getsid(0)),)
    await network.world.service("caller", exports=(), allow=("example.com/else",), credentials=me)
    port, host = (network.open("notes"), "pi.local") if own else (network.open(), "notes.home.example")
    assert (await ask(port, host=host, source=source)).status == 403
    # The same is let in where nobody looks whose process it is.
    monkeypatch.setattr(peer_credentials, "is_local", lambda _: False)
    assert (await ask(port, host=host, source=source)).status == 200


async def test_an_administrators_token_counts_from_the_network(network: Network) -> None:
    await network.world.service()
    answer = await ask(network.open(), f"Authorization: Bearer {ADMIN}", host="notes.home.example")
    assert answer.status == 200
