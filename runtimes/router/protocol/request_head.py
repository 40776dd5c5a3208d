"""The heads of requests: parsed strictly, and made ready to be passed on. Pure.

What all heads have in common is in `fields`; here are a request's own rules (RFC 9112, section 3).

A head is a pure function of its bytes, and most clients send the same few heads again and again, so heads
are remembered: one that is known costs a look-up instead of a parse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httptools

from runtimes.router.protocol.fields import BadHead, read_fields
from runtimes.router.protocol.foreign_identity import tells_identity
from runtimes.router.protocol.lines import request_line
from runtimes.router.protocol.origins import asks_for_narrower_network, is_foreign, is_own, is_preflight
from runtimes.router.protocol.remembered import remember

if TYPE_CHECKING:
    from runtimes.router.protocol.fields import Field, Fields, Values

# A reg-name, an IPv4 address or a bracketed IPv6 address, with or without a port.
_HOST = re.compile(rb"([A-Za-z0-9_.~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_SCHEME = re.compile(rb"https?")

#: Fields that go on even where Connection names them.
_KEPT = frozenset({b"host", b"cookie"})
#: Said by proxies, beside whatever begins with X-Forwarded-.
_PROXIES = frozenset({b"forwarded", b"via", b"x-real-ip"})


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body.

    `host` is in small letters and without its port, empty when there is none (HTTP/1.0). `length` is that of
    the body in bytes, -1 when it is chunked. `passed` are the field lines that may go to a backend as they
    are; `authorization` and `token` (of a Bearer) are kept apart, because they are the node's as often as the
    service's. `upgrade` are the protocols asked for, in small letters. `for_another`: a proxy says that it
    asks for somebody else. `foreign`: a page of another origin asks; `elsewhere`: by itself, without a person
    who goes there. `preflight`: a browser asks whether such a page may ask, `from_wider_network` for one that
    came from the internet into this network. `raw` is all of it, with its empty line.
    """

    raw: bytes
    method: bytes
    target: bytes
    path: bytes
    query: bytes
    host: str
    authority: bytes
    length: int
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes
    http_1_0: bool
    token: str
    authorization: bytes
    request_id: bytes
    traceparent: bytes
    forwarded_for: bytes
    forwarded_proto: bytes
    for_another: bool
    cookie: bytes
    origin: bytes
    foreign: bool
    elsewhere: bool
    preflight: bool
    from_wider_network: bool
    accepts_html: bool
    passed: bytes
    passed_without_cookie: bytes


def parse_request(head: bytes) -> RequestHead:
    """The head of a request, given with its empty line. Raises BadHead."""
    known = _requests.get(head)
    if known is None:
        known = _parse_request(head)
        remember(_requests, head, known)
    return known


_requests: dict[bytes, RequestHead] = {}


def _parse_request(head: bytes) -> RequestHead:
    line = request_line(head)
    if line is None:
        raise BadHead(400, "the request line is not HTTP/1.1 with a path")
    http_1_0 = line.version == b"HTTP/1.0"
    # llhttp knows some methods only; the grammar of the fields is the same for all.
    fields = read_fields(
        httptools.HttpRequestParser,
        b"POST / %b\r\n%b" % (line.version, head[line.length :]),
        http_1_0=http_1_0,
        host=line.authority,
        kept=_KEPT,
        passing=_without_identity,
    )
    values, only = fields.values, fields.only
    host, authority = _host(values, http_1_0=http_1_0)
    if line.authority is not None:
        host, authority = _name(line.authority), line.authority
    path, _, query = line.target.partition(b"?")
    authorization = only.get(b"authorization", b"")
    return RequestHead(
        raw=head,
        method=line.method,
        target=line.target,
        path=path,
        query=query,
        host=host,
        authority=authority,
        length=_length(fields),
        keep_alive=fields.keep_alive,
        expects_continue=_expects_continue(values, http_1_0=http_1_0),
        upgrade=b"" if http_1_0 else fields.upgrade,
        http_1_0=http_1_0,
        token=_bearer(authorization),
        authorization=authorization,
        request_id=_checked(only.get(b"x-request-id", b""), _REQUEST_ID),
        traceparent=only.get(b"traceparent", b""),
        forwarded_for=b", ".join(values.get(b"x-forwarded-for", ())),
        forwarded_proto=_checked(only.get(b"x-forwarded-proto", b"").lower(), _SCHEME),
        for_another=any(name in _PROXIES or name.startswith(b"x-forwarded-") for name in values),
        cookie=b"; ".join(values.get(b"cookie", ())),
        # Two of them are nobody's, but they come from a page.
        origin=b", ".join(values.get(b"origin", ())),
        foreign=is_foreign(values, authority),
        elsewhere=_is_elsewhere(values, authority),
        preflight=is_preflight(line.method, values),
        from_wider_network=asks_for_narrower_network(line.method, values),
        accepts_html=any(b"text/html" in value for value in values.get(b"accept", ())),
        passed=fields.passed,
        passed_without_cookie=fields.passed_without_cookie,
    )


def _without_identity(fields: list[Field]) -> list[Field]:
    return [field for field in fields if not tells_identity(field[0])]


def _is_elsewhere(values: Values, authority: bytes) -> bool:
    """A link that a person follows has no Origin. Both have to say so: each is somebody's only proof."""
    if any(not is_own(origin, authority) for origin in values.get(b"origin", ())):
        return True
    return is_foreign(values, authority) and values.get(b"sec-fetch-mode") != [b"navigate"]


def _host(values: Values, *, http_1_0: bool) -> tuple[str, bytes]:
    found = values.get(b"host", [])
    if not found and http_1_0:
        return "", b""
    if len(found) != 1:
        raise BadHead(400, "a request has exactly one Host")
    return _name(found[0]), found[0]


def _name(authority: bytes) -> str:
    match = _HOST.fullmatch(authority)
    name = match[1].decode("ascii").lower().removesuffix(".") if match else ""
    if not name:
        raise BadHead(400, "the Host is not the name of a host")
    return name


def _length(fields: Fields) -> int:
    if not fields.chunked:
        return fields.length or 0
    if fields.length is not None:
        raise BadHead(400, "a body has either a Content-Length or a Transfer-Encoding")
    return -1


def _expects_continue(values: Values, *, http_1_0: bool) -> bool:
    expectation = values.get(b"expect")
    if expectation is None or http_1_0:
        return False
    if [value.lower() for value in expectation] != [b"100-continue"]:
        raise BadHead(417, "this expectation cannot be met")
    return True


def _bearer(authorization: bytes) -> str:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        return ""
    return token.strip(b" ").decode("ascii")


def _checked(value: bytes, pattern: re.Pattern[bytes]) -> bytes:
    return value if pattern.fullmatch(value) else b""
