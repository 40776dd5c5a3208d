"""Checks whether an instance works: connects to it, asks it over HTTP, or runs a command beside it.

Every check ends within its time-out and answers with None, or with one line that says what is wrong.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.to_thread

from runtimes.loopback import addresses
from runtimes.processes.children import TABLE
from runtimes.processes.proc import surroundings_of
from runtimes.unix_sockets import the_socket_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import ByteStream

    from manifests.model.spec import Exec, HttpGet, Probe
    from runtimes.base import Endpoint, Running

#: Seconds for the bare question whether an endpoint accepts connections.
CONNECT_TIMEOUT = 1.0
#: An answer's head that is longer than this is not an answer.
LONGEST_HEAD = 65536


class Prober(Protocol):
    """Asks an instance how it is."""

    async def check(self, probe: Probe | None, running: Running) -> str | None:
        """None for success, else why not. Without a probe: does the endpoint accept a connection?"""
        ...

    async def elsewhere(self, running: Running) -> str:
        """For a person: where else it listens, and what to do; empty when there is nothing to say."""
        ...


class Beside(Protocol):
    """What a command needs that runs beside an instance."""

    def surroundings(self, running: Running) -> tuple[Mapping[str, str], str]:
        """The instance's environment and folder. Raises OSError."""
        ...

    def line(self, running: Running, words: Sequence[str], folder: str) -> Sequence[str]:
        """What to start for it: where the instance is kept apart, the command is as well. Raises OSError."""
        ...

    def apply_limits(self, running: Running, pid: int) -> None:
        """Gives the process the limits of the instance."""
        ...

    def options(self, running: Running) -> Mapping[str, Any]:
        """How it is started: as whoever the instance runs as. Raises OSError."""
        ...


class _Kernel:
    """Of an instance of which nobody else knows anything."""

    def surroundings(self, running: Running) -> tuple[Mapping[str, str], str]:
        return surroundings_of(running.pid)

    def line(self, running: Running, words: Sequence[str], folder: str) -> Sequence[str]:
        return words

    def apply_limits(self, running: Running, pid: int) -> None:
        """It has none."""

    def options(self, running: Running) -> Mapping[str, Any]:
        return {}


class EndpointProber:
    """The real one. `beside` knows what a command needs that runs beside an instance."""

    def __init__(self, beside: Beside | None = None) -> None:
        self._beside = beside or _Kernel()

    async def check(self, probe: Probe | None, running: Running) -> str | None:
        timeout = probe.timeout_seconds if probe else CONNECT_TIMEOUT
        try:
            with anyio.fail_after(timeout):
                return await _check(probe, running, self._beside)
        except TimeoutError:
            return f"no answer within {timeout:g} s"
        except OSError as error:
            return _first(error)

    async def elsewhere(self, running: Running) -> str:
        # Seldom needed.
        from runtimes.processes.elsewhere import advise
        from runtimes.processes.listening import listening

        return advise(running, await anyio.to_thread.run_sync(listening, running.pid))


async def accepts(endpoint: Endpoint) -> bool:
    """Whether somebody accepts connections there; an answer that takes too long is none."""
    try:
        with anyio.fail_after(CONNECT_TIMEOUT):
            await _accepts(endpoint, None)
    except (TimeoutError, OSError):
        return False
    return True


async def _check(probe: Probe | None, running: Running, beside: Beside) -> str | None:
    if probe is None:
        await _accepts(running.endpoint, None)
    elif probe.tcp_socket:
        await _accepts(running.endpoint, probe.tcp_socket.port)
    elif probe.http_get:
        return await _http_get(running, probe.http_get)
    elif probe.exec:
        return await _exec(probe.exec, running, beside)
    return None


async def _connect(endpoint: Endpoint, port: int | None) -> ByteStream:
    if port is None and endpoint.socket is not None:
        with the_socket_at(endpoint.socket) as path:
            return await anyio.connect_unix(path)
    first, *others = addresses(endpoint.host)
    try:
        return await anyio.connect_tcp(first, port or endpoint.port or 0)
    except OSError:
        for address in others:
            with contextlib.suppress(OSError):
                return await anyio.connect_tcp(address, port or endpoint.port or 0)
        raise


async def _accepts(endpoint: Endpoint, port: int | None) -> None:
    stream = await _connect(endpoint, port)
    await anyio.aclose_forcefully(stream)


async def _http_get(running: Running, get: HttpGet) -> str | None:
    """GET with HTTP/1.1; only the head of the answer is read."""
    import h11

    stream = await _connect(running.endpoint, get.port)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        headers = [("Host", "localhost"), ("User-Agent", "atek-probe"), ("Connection", "close")]
        # As the router does: what listens elsewhere may be another program's.
        if running.router_token and get.port in (None, running.endpoint.port):
            headers.append(("Atek-Router-Token", running.router_token))
        request = connection.send(h11.Request(method="GET", target=get.path, headers=headers))
        await stream.send((request or b"") + (connection.send(h11.EndOfMessage()) or b""))
        status = await _status(connection, stream)
    except h11.RemoteProtocolError as error:
        return f"GET {get.path}: not an HTTP answer: {error}"
    except (anyio.BrokenResourceError, anyio.EndOfStream):
        return f"GET {get.path}: the connection was closed without an answer"
    finally:
        await anyio.aclose_forcefully(stream)
    return None if 200 <= status < 400 else f"GET {get.path} answered {status}"


async def _status(connection: object, stream: ByteStream) -> int:
    import h11

    assert isinstance(connection, h11.Connection)
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive())
        elif isinstance(event, h11.Response):
            return event.status_code


async def _exec(probe: Exec, running: Running, beside: Beside) -> str | None:
    """Runs with the environment, the limits and in the folder of the instance; what it forks ends with it."""
    environment, folder = beside.surroundings(running)
    limit = partial(beside.apply_limits, running)
    line = beside.line(running, probe.command, folder)
    code = await TABLE.execute(line, env=environment, cwd=folder, on_start=limit, **beside.options(running))
    if code < 0:
        return f"{probe.command[0]} was killed by signal {-code}"
    return None if code == 0 else f"{probe.command[0]} exited with status {code}"


def _first(error: OSError) -> str:
    """anyio wraps the reason of a failed connection."""
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup) and cause.exceptions:
        cause = cause.exceptions[0]
    reason = cause if isinstance(cause, OSError) else error
    return reason.strerror or str(reason)
