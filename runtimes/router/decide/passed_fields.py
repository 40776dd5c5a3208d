"""What a service is told of a request: the client's own fields, without the node's, and who calls. Pure.

Atek-Auth-User and Atek-Auth-Service come from here and nowhere else; whatever a client sends under those
names was left out when its head was read.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING

from runtimes.router.decide.sessions import session_token, without_sessions

if TYPE_CHECKING:
    from runtimes.router.decide.table import Caller, RouteTable
    from runtimes.router.protocol.request_head import RequestHead

#: What instances' tokens begin with, of this node and of all others; 64 hex digits follow.
INSTANCE_PREFIX = "atek_"
_INSTANCES = re.compile(rb"%b[0-9a-f]{64}" % INSTANCE_PREFIX.encode(), re.IGNORECASE)
# Sessions, and tokens that an older node gave, without what stands around them.
_WORD = re.compile(rb"[\x21\x23-\x2b\x2d-\x39\x3c\x3e-\x7e]+")


def identity_fields(caller: Caller | None) -> bytes:
    """The field lines that tell a service who calls it."""
    if caller is None:
        return b""
    user, service = caller.user.encode(), caller.service.encode()
    return b"Atek-Auth-User: %b\r\nAtek-Auth-Service: %b\r\n" % (user, service)


def passed_fields(table: RouteTable, head: RequestHead) -> bytes:
    """The client's own field lines that go on to a service, without what belongs to the node."""
    authorization = b""
    if head.authorization and not _proves_somebody(table, head.authorization):
        authorization = b"Authorization: %b\r\n" % head.authorization
    if not (head.cookie and table.sessions and session_token(table, head.cookie)):
        return head.passed + authorization
    rest = without_sessions(table, head.cookie)
    cookie = b"Cookie: %b\r\n" % rest if rest else b""
    return head.passed_without_cookie + cookie + authorization


def _proves_somebody(table: RouteTable, authorization: bytes) -> bool:
    """Whether a token of this node's, or of another one's, is in it, in whatever scheme it is sent."""
    text = authorization + b" " + _decoded(authorization)
    if _INSTANCES.search(text) or any(token.encode() in text for token in table.admin_tokens):
        return True
    words = {word.decode("latin-1") for word in _WORD.findall(text)}
    return not words.isdisjoint(table.callers) or not words.isdisjoint(table.sessions)


def _decoded(authorization: bytes) -> bytes:
    """What Basic hides."""
    scheme, _, rest = authorization.partition(b" ")
    try:
        return b64decode(rest.strip(), validate=True) if scheme.lower() == b"basic" else b""
    except ValueError:
        return b""
