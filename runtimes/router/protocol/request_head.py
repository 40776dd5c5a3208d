"""The heads of requests and answers: parsed strictly, and made ready to be passed on. Pure.

llhttp (httptools) does the grammar; what follows here are the rules that keep two parsers from reading one
message in two ways (RFC 9112, sections 3, 6 and 11.2), and what may be passed on: hop-by-hop fields end here,
and so does everything by which a client could pretend to be somebody (RFC 9110, section 7.6.1).

A head is a pure function of its bytes, and most clients send the same few heads again and again, so heads
are remembered: one that is known costs a look-up instead of a parse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

import httptools

from runtimes.router.protocol.lines import STATUS_LINE, request_line

#: Heads up to this length are remembered, this many of each kind: a few MiB at the most.
REMEMBERED_LENGTH, REMEMBERED = 2048, 512
END = b"\r\n\r\n"
WEBSOCKET = b"websocket"
#: A body that is longer than this is a mistake or an attack; and Python's ints have no end.
LONGEST_BODY = 1 << 62

# A reg-name, an IPv4 address or a bracketed IPv6 address, with or without a port.
_HOST = re.compile(rb"([A-Za-z0-9_.~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_SCHEME = re.compile(rb"https?")
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
_IDENTITY = b"atek-auth-"
#: Where pages of other origins ask from, in the words of Fetch Metadata.
_OTHERS = frozenset({b"cross-site", b"same-site"})
#: Said by proxies, beside whatever begins with X-Forwarded-.
_PROXIES = frozenset({b"forwarded", b"via", b"x-real-ip"})

T = TypeVar("T")


class BadHead(Exception):
    """A head that is not forwarded. `status` is the answer that it gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body.

    `host` is in small letters and without its port, empty when there is none (HTTP/1.0). `length` is that of
    the body in bytes, -1 when it is chunked. `passed` are the field lines that may go to a backend as they
    are; `authorization` and `token` (of a Bearer) are kept apart, because they are the node's as often as the
    service's. `upgrade` are the protocols asked for, in small letters. `for_another`: a proxy says that it
    asks for somebody else. `elsewhere`: a page of another origin asks by itself, without a person who goes
    there (Fetch Metadata, which browsers send and pages cannot). `raw` is all of it, with its empty line.
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
    elsewhere: bool
    accepts_html: bool
    passed: bytes
    passed_without_cookie: bytes


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """An answer without its body.

    `length` is that of the body in bytes, -1 when it is chunked, -2 when it ends with the connection.
    `passed` are the status line and the field lines that go to the client, `complete` the same with the empty
    line. `lasting`: the connection is kept, for nobody says how long. `endless` is an event stream. `raw` is
    all of it as it came, with its empty line.
    """

    raw: bytes
    status: int
    length: int
    keep_alive: bool
    keep_alive_seconds: float | None
    lasting: bool
    upgrade: bytes
    endless: bool
    passed: bytes
    complete: bytes


