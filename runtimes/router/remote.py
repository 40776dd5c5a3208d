"""The node's end of the link: the router as a process of its own, started, told, and replaced when it dies.

What the node publishes is kept here, so that a new router learns at once what the old one knew. Whoever waits
for an instance to be drained is let go when the router dies: with it, all that was in flight is gone.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import orjson
from anyio.abc import UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from runtimes.router.decide.table import route_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runtimes.router.decide.table import ServiceRoute, Session

#: Seconds before a router that died is replaced: at first, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 5.0
#: Seconds that an answer of the router may take before monitoring goes without.
METRICS_DEADLINE = 2.0
_LONGEST_ANSWER = 64 * 1024 * 1024


class RouterProcess:
    """Implements `port.Router`. `sockets` are listening; they stay open from one router to the next.

    `settings` is the router's first message, with `domain` and `adminTokens`. `died` is called with a
    sentence when a router ended by itself. `tunnel` is where the daemon brings what comes by tunnels;
    `settings` has its `tunnelSecret` then.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        settings: Mapping[str, Any],
        died: Callable[[str], None] = lambda _: None,
        tunnel: socket.socket | None = None,
    ) -> None:
        self._died = died
        self._sockets = sockets
        self._tunnel = tunnel
        self._settings = settings
        self._routes: dict[str, Any] = {}
        self._sessions: dict[str, Any] = {}
        self._private = False
        self.when_private: Callable[[], None] = lambda: None
        self._devices: dict[str, Any] | None = None
        self._outbox: list[dict[str, Any]] = []
        self._more = anyio.Event()
        self._waiting: dict[int, tuple[anyio.Event, list[dict[str, Any]]]] = {}
        self._tls: dict[str, Any] | None = None
        #: By name: what the router is to know of a door, and what is listened on there.
        self._doors: dict[str, tuple[dict[str, Any], Sequence[socket.socket]]] = {}
        #: Doors that the router has to be told of, in order.
        self._changed: dict[str, None] = {}
        self._changes = anyio.Event()
        self._next = 0
        self._connected = False
        self.pid = 0

    # -- port.Router

    def publish(self, routes: Mapping[str, ServiceRoute | None]) -> None:
        values = {name: route and route_to_json(route) for name, route in routes.items()}
        self._change("routes", self._routes, values)

    def update_sessions(self, sessions: Mapping[str, Session | None]) -> None:
        values = {name: each and _plain(each) for name, each in sessions.items()}
        self._change("sessions", self._sessions, values)

    @property
    def private(self) -> bool:
        """Whether there are people; `when_private` is called when there are."""
        return self._private

    def set_private(self, private: bool) -> None:
        if private != self._private:
            self._private = private
            self.when_private()
        if self._connected:
            self._send({"private": private})

    async def told(self) -> None:
        await self._ask({"told": True})

    async def seen(self) -> list[str]:
        answer = await self._ask({"seen": True})
        return [str(each) for each in answer.get("seen", ())]

    def set_devices(self, devices: Mapping[str, Session | None]) -> None:
        self._devices = {"devices": {key: each and _plain(each) for key, each in devices.items()}}
        if self._connected:
            self._send(self._devices)

    async def drained(self, instance: str, *, hurry: bool = False, restart: bool = False) -> None:
        await self._ask({"drained": instance, "hurry": hurry, "restart": restart})

    async def metrics(self) -> str:
        with anyio.move_on_after(METRICS_DEADLINE):
            answer = await self._ask({"metrics": True})
            return str(answer.get("text", ""))
        return ""

    async def end(self) -> None:
        await self._ask({"end": True})

    # -- the doors of instances

    def open_door(self, instance: str, token: str, listeners: Sequence[socket.socket]) -> None:
        """Serves listeners that only this instance can reach: who comes without a token is that instance.

        They are this router's from now on, until `close_door`. Replaces those that the instance had.
        """
        self._open(instance, {"token": token}, listeners)

    def close_door(self, name: str) -> None:
        """Closes what `open_door` or `open_to_network` took, if anything."""
        _, listeners = self._doors.pop(name, ({}, ()))
        for each in listeners:
            each.close()
        self._changed[name] = None
        self._changes.set()

    # -- the network

    def open_to_network(
        self,
        name: str,
        listeners: Sequence[socket.socket],
        *,
        hosts: Sequence[str],
        service: str,
        tls: bool,
        after_people: bool = True,
        home: int = 0,
    ) -> None:
        """Serves listeners that other machines reach. They are this router's from now on.

        `hosts`: what the node is called there. `service`: whose port it is, empty for the node's, which is at
        the port `home` by these names. With `tls`
        nobody is served before there is a certificate, with `after_people` nobody is answered before there
        are people. Replaces those that had the name, which no instance has.
        """
        network = {
            "hosts": list(hosts), "service": service, "tls": tls, "afterPeople": after_people, "home": home,
        }  # fmt: skip
        self._open(name, {"network": network}, listeners)

    def show_certificate(self, pem: str, authority: str = "") -> None:
        """What is shown from now on where TLS is spoken: a chain of certificates and their key.

        `authority` is the one that signed them, where that is the node's own.
        """
        self._tls = {"pem": pem, "authority": authority}
        if self._connected:
            self._send({"tls": self._tls})

    def _open(self, name: str, about: dict[str, Any], listeners: Sequence[socket.socket]) -> None:
        self.close_door(name)
        self._doors[name] = about, listeners

    # -- its life

    async def run(self) -> None:
        """Keeps a router running until cancelled; then it is gone."""
        try:
            await self._run_one_after_another()
        finally:
            for name in list(self._doors):
                self.close_door(name)

    async def _run_one_after_another(self) -> None:
        pause = FIRST_PAUSE
        while True:
            begin = anyio.current_time()
            status = await self._run_one()
            self._died(f"the router ended unexpectedly ({status}); another one is started")
            if anyio.current_time() - begin > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_one(self) -> str:
        ours, theirs = socket.socketpair()
        doors, their_doors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, their_doors:
            process = self._spawn(theirs, their_doors)
        self.pid = process.pid
        try:
            async with await UNIXSocketStream.from_socket(ours) as stream, anyio.create_task_group() as tasks:
                self._begin()
                tasks.start_soon(self._write, stream)
                tasks.start_soon(self._show_doors, doors)
                await self._read(stream)
                tasks.cancel_scope.cancel()
        finally:
            self._lost()
            doors.close()
            process.kill()
            code = process.wait()
        return f"status {code}" if code >= 0 else f"signal {-code}"

    def _spawn(self, link: socket.socket, doors: socket.socket) -> subprocess.Popen[bytes]:
        descriptors = [each.fileno() for each in self._sockets]
        passed = [link.fileno(), doors.fileno(), *descriptors]
        # -P: nothing is imported from the folder that the node happens to be started in.
        command = [sys.executable, "-P", "-m", "runtimes.router", "--link", str(link.fileno())]
        command += ["--doors", str(doors.fileno())]
        if self._tunnel is not None:
            command += ["--tunnel", str(self._tunnel.fileno())]
            passed.append(self._tunnel.fileno())
        for descriptor in descriptors:
            command += ["--listen", str(descriptor)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=passed,
            # A terminal's signals are for the node, which ends the router when it is done with it.
            start_new_session=True,
        )

    def _begin(self) -> None:
        """All that a new router has to know, before it answers anybody."""
        self._outbox = [dict(self._settings), {"routes": dict(self._routes)}]
        if self._sessions or self._private:
            self._outbox += [{"sessions": dict(self._sessions)}, {"private": self._private}]
        if self._tls is not None:
            self._outbox.append({"tls": self._tls})
        if self._devices is not None:
            self._outbox.append(self._devices)
        self._outbox.append({"listen": True})
        self._changed = dict.fromkeys(self._doors)
        self._changes.set()
        self._connected = True
        self._more.set()

    def _lost(self) -> None:
        self._connected = False
        self.pid = 0
        self._outbox = []
        waiting, self._waiting = self._waiting, {}
        for event, _ in waiting.values():
            event.set()

    async def _write(self, stream: UNIXSocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await self._more.wait()
                self._more = anyio.Event()
                messages, self._outbox = self._outbox, []
                await stream.send(b"".join(orjson.dumps(message) + b"\n" for message in messages))

    async def _show_doors(self, to: socket.socket) -> None:
        """Descriptors have a socket of their own: they would be lost among the bytes of a stream."""
        to.setblocking(False)
        with suppress(OSError, anyio.ClosedResourceError):
            while True:
                await self._changes.wait()
                self._changes = anyio.Event()
                while self._changed:
                    await anyio.wait_writable(to)
                    name = next(iter(self._changed))
                    about, listeners = self._doors.get(name, ({}, ()))
                    packet = orjson.dumps({"door": name, **about})
                    with suppress(BlockingIOError):
                        socket.send_fds(to, [packet], [each.fileno() for each in listeners])
                        del self._changed[name]

    async def _read(self, stream: UNIXSocketStream) -> None:
        buffered = BufferedByteReceiveStream(stream)
        with suppress(anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                self._answered(orjson.loads(await buffered.receive_until(b"\n", _LONGEST_ANSWER)))

    def _answered(self, answer: dict[str, Any]) -> None:
        waiting = self._waiting.pop(answer["id"], None)
        if waiting is not None:
            event, answers = waiting
            answers.append(answer)
            event.set()

    def _change(self, what: str, known: dict[str, Any], values: dict[str, Any]) -> None:
        """Keeps values, of which None is one that is gone, and sends them: changes in a row as one."""
        known.update(values)
        for name in [name for name, value in values.items() if value is None]:
            del known[name]
        if not self._connected:
            return
        if self._outbox and what in self._outbox[-1]:
            self._outbox[-1][what].update(values)
        else:
            self._send({what: values})

    def _send(self, message: dict[str, Any]) -> None:
        self._outbox.append(message)
        self._more.set()

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The router's answer; empty when there is no router, or it died meanwhile."""
        if not self._connected:
            return {}
        self._next += 1
        number, event, answers = self._next, anyio.Event(), []  # type: tuple[int, anyio.Event, list[Any]]
        self._waiting[number] = (event, answers)
        self._send({**message, "id": number})
        try:
            await event.wait()
        finally:
            self._waiting.pop(number, None)
        return answers[0] if answers else {}


def _plain(session: Session) -> dict[str, str]:
    return {
        "user": session.user, "username": session.username, "role": session.role, "main": session.main,
    }  # fmt: skip
