"""A client for the Docker Engine API over a Unix socket.

Everything that goes wrong becomes one of two things here: RuntimeUnavailable, when nobody can know what the
engine did; or EngineAnswer, an error in its own words. The version of the API is negotiated on first use.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpcore
import orjson

from runtimes.docker.address import find_socket
from runtimes.docker.failures import EngineAnswer, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    #: Values are text, numbers, flags, or JSON objects (filters, labels).
    Query = Mapping[str, object]

# Only Podman has a version of an API of its own beside Docker's.
_PODMAN = b"libpod-api-version"
#: The first version that has all that is used here (Docker 20.10), and the last one it was written against.
OLDEST_API, NEWEST_API = (1, 41), (1, 51)
#: Seconds for a connection, and for the answer to a request that does not wait for anything.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 5.0, 60.0
#: Streams at a time: events, and the output of each container.
MOST_CONNECTIONS = 4096
IDLE_CONNECTIONS = 8
_FIRST_ERROR = 400
_VERSION = re.compile(r"(\d+)\.(\d+)")


class Engine:
    """One engine. `locate` says where its socket is, and is asked again for each new connection."""

    def __init__(self, locate: Callable[[], str] = find_socket) -> None:
        self._locate = locate
        self._socket = ""
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._version = ""
        self._is_podman = False

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        timeout: float | None = ANSWER_TIMEOUT,
    ) -> Any:
        """The JSON of the answer, None without any. Raises EngineAnswer or RuntimeUnavailable."""
        async with self.stream(method, path, query=query, body=body, timeout=timeout) as chunks:
            data = b"".join([chunk async for chunk in chunks])
        return _json(data)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of the answer as it comes. `body`: an async iterator is sent as it is."""
        version = await self._negotiated()
        url = f"/v{version}{path}{_query(query)}"
        async with self._request(method, url, body, headers or {}, timeout) as response:
            yield _chunks(response)

    async def version(self) -> str:
        """The version that both sides speak. Raises RuntimeUnavailable."""
        return await self._negotiated()

    async def is_podman(self) -> bool:
        """Whether it is Podman's answer to Docker's API, which takes some words otherwise."""
        await self._negotiated()
        return self._is_podman

    def forget(self) -> None:
        """Whoever listens there now may be another engine."""
        self._version = ""

    async def aclose(self) -> None:
        """Ends all connections."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _negotiated(self) -> str:
        if not self._version:
            async with self._request("GET", "/_ping", None, {}, ANSWER_TIMEOUT) as response:
                await response.aread()
                headers = {name.lower(): value for name, value in response.headers}
            self._is_podman = _PODMAN in headers
            self._version = _common(headers.get(b"api-version", b"").decode("latin-1"))
        return self._version

    @asynccontextmanager
    async def _request(
        self, method: str, url: str, body: object, headers: Mapping[str, str], timeout: float | None
    ) -> AsyncIterator[httpcore.Response]:
        content, fields = _content(body, headers)
        timeouts = {"connect": CONNECT_TIMEOUT, "read": timeout, "write": timeout, "pool": CONNECT_TIMEOUT}
        connections = await self._connections()
        try:
            async with connections.stream(
                method,
                f"http://engine{url}",
                headers=fields,
                content=content,
                extensions={"timeout": timeouts},
            ) as response:
                if response.status >= _FIRST_ERROR:
                    raise EngineAnswer(response.status, _message(await response.aread()))
                yield response
        except httpcore.TimeoutException as error:
            raise unavailable("does not answer") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise unavailable(
                f"cannot be reached at {self._socket}: {error or 'the connection ended'}"
            ) from error

    async def _connections(self) -> httpcore.AsyncConnectionPool:
        socket = self._locate()
        if self._pool is not None and socket == self._socket:
            return self._pool
        last, self._socket, self._version = self._pool, socket, ""
        self._pool = pool = httpcore.AsyncConnectionPool(
            uds=socket, max_connections=MOST_CONNECTIONS, max_keepalive_connections=IDLE_CONNECTIONS
        )
        if last is not None:
            await last.aclose()
        return pool


async def _chunks(response: httpcore.Response) -> AsyncIterator[bytes]:
    async for chunk in response.aiter_stream():
        yield chunk


def _content(
    body: object, headers: Mapping[str, str]
) -> tuple[bytes | AsyncIterator[bytes], list[tuple[str, str]]]:
    fields = [("Host", "engine"), *headers.items()]
    if body is None:
        return b"", [*fields, ("Content-Length", "0")]
    if isinstance(body, AsyncIterator):
        return body, [*fields, ("Content-Type", "application/x-tar"), ("Transfer-Encoding", "chunked")]
    data = orjson.dumps(body)
    return data, [*fields, ("Content-Type", "application/json"), ("Content-Length", str(len(data)))]


def _query(query: Query | None) -> str:
    if not query:
        return ""
    return "?" + urlencode({name: _value(value) for name, value in query.items()}, quote_via=quote)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data) if data.strip() else None
    except ValueError as error:
        raise EngineAnswer(500, "its answer is not JSON") from error


def _message(data: bytes) -> str:
    """Docker's and Podman's errors are `{"message": …}`; anything else is shown as it is."""
    try:
        value = orjson.loads(data)
        return str(value["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode("utf-8", "replace") or "it did not say why"


def _common(theirs: str) -> str:
    match = _VERSION.fullmatch(theirs)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version < OLDEST_API:
        raise unavailable(f"speaks version {theirs or 'unknown'} of the API, which is too old")
    return ".".join(map(str, min(version, NEWEST_API)))
