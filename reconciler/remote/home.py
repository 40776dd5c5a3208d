"""The home's end: who may come by a tunnel is told to the daemon and the router, again whenever one was away.

Both ask before they let somebody in. What is wanted is in `devices`; `run` looks every few seconds whether
the daemon listens for it, so that nothing has to be remembered of what it was told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import orjson

from hyper.port import HyperError
from reconciler.errors import UserError
from reconciler.remote.codes import SECRET, Code, format_code
from reconciler.remote.devices import Device
from reconciler.remote.pairing import GOOD_FOR, Newcomer, Offer, answer, seed_of, welcome
from reconciler.remote.port import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import ByteStream

    from hyper.port import Tunnel, Tunnels
    from reconciler.drive.events import EventLog
    from reconciler.remote.devices import DevicesFile
    from reconciler.remote.pairing import State
    from runtimes.router.decide.table import Session
    from runtimes.router.port import Router

#: Seconds between two looks at the daemon.
LOOK_EVERY = 2.0
#: Seconds after which it is written down again when a device was here.
SEEN_EVERY = 60.0
#: Of one who comes to a meeting: seconds, and bytes of what it says.
PATIENCE, LONGEST = 5.0, 4096
#: Who come at once; more have to come again.
MOST_GUESTS = 8


class RemoteHome:
    """Implements `port.Remote`. `arrivals` and `meetings` are Unix sockets: the router's, and the node's.

    `secret` is between the daemon and the router, `session_of` what a person's devices may, by the person's
    key.
    """

    def __init__(
        self,
        name: str,
        tunnels: Tunnels,
        router: Router,
        devices: DevicesFile,
        *,
        arrivals: str,
        meetings: str,
        secret: str,
        bootstrap: Sequence[str],
        events: EventLog,
        session_of: Callable[[str], Session | None],
        random_bytes: Callable[[int], bytes],
        wall: Callable[[], float],
    ) -> None:
        self._name = name
        self._tunnels = tunnels
        self._router = router
        self._file = devices
        self._arrivals, self._meetings, self._secret = arrivals, meetings, secret
        self._bootstrap = tuple(bootstrap)
        self._events = events
        self._session_of = session_of
        self._random_bytes = random_bytes
        self._wall = wall
        self._tunnel: Tunnel | None = None
        self._told: dict[str, Session | None] | None = None
        self._said = ""
        self._offer: Offer | None = None
        self._meeting: Tunnel | None = None
        self._paired = ""
        self._person = ""
        self._guests = anyio.CapacityLimiter(MOST_GUESTS)
        self._lock = anyio.Lock()

    # -- its life

    async def run(self, host: Any) -> None:
        """Lets paired devices in, until cancelled."""
        while True:
            # Whose a device is may have changed, too: people come and go.
            self._tell_router()
            try:
                await self._look()
                self._said = ""
            except HyperError as error:
                self._complain(error)
            await anyio.sleep(LOOK_EVERY)

    async def _look(self) -> None:
        await self._close_old_meeting()
        if self._tunnel is not None:
            try:
                await self._notice()
            except HyperError as error:
                if error.code not in ("NOT_FOUND", "AWAY"):
                    raise
                self._tunnel = None
        if self._tunnel is None:
            told = list(self._file.all())
            tunnel = await self._tunnels.listen(self._arrivals, allow=told, secret=self._secret)
            self._tunnel = tunnel
            if list(self._file.all()) != told:
                # Somebody was paired or unpaired meanwhile.
                await self._tunnels.allow(tunnel, list(self._file.all()))

    async def _notice(self) -> None:
        assert self._tunnel is not None
        now = self._wall()
        here = {each.noise_key: now - each.seen for each in await self._tunnels.callers(self._tunnel)}
        known = self._file.all()
        self._file.seen(
            {key: at for key, at in here.items() if key in known and at - known[key].seen > SEEN_EVERY}
        )

    def _complain(self, error: HyperError) -> None:
        """Once, until something else is wrong or all is well: it is tried again every few seconds."""
        if error.code != "AWAY" and self._said != str(error):
            self._said = str(error)
            self._events.emit(
                "", "RemoteUnavailable", f"no device can reach this node: {error}", warning=True
            )

    def _tell_router(self) -> None:
        devices = self._file.all().values()
        wanted = {each.key: self._session_of(each.person) if each.person else None for each in devices}
        if wanted != self._told:
            self._told = wanted
            self._router.set_devices(wanted)

    async def _tell(self) -> None:
        """Everybody who lets devices in; who is away now asks when it is back."""
        self._tell_router()
        if self._tunnel is not None:
            try:
                await self._tunnels.allow(self._tunnel, list(self._file.all()))
            except HyperError:
                self._tunnel = None

    # -- devices

    async def devices(self) -> Sequence[dict[str, Any]]:
        """See `port.Remote`."""
        streams: dict[str, int] = {}
        if self._tunnel is not None:
            try:
                callers = await self._tunnels.callers(self._tunnel)
                streams = {each.noise_key: each.streams for each in callers}
            except HyperError:
                streams = {}
        return [
            {
                "name": each.name,
                "key": each.key,
                "person": each.person,
                "connections": streams.get(each.key, 0),
                "paired": each.paired,
                "seen": self._wall() if streams.get(each.key) else each.seen,
            }
            for each in self._file.all().values()
        ]

    async def unpair(self, name: str) -> str:
        """See `port.Remote`."""
        found = next((each for each in self._file.all().values() if name in (each.name, each.key)), None)
        if found is None:
            raise UserError(f"there is no device {name}", hint="`atek devices` lists them")
        self._file.remove(found.key)
        await self._tell()
        self._events.emit("", "DeviceUnpaired", f"{found.name} may not come any more")
        return found.name

    # -- pairing

    async def pair(self, person: str = "") -> Shown:
        """See `port.Remote`."""
        async with self._lock:
            await self._close_meeting()
            secret = self._random_bytes(SECRET)
            try:
                self._meeting = await self._tunnels.listen(
                    self._meetings, allow=None, secret=self._secret, seed=seed_of(secret)
                )
            except HyperError as error:
                raise UserError(f"no code can be made now: {error.message}", hint=error.hint) from error
            self._offer = Offer(secret, anyio.current_time() + GOOD_FOR)
            self._paired, self._person = "", person
        return Shown(format_code(Code(secret, self._bootstrap)), GOOD_FOR)

    def pairing(self) -> tuple[State, str]:
        """See `port.Remote`."""
        if self._offer is None:
            return "void", ""
        is_late = self._offer.state == "open" and anyio.current_time() >= self._offer.until
        return ("void" if is_late else self._offer.state), self._paired

    async def _close_old_meeting(self) -> None:
        """One that nobody came to in time; those who come see to it themselves."""
        if self._meeting is not None and self.pairing()[0] == "void":
            async with self._lock:
                await self._close_meeting()

    async def _close_meeting(self) -> None:
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            try:
                await self._tunnels.close(meeting)
            except HyperError:
                # It ended with the daemon, which lets nobody in by it.
                return

    async def greet(self, stream: ByteStream) -> None:
        """See `port.Remote`."""
        async with stream:
            try:
                self._guests.acquire_nowait()
            except anyio.WouldBlock:
                return
            try:
                with anyio.move_on_after(PATIENCE):
                    await self._greet(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ValueError):
                # It has left, or speaks another language.
                return
            finally:
                self._guests.release()
                await self._leave()

    async def _leave(self) -> None:
        """Where that was the end of a code, it is the end of its meeting."""
        with anyio.CancelScope(shield=True):
            async with self._lock:
                if self.pairing()[0] != "open":
                    await self._close_meeting()

    async def _greet(self, stream: ByteStream) -> None:
        lines = _Lines(stream)
        arrived = orjson.loads(await lines.next())
        if not isinstance(arrived, dict) or arrived.get("secret") != self._secret:
            return
        said = orjson.loads(await lines.next())
        if self._offer is None:
            return
        secret = self._offer.secret
        # No await between the question and what follows from it: a code is used once.
        self._offer, newcomer = answer(self._offer, str(arrived["noiseKey"]), said, anyio.current_time())
        if newcomer is None:
            return
        await self._let_in(newcomer)
        key = await self._tunnels.key()
        await stream.send(orjson.dumps(welcome(secret, newcomer.key, key, self._name)) + b"\n")
        # The meeting is over when the device has read it, and not before.
        await lines.end()

    async def _let_in(self, newcomer: Newcomer) -> None:
        now = self._wall()
        device = self._file.put(Device(newcomer.key, newcomer.name, self._person, paired=now, seen=now))
        self._paired = device.name
        await self._tell()
        self._events.emit("", "DevicePaired", f"{device.name} may come from now on")


class _Lines:
    """Lines of bounded length from a stream."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._rest = b""

    async def next(self) -> bytes:
        while b"\n" not in self._rest:
            if len(self._rest) > LONGEST:
                raise ValueError("a line without an end")
            self._rest += await self._stream.receive(LONGEST)
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def end(self) -> None:
        """Once nothing more comes."""
        while await self._stream.receive(LONGEST):
            pass
