"""The home's end over tunnels of the test's own: who is let in, told to whom, and when not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest
import trio.testing
from anyio.abc import ByteStream

from hyper.port import HyperError, Tunnel, TunnelCaller
from reconciler.drive.events import EventLog
from reconciler.errors import UserError
from reconciler.remote.codes import parse_code
from reconciler.remote.devices import DevicesFile
from reconciler.remote.home import RemoteHome
from reconciler.remote.pairing import GOOD_FOR, MOST_WRONG, request_of, understand_welcome
from runtimes.router.decide.table import Session
from runtimes.router.port import NoRouter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

pytestmark = pytest.mark.anyio
KEY, OTHER, HOME, BOB = "ab" * 32, "cd" * 32, "ef" * 32, "bob"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Tunnels:
    """A daemon in memory; `away` while it is not there."""

    def __init__(self) -> None:
        self.away = False
        self.open: dict[str, list[str] | None] = {}
        self._number = 0

    async def key(self) -> str:
        return HOME

    async def listen(
        self, socket: str, *, allow: Sequence[str] | None, secret: str, seed: str = ""
    ) -> Tunnel:
        self._ask()
        self._number += 1
        tunnel = Tunnel(f"{socket}-{self._number}", HOME)
        self.open[tunnel.id] = None if allow is None else list(allow)
        return tunnel

    async def allow(self, tunnel: Tunnel, keys: Sequence[str]) -> None:
        self._ask(tunnel)
        self.open[tunnel.id] = list(keys)

    async def callers(self, tunnel: Tunnel) -> Sequence[TunnelCaller]:
        self._ask(tunnel)
        return [TunnelCaller(key, 1, 0.0) for key in self.open[tunnel.id] or ()]

    async def connect(
        self, *, key: str = "", seed: str = "", socket: str = "", port: int | None = None
    ) -> Tunnel:
        raise AssertionError("a home calls nobody")

    async def is_up(self, tunnel: Tunnel) -> bool:
        raise AssertionError("a home calls nobody")

    async def close(self, tunnel: Tunnel) -> None:
        self._ask(tunnel)
        del self.open[tunnel.id]

    def _ask(self, tunnel: Tunnel | None = None) -> None:
        if self.away:
            raise HyperError("AWAY", "the daemon is not there")
        if tunnel is not None and tunnel.id not in self.open:
            raise HyperError("NOT_FOUND", "there is no such tunnel")

    def to(self, socket: str) -> list[list[str] | None]:
        return [allowed for name, allowed in self.open.items() if name.startswith(socket)]


class Router(NoRouter):
    def __init__(self) -> None:
        self.devices: Mapping[str, Session | None] = {}

    def set_devices(self, devices: Mapping[str, Session | None]) -> None:
        self.devices = devices


class Guest(ByteStream):
    """Says all that it has to say, and hears the answer."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.heard = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.sleep(0.01)
        says, self._says = self._says, b""
        if not says:
            raise anyio.EndOfStream
        return says

    async def send(self, item: bytes) -> None:
        self.heard += item

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


class World:
    def __init__(self, home: Path) -> None:
        (home / "state").mkdir(exist_ok=True)
        self.tunnels, self.router, self.people = Tunnels(), Router(), {BOB}
        self.home = RemoteHome(
            "home", self.tunnels, self.router, DevicesFile(home), arrivals="arrivals", meetings="meetings",
            secret="s", bootstrap=["10.0.0.7:1"], events=EventLog(),
            session_of=lambda key: Session(key, key) if key in self.people else None,
            random_bytes=lambda size: b"r" * size, wall=lambda: 1000.0,
        )  # fmt: skip

    async def meet(self, said: object, *, key: str = KEY, secret: str = "s") -> object:
        """What the home answers to somebody who comes to the meeting; None without an answer."""
        lines = [{"noiseKey": key, "secret": secret}, said]
        guest = Guest(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        await self.home.greet(guest)
        return json.loads(guest.heard) if guest.heard else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_device_that_proves_the_code_is_let_in_everywhere_and_the_meeting_is_over(
    world: World,
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.home.run, None)
        await anyio.sleep(0.1)
        code = parse_code((await world.home.pair(BOB)).code)
        assert code.bootstrap == ("10.0.0.7:1",)
        said = await world.meet(request_of(code.secret, KEY, "laptop"))
        assert understand_welcome(code.secret, KEY, said) == (HOME, "home")
        assert world.home.pairing() == ("used", "laptop")
        assert world.router.devices == {KEY: Session(BOB, BOB)}
        assert world.tunnels.to("arrivals") == [[KEY]]
        assert world.tunnels.to("meetings") == []
        # All that was said, said again by whoever saw it.
        assert await world.meet(request_of(code.secret, KEY, "laptop")) is None
        assert await world.home.unpair("laptop") == "laptop"
        assert world.router.devices == {} and world.tunnels.to("arrivals") == [[]]
        tasks.cancel_scope.cancel()


async def test_who_guesses_ends_the_code_and_who_is_no_daemon_is_not_heard(world: World) -> None:
    code = parse_code((await world.home.pair()).code)
    right = request_of(code.secret, KEY, "x")
    for _ in range(2 * MOST_WRONG):
        assert await world.meet(right, secret="guess") is None
    assert world.home.pairing()[0] == "open"
    for _ in range(MOST_WRONG):
        assert await world.meet({"proof": "00" * 32}, key=OTHER) is None
    assert world.home.pairing()[0] == "void"
    assert world.tunnels.to("meetings") == []
    assert await world.meet(right) is None
    assert await world.home.devices() == []


async def test_a_daemon_that_was_away_is_told_all_again(world: World) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.home.run, None)
        code = parse_code((await world.home.pair()).code)
        await world.meet(request_of(code.secret, KEY, "laptop"))
        await anyio.sleep(3)
        world.tunnels.away = True
        world.tunnels.open.clear()
        await world.home.unpair("laptop")
        assert world.router.devices == {}
        world.tunnels.away = False
        await anyio.sleep(3)
        assert world.tunnels.to("arrivals") == [[]]
        tasks.cancel_scope.cancel()


async def test_whose_person_is_gone_is_nobodys_device(world: World) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.home.run, None)
        code = parse_code((await world.home.pair(BOB)).code)
        await world.meet(request_of(code.secret, KEY, "laptop"))
        world.people.clear()
        await anyio.sleep(3)
        assert world.router.devices == {KEY: None}
        tasks.cancel_scope.cancel()


async def test_without_a_daemon_there_is_no_code(world: World) -> None:
    world.tunnels.away = True
    with pytest.raises(UserError):
        await world.home.pair()
    assert world.home.pairing()[0] == "void"
    with pytest.raises(UserError):
        await world.home.unpair("nobody")
    assert GOOD_FOR == 120
