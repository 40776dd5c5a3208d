"""What is asked of the proxy: CONNECT (RFC 9110, 9.3.6), or a request for an `http:` address. Pure.

What is allowed is a connection to a host and port. Whatever follows a head goes there, and nowhere else: so
there is nothing to smuggle. A host that is said twice and differently is no host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtimes.network.rules import plain_host

#: Bytes.
LONGEST_HEAD = 16 * 1024
END = b"\r\n\r\n"
_REQUEST = re.compile(rb"(?P<method>[!#$%&'*+\-.^_`|~0-9A-Za-z]+) (?P<target>[\x21-\x7e]+) HTTP/1\.[01]")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(:(?P<port>\d{1,5}))?")
_FIELD = re.compile(rb"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(?P<value>[\x20-\x7e\x80-\xff\t]*)")
#: Not for whom it is passed on to.
_OWN = (b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive")


class BadRequest(Exception):
    """Nothing that could be done."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`head` is what the host is sent first; with CONNECT there is nothing."""

    host: str
    port: int
    head: bytes = b""

    @property
    def connect(self) -> bool:
        return not self.head


def parse_request(head: bytes) -> Wanted:
    """`head` ends with its empty line. Raises BadRequest."""
    line, *lines = head.removesuffix(END).split(b"\r\n")
    found = _REQUEST.fullmatch(line)
    fields = [_FIELD.fullmatch(each) for each in lines]
    if found is None or not all(fields):
        raise BadRequest("this is no request")
    target = found["target"].decode("ascii")
    if found["method"] == b"CONNECT":
        host, port = _authority(target, None)
        return Wanted(host, port)
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() != "http":
        raise BadRequest("a proxy is asked for http:// addresses, or by CONNECT")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :].partition("#")[0]
    host, port = _authority(authority, 80)
    kept = [each for each in fields if each and each["name"].lower() not in (*_OWN, b"host")]
    first = b"%b %b HTTP/1.1" % (found["method"], (path if path.startswith("/") else f"/{path}").encode())
    own = [b"Host: " + authority.encode(), *(each[0] for each in kept), b"Connection: close"]
    return Wanted(host, port, b"\r\n".join([first, *own]) + END)


def _authority(text: str, usual: int | None) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(text)
    port = (int(found["port"]) if found["port"] else usual) if found else None
    host = plain_host(found["host"]) if found else ""
    if not host or port is None or not 0 < port <= 65535:
        raise BadRequest("that is no host and port")
    return host, port
