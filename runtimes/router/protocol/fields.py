"""The fields of a head, whoever's it is: what they say of the body and the connection, and which go on. Pure.

llhttp (httptools) does the grammar; what follows here are the rules that keep two parsers from reading one
message in two ways (RFC 9112, sections 6 and 11.2), and what may be passed on: hop-by-hop fields end here,
and so does everything by which a client could pretend to be somebody (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

END = b"\r\n\r\n"
WEBSOCKET = b"websocket"
#: A body that is longer than this is a mistake or an attack; and Python's ints have no end.
LONGEST_BODY = 1 << 62
#: Bytes of a field's name about which it is remembered whether it goes on.
LONGEST_REMEMBERED = 64

_DIGITS = re.compile(rb"[0-9]{1,19}")
_SIGN = re.compile(rb"[^a-z0-9]")
_PROTOCOL = re.compile(rb"(?!h2|http|tls)[!#$%&'*+.^_`|~0-9a-z-]+(?:/[!#$%&'*+.^_`|~0-9a-z-]+)?")

_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", b"proxy-authenticate", b"proxy-authorization",
    }
)  # fmt: skip
#: Said anew by the router, or meant for it alone.
_OURS = frozenset(
    {
        b"content-length", b"expect", b"authorization", b"x-request-id", b"forwarded", b"x-forwarded-for",
        b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip",
    }
)  # fmt: skip
#: What only the router says to instances: who calls, and that it is the router.
ROUTER_TOKEN = b"Atek-Router-Token"
_IDENTITY = (b"atek-auth-", b"atek-router-")

#: A name and a value.
Field = tuple[bytes, bytes]
#: By their names in small letters.
Values = dict[bytes, list[bytes]]


class BadHead(Exception):
    """A head that is not forwarded. `status` is the answer that it gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Collector:
    """Takes what llhttp finds."""

    def __init__(self) -> None:
        self.fields: list[Field] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.strip(b" \t")))


@dataclass(frozen=True, slots=True)
class Fields:
    """What all heads' fields say in the same way.

    `values` are by their names in small letters, `only` those that stand there once: two of them would mean
    two things to two readers. `length` is the Content-Length. `options` are what Connection names. `passed`
    are the lines that may go on, `passed_without_cookie` those but Cookie.
    """

    values: Values
    only: dict[bytes, bytes]
    length: int | None
    chunked: bool
    options: frozenset[bytes]
    keep_alive: bool
    upgrade: bytes
    passed: bytes
    passed_without_cookie: bytes


class _Parser(Protocol):
    def feed_data(self, data: bytes, /) -> None: ...


def read_fields(
    parser: Callable[[object], _Parser],
    head: bytes,
    *,
    http_1_0: bool,
    host: bytes | None = None,
    kept: frozenset[bytes] = frozenset(),
    passing: Callable[[list[Field]], list[Field]] | None = None,
) -> Fields:
    """Raises BadHead. `host` stands for what Host says; `kept` go on whatever Connection names.

    `passing` chooses, of all fields, those that may go on at all; it may change them.
    """
    collector = _Collector()
    try:
        parser(collector).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadHead(400, f"not HTTP: {error}") from error
    fields = collector.fields
    values: Values = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    options = _connection_options(values)
    if host is not None:
        fields = [(b"Host", host), *(field for field in fields if field[0].lower() != b"host")]
    if passing is not None:
        fields = passing(fields)
    passed = _passed_lines(fields, options - kept)
    return Fields(
        values=values,
        only={name: found[0] for name, found in values.items() if len(found) == 1},
        length=_content_length(values),
        chunked=_is_chunked(values, http_1_0=http_1_0),
        options=options,
        keep_alive=b"keep-alive" in options if http_1_0 else b"close" not in options,
        upgrade=_upgrade(values, options),
        passed=passed,
        passed_without_cookie=(
            _passed_lines(fields, options - kept | {b"cookie"}) if b"cookie" in values else passed
        ),
    )


def _content_length(values: Values) -> int | None:
    """None without one. llhttp refuses what is no number, and two of them."""
    found = values.get(b"content-length")
    if found is None:
        return None
    if len(found) != 1 or not _DIGITS.fullmatch(found[0]) or int(found[0]) > LONGEST_BODY:
        raise BadHead(400, "the Content-Length is not the length of a body")
    return int(found[0])


def _is_chunked(values: Values, *, http_1_0: bool) -> bool:
    """Only `chunked`, alone, once, in HTTP/1.1: whatever else is there is read differently by somebody."""
    codings = values.get(b"transfer-encoding")
    if codings is None:
        return False
    if http_1_0 or len(codings) != 1:
        raise BadHead(400, "this Transfer-Encoding is not understood")
    if codings[0].lower() != b"chunked":
        raise BadHead(501, "no Transfer-Encoding but chunked is understood")
    return True


def _connection_options(values: Values) -> frozenset[bytes]:
    """What the Connection field names, in small letters."""
    found = values.get(b"connection")
    if not found:
        return frozenset()
    return frozenset(option.strip().lower() for value in found for option in value.split(b","))


def _upgrade(values: Values, options: frozenset[bytes]) -> bytes:
    """Without HTTP's own: what went through such a tunnel would be requests that nobody looked at."""
    if b"upgrade" not in options:
        return b""
    named = b",".join(values.get(b"upgrade", ())).lower().split(b",")
    protocols = [name for name in (each.strip(b" \t") for each in named) if _PROTOCOL.fullmatch(name)]
    return WEBSOCKET if WEBSOCKET in protocols else b", ".join(protocols)


def _passed_lines(fields: list[Field], dropped: frozenset[bytes]) -> bytes:
    return b"".join(
        [
            b"%b: %b\r\n" % field
            for field in fields
            if field[0].lower() not in dropped and _is_passed(field[0])
        ]
    )


def _is_passed(name: bytes) -> bool:
    # What is remembered is bounded by more than its number.
    return _may_pass(name) if len(name) <= LONGEST_REMEMBERED else _may_pass.__wrapped__(name)


def plain_name(name: bytes) -> bytes:
    """As servers see it that hand fields on as variables (CGI, WSGI): -, _ and other signs are the same."""
    return _SIGN.sub(b"-", name.lower())


@lru_cache(1024)
def _may_pass(name: bytes) -> bool:
    name = plain_name(name)
    return not (name in _HOP_BY_HOP or name in _OURS or name.startswith(_IDENTITY))
