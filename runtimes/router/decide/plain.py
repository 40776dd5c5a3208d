"""What a request is told that comes in the clear to a port that speaks TLS. Pure.

A browser is led to the same page by https, where the name that it used is the node's: elsewhere it would be
led to where somebody else wants to have it. Programs are told what is wrong, with a status that they notice:
what they had to say, a token perhaps, has been on the network already. The certificate of the node's own
authority is for everybody: it is what a device needs before it can trust anything else here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.decide.decision import Answer, refusal
from runtimes.router.decide.place import place_of

if TYPE_CHECKING:
    from runtimes.router.decide.place import Names
    from runtimes.router.decide.table import RouteTable
    from runtimes.router.protocol.request_head import RequestHead

#: Where the certificate of the node's own authority is, in the form that phones install.
AUTHORITY_PATH = b"/_atek/ca.crt"
_CERTIFICATE = b"application/x-x509-ca-cert"
_READING = frozenset({b"GET", b"HEAD"})


def decide_plain(table: RouteTable, names: Names, head: RequestHead, authority: bytes) -> Answer:
    """`authority` is the certificate (DER) of the node's own; empty where it has none."""
    if head.path == AUTHORITY_PATH and authority and head.method in _READING:
        return Answer(head, 200, authority, _CERTIFICATE)
    place = place_of(table, names, head)
    if isinstance(place, Answer) and place.status == 421:
        return place
    if head.method in _READING and head.accepts_html and head.authority and not head.upgrade:
        location = b"https://%b%b" % (head.authority, head.target)
        return Answer(head, 308, fields=((b"Location", location), (b"Cache-Control", b"no-store")))
    return refusal(head, 400, "This port speaks TLS: the address has to begin with https:// (or wss://)")
