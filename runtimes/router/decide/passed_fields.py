"""What a service is told of a request: the client's own fields, without the node's, and who calls. Pure.

Atek-Auth-User, -Service, -Session and Atek-Router-Token come from here and nowhere else; whatever a client
sends under those names was left out when its head was read.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from runtimes.router.decide.sessions import has_sessions, session_of, without_sessions
from runtimes.router.decide.table import INSTANCE_PREFIX, session_id
from runtimes.router.protocol.fields import ROUTER_TOKEN, plain_name

if TYPE_CHECKING:
    from runtimes.router.decide.table import Caller, RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import RequestHead

_PREFIX = INSTANCE_PREFIX.encode()
_INSTANCES = re.compile(rb"%b[0-9a-f]{64}" % _PREFIX, re.IGNORECASE)
# Sessions, and tokens that an older node gave, without what stands around them.
_WORD = re.compile(rb"[\x21\x23-\x2b\x2d-\x39\x3c\x3e-\x7e]+")

_SESSION_LENGTHS = range(2, 129)


def identity_fields(caller: Caller | None) -> bytes:
    """The field lines that tell a service who calls it."""
    if caller is None:
        return b""
    user, service = caller.user.encode(), caller.service.encode()
    return b"Atek-Auth-User: %b\r\nAtek-Auth-Service: %b\r\n" % (user, service)


def session_field(table: RouteTable, head: RequestHead) -> bytes:
    """The field line that tells the node by which session it is asked; none where a token says who asks."""
    session = "" if head.token else session_of(table, head.cookie)
    return b"Atek-Auth-Session: %b\r\n" % session.encode() if session else b""


def sign_in_fields(told: tuple[tuple[str, str], ...], domain: str, caller: Caller | None) -> bytes:
    """The field lines by which a program hears in its own way which person it is; none for anybody else.

    A name that no field can carry (RFC 9110, section 5.5) is told to nobody.
    """
    if not told or caller is None or caller.person is None or not caller.person.username.isprintable():
        return b""
    name = caller.person.username
    values = {"header": name, "name": name, "email": name if "@" in name else f"{name}@{domain}"}
    return b"".join(
        b"%b: %b\r\n" % (field.encode(), values[what].encode("utf-8", "replace")) for what, field in told
    )


def router_field(token: str) -> bytes:
    """The field line that shows an instance that it is the router who asks; none without a token."""
    return b"%b: %b\r\n" % (ROUTER_TOKEN, token.encode()) if token else b""


def passed_fields(table: RouteTable, head: RequestHead, service: ServiceRoute) -> bytes:
    """The client's own field lines that go on to a service, without what belongs to the node.

    By whatever fields a service hears who somebody is, nobody but the node says it, in any spelling.
    """
    authorization = b""
    if head.authorization and not _proves_somebody(table, head.authorization):
        authorization = b"Authorization: %b\r\n" % head.authorization
    lines = head.passed
    if head.cookie and has_sessions(table, head.cookie):
        rest = without_sessions(table, head.cookie)
        lines = head.passed_without_cookie + (b"Cookie: %b\r\n" % rest if rest else b"")
    told = {plain_name(name.encode()) for _, name in service.sign_in}
    if told:
        lines = b"".join(line for line in lines.splitlines(keepends=True) if _name(line) not in told)
    return _without_tokens(table, lines) + authorization


def _name(line: bytes) -> bytes:
    return plain_name(line.partition(b":")[0])


def shows_token(table: RouteTable, target: bytes) -> bool:
    """Whether a service would read the token of an instance or an administrator in a request's target."""
    return _shows_token(table, unquote_to_bytes(target) if b"%" in target else target)


def _without_tokens(table: RouteTable, lines: bytes) -> bytes:
    """Without the fields that a token is in: in a cookie, in the address of the page before, in a name of
    one's own. The node takes none of these for a proof, and the service could use it as one.
    """
    if not _shows_token(table, lines):
        return lines
    return b"".join(line for line in lines.splitlines(keepends=True) if not _shows_token(table, line))


def _shows_token(table: RouteTable, text: bytes) -> bool:
    # Asked of each head: finding a word is twenty times faster than looking for the pattern everywhere.
    if _PREFIX in text.lower() and _INSTANCES.search(text):
        return True
    return any(token.encode() in text for token in (*table.admin_tokens, *table.readers))


def _proves_somebody(table: RouteTable, authorization: bytes) -> bool:
    """Whether a token of this node's, or of another one's, is in it, in whatever scheme it is sent."""
    text = authorization + b" " + _decoded(authorization)
    if _shows_token(table, text):
        return True
    words = {word.decode("latin-1") for word in _WORD.findall(text)}
    if not words.isdisjoint(table.callers):
        return True
    # What is longer or shorter is no session of ours, and would only take time.
    sessions = (session_id(each) for each in words if len(each) in _SESSION_LENGTHS)
    return bool(table.sessions) and any(each in table.sessions for each in sessions)


def _decoded(authorization: bytes) -> bytes:
    """What Basic hides."""
    scheme, _, rest = authorization.partition(b" ")
    try:
        return b64decode(rest.strip(), validate=True) if scheme.lower() == b"basic" else b""
    except ValueError:
        return b""
