"""Serves what is listened on inside of one sandbox: the hosts that it may reach, the proxy, the names.

Whoever connects to a host's own address gets what that host says, as it says it. Of the proxy and the names,
whatever is not allowed is asked in vain, and told.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketListener, UDPSocket

from runtimes.network.dialling import Refused, dial
from runtimes.network.dns_message import answer, parse_question
from runtimes.network.proxy_request import END, LONGEST_HEAD, BadRequest, parse_request
from runtimes.network.rules import Refusal, destination, plain_host
from runtimes.network.splicing import ENDS, splice

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from anyio.abc import SocketStream

    from runtimes.network.rules import Rule, Rules

#: Connections of one sandbox to other machines at a time.
MOST = 256
#: Seconds in which the head of a request has to be there.
_HEAD_DEADLINE = 30.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REASONS = {400: b"Bad Request", 403: b"Forbidden", 502: b"Bad Gateway", 503: b"Service Unavailable"}


class Serving:
    """`refused` hears of each refusal. `address_of`: where a host is inside, "" where nowhere."""

    def __init__(
        self, rules: Rules, refused: Callable[[Refusal], None], address_of: Callable[[str], Awaitable[str]]
    ) -> None:
        self._rules = rules
        self._refused = refused
        self._address_of = address_of
        self._open = 0

    # -- hosts at their own addresses

    async def serve_host(self, listener: socket.socket, rule: Rule, host: str = "") -> None:
        """Until cancelled. `host` is which one it is of those that a wildcard stands for."""

        async def lead(client: SocketStream) -> None:
            server = await self._dial(rule, host or rule.host)
            if not isinstance(server, str):
                async with server:
                    await splice(client, server)

        await self._serve(listener, lead)

    # -- the proxy

    async def serve_proxy(self, listener: socket.socket) -> None:
        """Until cancelled."""
        await self._serve(listener, self._answer_request)

    async def _answer_request(self, client: SocketStream) -> None:
        head, rest = await _read_head(client)
        try:
            wanted = parse_request(head)
        except BadRequest as error:
            return await _deny(client, 400, str(error))
        rule = self._rules.find(wanted.host, wanted.port)
        where = destination(wanted.host, wanted.port)
        if rule is None:
            self._refused(Refusal(wanted.host, wanted.port, "is not in its egress"))
            return await _deny(client, 403, f"this service may not reach {where}: it is not in its egress")
        server = await self._dial(rule, wanted.host)
        if isinstance(server, str):
            return await _deny(client, 502, server)
        async with server:
            if wanted.connect:
                await client.send(_ESTABLISHED)
            if first := wanted.head + rest:
                await server.send(first)
            await splice(client, server)
        return None

    async def _dial(self, rule: Rule, host: str) -> SocketStream | str:
        """A connection, or why there is none."""
        try:
            return await dial(rule, host)
        except Refused as error:
            self._refused(Refusal(host, rule.port, str(error)))
            return f"{destination(host, rule.port)} {error}"
        except OSError as error:
            return f"{destination(host, rule.port)} cannot be reached: {error.strerror or error}"

    # -- names

    async def serve_names(self, bound: socket.socket) -> None:
        """Until cancelled."""
        async with await UDPSocket.from_socket(bound) as names:
            async for packet, sender in names:
                question = parse_question(packet)
                if question is None:
                    continue
                host = plain_host(question.name)
                address = await self._address_of(host) if host else ""
                if host and not address:
                    self._refused(Refusal(host, None, "was looked up and is not in its egress"))
                with suppress(*ENDS):
                    await names.sendto(answer(question, address), *sender)

    # -- all of them

    async def _serve(
        self, listening: socket.socket, handle: Callable[[SocketStream], Awaitable[None]]
    ) -> None:
        async def serve(client: SocketStream) -> None:
            async with client:
                if self._open >= MOST:
                    return
                self._open += 1
                try:
                    with suppress(*ENDS):
                        await handle(client)
                finally:
                    self._open -= 1

        async with await SocketListener.from_socket(listening) as listener:
            await listener.serve(serve)


async def _read_head(client: SocketStream) -> tuple[bytes, bytes]:
    """A head with its empty line, and what came after it. Raises what a connection may end with."""
    got = b""
    with anyio.fail_after(_HEAD_DEADLINE):
        while END not in got:
            if len(got) > LONGEST_HEAD:
                raise anyio.EndOfStream
            got += await client.receive()
    head, end, rest = got.partition(END)
    return head + end, rest


async def _deny(client: SocketStream, status: int, why: str) -> None:
    body = f"{why}\n".encode()
    fields = (
        b"HTTP/1.1 %d %b" % (status, _REASONS[status]), b"Content-Type: text/plain; charset=utf-8",
        b"Content-Length: %d" % len(body), b"Connection: close",
    )  # fmt: skip
    await client.send(b"\r\n".join(fields) + END + body)
    await client.send_eof()
    # Who has more to say than a head would be reset before it has read why.
    with anyio.move_on_after(1.0), suppress(*ENDS):
        while True:
            await client.receive()
