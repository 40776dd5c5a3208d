"""A connection to an instance, kept for the next request.

An `UpstreamConnection` carries one exchange at a time. What comes back is taken apart here and handed to the
exchange as an answer's head and pieces of its body; framing that cannot be trusted ends the connection.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, cast

from runtimes.router.carry.piecewise import PiecewiseReader
from runtimes.router.protocol.answer_head import AnswerHead, known_answers, parse_answer
from runtimes.router.protocol.body import BadBody, Body, body_of
from runtimes.router.protocol.fields import END, BadHead
from runtimes.router.protocol.lines import no_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.router.carry.exchange import Exchange
    from runtimes.router.carry.pool import Pool

#: Longest head of an answer, bytes; cookies can be many.
LONGEST_HEAD = 64 * 1024
#: Heads that may come at once: interim answers, and the answer.
MOST_HEADS = 100
#: Pieces that are still read of a connection that broke while it was written to.
MOST_LAST_WORDS = 64


class UpstreamConnection(asyncio.Protocol):
    """Implements `exchange.Upstream`."""

    __slots__ = (
        "_answer", "_body", "_buffer", "_doubt", "_last", "_last_of", "_piecewise", "_raw", "_transport",
        "exchange", "idle_since", "instance", "keep_for", "known", "pool", "proof", "write",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.instance = pool.backend.instance
        self.proof = pool.proof
        self.idle_since = 0.0
        self.keep_for = pool.limits.upstream_idle
        self._transport: asyncio.Transport
        self.exchange: Exchange | None = None
        self.known = known_answers(b"GET")
        #: The last head that is remembered, and in which memory.
        self._last: AnswerHead | None = None
        self._last_of = self.known
        self._buffer = b""
        self._answer: AnswerHead | None = None
        self._body: Body | None = None
        self._raw = self._piecewise = False
        self._doubt: select.poll | None = None

    # -- used by the pool and the exchange

    def is_fresh(self, now: float) -> bool:
        """Whether a request may be risked on it. Between its closing and our knowing there is a gap."""
        if now - self.idle_since > self.keep_for or self._transport.is_closing():
            return False
        return not self._is_readable()

    def _is_readable(self) -> bool:
        """An idle connection has nothing to read unless it was closed."""
        if self._doubt is None:
            self._doubt = select.poll()
            self._doubt.register(self._descriptor(), select.POLLIN)
        return bool(self._doubt.poll(0))

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        self._transport.resume_reading()

    def rest(self) -> None:
        """Reads on in the next turn of the loop: one connection's bytes do not keep the others waiting."""
        if not self._transport.is_closing():
            self._transport.pause_reading()
            if not self._piecewise:
                # How a transport reads follows from its protocol's type, when reading begins.
                self._piecewise = True
                self._transport.set_protocol(PiecewiseReader(self))
            asyncio.get_running_loop().call_soon(self._rested)

    def _rested(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _read_as_usual(self) -> None:
        self._piecewise = False
        self._transport.pause_reading()
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    def splice(self) -> bytes:
        """From now on bytes go through as they are; returns those that came already."""
        self._raw = True
        rest, self._buffer = self._buffer, b""
        return rest

    def write_eof(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Whatever was written is still sent."""
        self.exchange = None
        self._transport.close()

    def leave(self) -> None:
        """The end of a tunnel: what is on its way still arrives, if the instance takes it in time."""
        exchange, self.exchange = self.exchange, None
        self._transport.close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(self.pool.limits.stalled, self._transport.abort)
        if exchange is not None:
            self.pool.finished(exchange)

    def abandon(self) -> None:
        """Its exchange is of no interest any more, and half an answer cannot be taken back."""
        exchange, self.exchange = self.exchange, None
        self._transport.abort()
        if exchange is not None:
            self.pool.finished(exchange)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by class.
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        self.write: Callable[[bytes], None] = transport.write

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            # Nobody asked.
            self._transport.abort()
        elif self._raw:
            exchange.more(data, done=False)
        elif self._body is not None:
            self._take_body(exchange, data)
        else:
            if self._buffer:
                data = self._buffer + data
            # By far the most: a whole answer and nothing else, with the same head as the last one, or one
            # that is remembered. As in `Client.data_received`, every call counts here.
            answer = self._last
            if answer is not None and self._last_of is self.known and data.startswith(answer.raw):
                payload = data[len(answer.raw) :]
            else:
                answer, payload = self._remembered(data)
            pool = self.pool
            if answer is None or answer.length != len(payload):
                self._take_head(exchange, data)
            elif answer.lasting and exchange.sent and not (self._buffer or pool.retired or pool.waiters):
                # `_settle`, where nothing has to be tidied up.
                now = self.idle_since = monotonic()
                self.exchange = None
                pool.in_flight.discard(exchange)
                pool.idle.append(self)
                exchange.complete(answer, payload, now)
            else:
                exchange.complete(answer, payload, self._settle(exchange, answer, b""))

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is None:
            return False
        if self._raw:
            exchange.upstream_ended()
            return True
        answer = self._answer
        if answer is not None and answer.length == -2:
            self._settle(exchange, answer, b"")
            exchange.more(b"", done=True)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        exchange = self.exchange
        if error is not None and exchange is not None and not self._raw:
            self._take_last_words()
            if not exchange.sent:
                # It was reset for what was not read; an answer without a length ends here like any other.
                self.eof_received()
        if self.exchange is None:
            self.pool.idle = [other for other in self.pool.idle if other is not self]
        self._break("it closed the connection" if self._answer is None else "it closed the connection early")

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upstream_paused()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upstream_resumed()

    # -- inside

    def _take_last_words(self) -> None:
        """Whoever refuses an upload answers and closes, and sending on fails before the answer was read.

        All that it ever said is in the kernel's buffer now, and the descriptor is open until we return.
        """
        with suppress(OSError), socket.socket(fileno=os.dup(self._descriptor())) as last:
            last.setblocking(False)
            for _ in range(MOST_LAST_WORDS):
                data = last.recv(LONGEST_HEAD)
                if not data:
                    self.eof_received()
                    return
                self.data_received(data)
                if self.exchange is None:
                    return

    def _descriptor(self) -> int:
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    def _remembered(self, data: bytes) -> tuple[AnswerHead | None, bytes]:
        """The head that `data` begins with, if there was one like it before, and what follows it."""
        head, end, rest = data.partition(END)
        answer = self.known.get(head) if end else None
        if answer is not None:
            self._last, self._last_of = answer, self.known
        return answer, rest

    def _take_head(self, exchange: Exchange, data: bytes) -> None:
        """100 has served its purpose here, others go on; 101 makes a tunnel of the connection."""
        for _ in range(MOST_HEADS):
            end = data.find(END) + 4
            if end < 4:
                self._wait_for_head(data)
                return
            try:
                answer = parse_answer(data[:end], self.known)
            except BadHead as error:
                self._break(error.message)
                return
            data = data[end:]
            if answer.status >= 200:
                self._first_piece(exchange, answer, data)
                return
            if answer.status == 101:
                self._buffer = data
                exchange.answered(answer, b"")
                return
            if answer.status > 101:
                exchange.interim(answer)
        self._break("it only says that its answer will come")

    def _wait_for_head(self, data: bytes) -> None:
        self._buffer = data
        if len(data) > LONGEST_HEAD:
            self._break("the head of its answer is too long")
        elif reason := no_answer(data):
            self._break(reason)

    def _first_piece(self, exchange: Exchange, answer: AnswerHead, rest: bytes) -> None:
        self._buffer = b""
        self._answer = answer
        self._body = body_of(answer.length)
        try:
            payload, rest = self._body.feed(rest)
        except BadBody as error:
            self._break(str(error))
            return
        if self._body.done:
            exchange.complete(answer, payload, self._settle(exchange, answer, rest))
        else:
            exchange.answered(answer, payload)

    def _take_body(self, exchange: Exchange, data: bytes) -> None:
        assert self._body is not None
        try:
            payload, rest = self._body.feed(data)
        except BadBody as error:
            self._break(str(error))
            return
        done = self._body.done
        if done:
            assert self._answer is not None
            self._settle(exchange, self._answer, rest)
        if payload or done:
            exchange.more(payload, done=done)

    def _settle(self, exchange: Exchange, answer: AnswerHead, rest: bytes) -> float:
        """The answer is complete: the connection is kept where both sides are in step. Returns the moment."""
        now = self.idle_since = monotonic()
        pool = self.pool
        self._buffer = b""
        self.exchange = self._answer = self._body = None
        pool.in_flight.discard(exchange)
        if pool.waiters:
            pool.wake_waiters()
        if not answer.keep_alive or rest or not exchange.sent or pool.retired:
            # Not `close`: it would wait until the other side has read what it no longer wants.
            self._transport.abort()
            return now
        if self._piecewise:
            self._read_as_usual()
        if answer.keep_alive_seconds is not None:
            self.keep_for = min(pool.limits.upstream_idle, max(0.0, answer.keep_alive_seconds - 1))
        pool.idle.append(self)
        return now

    def _break(self, reason: str) -> None:
        exchange, self.exchange = self.exchange, None
        self._transport.abort()
        if exchange is not None:
            self.pool.finished(exchange)
            exchange.broken(reason)
