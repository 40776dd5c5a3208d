"""What becomes of the fields of an answer that a browser may show, before they go on. Pure.

A service speaks for its own host only: a cookie is for that host (`cookies`), and at the gateway, which is
the node's, no service sets one, nor one of the node's name where it is reached by a name of the node's; nor
does it clear its neighbours' (`Clear-Site-Data`). Its pages may be framed by themselves, unless it says
something of framing itself: another page could lay itself over them and lead a person's clicks
(clickjacking). A page of another site reads nothing that it asked for, whatever the service would let it,
unless the service is for other sites (`crossSite: allow`). That a page of the internet may reach this
network, nobody says.

`X-Content-Type-Options` is not added: what it forbids, scripts and styles of the service's own with a wrong
type, works today, and what other sites may do with its answers does not depend on it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from runtimes.router.protocol.cookies import for_one_host, is_session

if TYPE_CHECKING:
    from runtimes.router.protocol.fields import Field

FRAMING = (b"Content-Security-Policy", b"frame-ancestors 'self'")
_READING = b"access-control-"
#: What `"*"` clears of the host itself.
_OWN_DATA = {b'"cache"', b'"storage"', b'"executionContexts"'}
_NARROWER = frozenset({b"access-control-allow-private-network", b"access-control-allow-local-network"})


class Reader(Enum):
    """Who reads an answer: a program of the node's, a page of the host itself, one of another site, any page
    (the service is for other sites too), or whoever opened a WebSocket at the gateway. `…_AT_NODE`: by a name
    of the node's, where its own cookie is too.
    """

    PROGRAM = auto()
    OWN_PAGE = auto()
    FOREIGN_PAGE = auto()
    ANY_PAGE = auto()
    GATEWAY = auto()
    OWN_PAGE_AT_NODE = auto()
    FOREIGN_PAGE_AT_NODE = auto()
    ANY_PAGE_AT_NODE = auto()


AT_NODE = {
    Reader.OWN_PAGE: Reader.OWN_PAGE_AT_NODE,
    Reader.FOREIGN_PAGE: Reader.FOREIGN_PAGE_AT_NODE,
    Reader.ANY_PAGE: Reader.ANY_PAGE_AT_NODE,
}
_ELSEWHERE = {at_node: reader for reader, at_node in AT_NODE.items()}


def for_reader(reader: Reader, status: int, fields: list[Field]) -> list[Field]:
    """The fields that this reader gets of an answer with this status."""
    if reader is Reader.PROGRAM:
        return fields
    if reader in _ELSEWHERE:
        reader = _ELSEWHERE[reader]
        fields = [field for field in fields if field[0].lower() != b"set-cookie" or not is_session(field[1])]
    passed = [each for field in fields if (each := _field(reader, field)) is not None]
    if status >= 200 and reader in (Reader.OWN_PAGE, Reader.FOREIGN_PAGE) and not _says_framing(fields):
        passed.append(FRAMING)
    return passed


def _field(reader: Reader, field: Field) -> Field | None:
    name, value = field
    known = name.lower()
    if known == b"set-cookie":
        cookie = None if reader is Reader.GATEWAY else for_one_host(value)
        return None if cookie is None else (name, cookie)
    if known == b"clear-site-data":
        cleared = _cleared(value)
        return (name, cleared) if cleared else None
    if known.startswith(_READING) and (reader is Reader.FOREIGN_PAGE or known in _NARROWER):
        return None
    return field


def _cleared(value: bytes) -> bytes:
    """Without cookies: those of all under the same domain would go (Clear Site Data, section 4.2.3)."""
    asked = {each.strip() for each in value.split(b",")}
    kept = asked - {b'"cookies"', b'"*"'} | (_OWN_DATA if b'"*"' in asked else set())
    return b", ".join(sorted(kept))


def _says_framing(fields: list[Field]) -> bool:
    """Whether the service decides who frames it (CSP Level 3, section 6.4.2; RFC 7034)."""
    for name, value in fields:
        known = name.lower()
        if known == b"x-frame-options":
            return True
        if known == b"content-security-policy" and _frame_ancestors(value.lower()):
            return True
    return False


def _frame_ancestors(policies: bytes) -> bool:
    directives = policies.replace(b",", b";").split(b";")
    return any(each.split()[:1] == [b"frame-ancestors"] for each in directives)