class _Collector:
    """Takes what llhttp finds."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.strip(b" \t")))


def parse_request(head: bytes) -> RequestHead:
    """The head of a request, given with its empty line. Raises BadHead."""
    known = _requests.get(head)
    if known is None:
        known = _parse_request(head)
        _remember(_requests, head, known)
    return known


def parse_answer(head: bytes, known: dict[bytes, AnswerHead]) -> AnswerHead:
    """The head of an answer, given with its empty line. Raises BadHead.

    `known` is what was remembered of answers to that method: `known_answers`.
    """
    answer = known.get(head[: -len(END)])
    if answer is None:
        answer = _parse_answer(head, bodiless=known is _answers_to_head)
        if answer.status >= 200:
            _remember(known, head[: -len(END)], answer)
    return answer


def known_answers(method: bytes) -> dict[bytes, AnswerHead]:
    """The memory for answers to a method: those to HEAD have the length of a body that does not come.

    Its keys are heads without their empty line, and it holds no interim answers.
    """
    return _answers_to_head if method == b"HEAD" else _answers


_requests: dict[bytes, RequestHead] = {}
_answers: dict[bytes, AnswerHead] = {}
_answers_to_head: dict[bytes, AnswerHead] = {}


def _remember(memory: dict[bytes, T], head: bytes, value: T) -> None:
    if len(head) <= REMEMBERED_LENGTH:
        if len(memory) >= REMEMBERED:
            memory.clear()
        memory[head] = value


def _parse_request(head: bytes) -> RequestHead:
    line = request_line(head)
    if line is None:
        raise BadHead(400, "the request line is not HTTP/1.1 with a path")
    collector = _Collector()
    # llhttp knows some methods only; the grammar of the fields is the same for all.
    _feed(httptools.HttpRequestParser(collector), b"POST / %b\r\n%b" % (line.version, head[line.length :]))
    method, target, fields = line.method, line.target, collector.fields
    http_1_0 = line.version == b"HTTP/1.0"
    values = _by_name(fields)
    host, authority = _host(values, http_1_0=http_1_0)
    if line.authority is not None:
        host, authority = _name(line.authority), line.authority
        others = [field for field in fields if field[0].lower() != b"host"]
        fields = [(b"Host", authority), *others]
    length = _request_length(values, http_1_0=http_1_0)
    options = _options(values)
    upgrade = _upgrade(values, options)
    path, _, query = target.partition(b"?")
    authorization = _only(values, b"authorization")
    cookie = b"; ".join(values.get(b"cookie", ()))
    named = options - {b"host", b"cookie"}
    return RequestHead(
        raw=head,
        method=method,
        target=target,
        path=path,
        query=query,
        host=host,
        authority=authority,
        length=length,
        keep_alive=_keep_alive(options, http_1_0=http_1_0),
        expects_continue=_expects_continue(values, http_1_0=http_1_0),
        upgrade=b"" if http_1_0 else upgrade,
        http_1_0=http_1_0,
        token=_bearer(authorization),
        authorization=authorization,
        request_id=_checked(_only(values, b"x-request-id"), _REQUEST_ID),
        traceparent=_only(values, b"traceparent"),
        forwarded_for=b", ".join(values.get(b"x-forwarded-for", ())),
        forwarded_proto=_checked(_only(values, b"x-forwarded-proto").lower(), _SCHEME),
        for_another=any(name in _PROXIES or name.startswith(b"x-forwarded-") for name in values),
        cookie=cookie,
        # Two of them are nobody's, but they come from a page.
        origin=b", ".join(values.get(b"origin", ())),
        elsewhere=_only(values, b"sec-fetch-site") in _OTHERS
        and _only(values, b"sec-fetch-mode") != b"navigate",
        accepts_html=any(b"text/html" in value for value in values.get(b"accept", ())),
        passed=_lines(fields, named),
        passed_without_cookie=_lines(fields, named | {b"cookie"}),
    )


def _parse_answer(head: bytes, *, bodiless: bool) -> AnswerHead:
    if not STATUS_LINE.match(head):
        raise BadHead(502, "its answer does not begin with an HTTP/1.1 status line")
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    _feed(parser, head)
    status, fields = parser.get_status_code(), collector.fields
    http_1_0 = parser.get_http_version() == "1.0"
    values = _by_name(fields)
    options = _options(values)
    length, passed_length = _answer_length(values, status, bodiless=bodiless, http_1_0=http_1_0)
    line = b"HTTP/1.1" + head[8 : head.index(b"\r\n") + 2]
    kind = _only(values, b"content-type").lower()
    passed = line + _lines(fields, options) + passed_length
    keep_alive = _keep_alive(options, http_1_0=http_1_0) and length != -2
    seconds = _keep_alive_seconds(values)
    return AnswerHead(
        raw=head,
        status=status,
        length=length,
        keep_alive=keep_alive,
        keep_alive_seconds=seconds,
        lasting=keep_alive and seconds is None,
        upgrade=_upgrade(values, options),
        endless=kind.startswith(b"text/event-stream"),
        passed=passed,
        complete=passed + b"\r\n",
    )


def _feed(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes) -> None:
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadHead(400, f"not HTTP: {error}") from error


def _by_name(fields: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    return values


def _only(values: dict[bytes, list[bytes]], name: bytes) -> bytes:
    """The value of a field that stands there once; two of them would mean two things to two readers."""
    found = values.get(name, ())
    return found[0] if len(found) == 1 else b""


def _host(values: dict[bytes, list[bytes]], *, http_1_0: bool) -> tuple[str, bytes]:
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


def _content_length(values: dict[bytes, list[bytes]]) -> int | None:
    """None without one. llhttp refuses what is no number, and two of them."""
    found = values.get(b"content-length")
    if found is None:
        return None
    if len(found) != 1 or not _DIGITS.fullmatch(found[0]) or int(found[0]) > LONGEST_BODY:
        raise BadHead(400, "the Content-Length is not the length of a body")
    return int(found[0])


def _is_chunked(values: dict[bytes, list[bytes]], *, http_1_0: bool) -> bool:
    """Only `chunked`, alone, once, in HTTP/1.1: whatever else is there is read differently by somebody."""
    codings = values.get(b"transfer-encoding")
    if codings is None:
        return False
    if http_1_0 or len(codings) != 1:
        raise BadHead(400, "this Transfer-Encoding is not understood")
    if codings[0].lower() != b"chunked":
        raise BadHead(501, "no Transfer-Encoding but chunked is understood")
    return True


def _request_length(values: dict[bytes, list[bytes]], *, http_1_0: bool) -> int:
    length = _content_length(values)
    if not _is_chunked(values, http_1_0=http_1_0):
        return length or 0
    if length is not None:
        raise BadHead(400, "a body has either a Content-Length or a Transfer-Encoding")
    return -1


def _answer_length(
    values: dict[bytes, list[bytes]], status: int, *, bodiless: bool, http_1_0: bool
) -> tuple[int, bytes]:
    """How long the body is, and what the client is told of it (RFC 9112, section 6.3)."""
    length = _content_length(values)
    chunked = _is_chunked(values, http_1_0=http_1_0)
    if chunked and length is not None:
        raise BadHead(502, "its answer has two lengths")
    told = b"" if length is None else b"Content-Length: %d\r\n" % length
    if status < 200 or status == 204:
        return 0, b""
    if bodiless or status == 304:
        return 0, told
    if chunked:
        return -1, b""
    return (-2, b"") if length is None else (length, told)


def _options(values: dict[bytes, list[bytes]]) -> frozenset[bytes]:
    """What the Connection field names, in small letters."""
    found = values.get(b"connection")
    if not found:
        return frozenset()
    return frozenset(option.strip().lower() for value in found for option in value.split(b","))


def _keep_alive(options: frozenset[bytes], *, http_1_0: bool) -> bool:
    return b"keep-alive" in options if http_1_0 else b"close" not in options


def _keep_alive_seconds(values: dict[bytes, list[bytes]]) -> float | None:
    """How long the other side says that it keeps a connection: `Keep-Alive: timeout=5`."""
    match = re.search(rb"timeout=([0-9]{1,6})", _only(values, b"keep-alive"))
    return float(match[1]) if match else None


def _upgrade(values: dict[bytes, list[bytes]], options: frozenset[bytes]) -> bytes:
    """Without HTTP's own: what went through such a tunnel would be requests that nobody looked at."""
    if b"upgrade" not in options:
        return b""
    named = b",".join(values.get(b"upgrade", ())).lower().split(b",")
    protocols = [name for name in (each.strip(b" \t") for each in named) if _PROTOCOL.fullmatch(name)]
    return WEBSOCKET if WEBSOCKET in protocols else b", ".join(protocols)


def _expects_continue(values: dict[bytes, list[bytes]], *, http_1_0: bool) -> bool:
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


def _lines(fields: list[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields if _is_passed(field[0].lower(), dropped)])


def _is_passed(name: bytes, dropped: frozenset[bytes]) -> bool:
    if name in dropped:
        return False
    # Servers that hand fields on as variables (CGI, WSGI) make no difference between - and _ or other signs.
    name = _SIGN.sub(b"-", name)
    return not (name in _HOP_BY_HOP or name in _OURS or name.startswith(_IDENTITY))
