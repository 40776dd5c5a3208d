"""Set-Cookie: the node's own, and a service's, so that it is for the host that set it and no other. Pure.

`Domain=home.example` in what notes.home.example answers would have a browser send the cookie to every service
there (RFC 6265, section 5.2.3), and an id may stand beneath another one's. Without the attribute a cookie is
for its host alone, so it is cut, in whatever spelling browsers read it: they take the text apart at
semicolons, whatever quotation marks say, and off a name what is white around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Whatever some browser or library takes off: all ASCII control characters, and the space.
_WHITE = bytes(range(0x21)) + b"\x7f"
_HOST_ONLY = b"__host-"
_SPACE = b" \t"
#: A session's cookie: where there is TLS it has a name that no other host can set (RFC 6265bis, 4.1.3.2).
SESSION, SECURE_SESSION = b"session", b"__Host-session"


def session_cookie(value: str, *, secure: bool, seconds: int | None = None) -> bytes:
    """The Set-Cookie of a session at the node's own host.

    `secure`: by TLS alone. It lasts so many seconds, or as long as the browser is open; 0 takes it back.
    """
    name = SECURE_SESSION if secure else SESSION
    age = b"" if seconds is None else b"; Max-Age=%d" % seconds
    return host_cookie(name, value, secure=secure) + age


def host_cookie(name: bytes, value: str, *, secure: bool) -> bytes:
    """A Set-Cookie of the node's: for one host, for no script, and for no other site's forms."""
    cookie = b"%b=%b; Path=/; HttpOnly; SameSite=Lax" % (name, value.encode())
    return cookie + b"; Secure" if secure else cookie


def is_session(cookie: bytes) -> bool:
    """Whether a Set-Cookie is for the node's session, to some browser: also one without any name, whose value
    is sent in the place of name and value (RFC 6265bis, section 5.4).
    """
    name, _, _ = cookie.partition(b";")[0].partition(b"=")
    return name.strip(_WHITE) in (b"", SESSION, SECURE_SESSION) or b"=" not in cookie.partition(b";")[0]


def pairs_of(cookie: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of the cookies that a browser sends. Many libraries take quotation marks off."""
    for pair in cookie.split(b";"):
        name, _, value = pair.partition(b"=")
        yield name.strip(_SPACE), value.strip(_SPACE).strip(b'"')


def for_one_host(cookie: bytes) -> bytes | None:
    """The value of a Set-Cookie without Domain. None where browsers would not take it: `__Host-` with one."""
    pair, *attributes = cookie.split(b";")
    domains = [value for name, value in map(_attribute, attributes) if name == b"domain"]
    if not domains:
        return cookie
    if any(domains) and pair.strip(_WHITE).lower().startswith(_HOST_ONLY):
        return None
    return b";".join([pair, *(each for each in attributes if _attribute(each)[0] != b"domain")])


def _attribute(text: bytes) -> tuple[bytes, bytes]:
    name, _, value = text.partition(b"=")
    return name.strip(_WHITE).lower(), value.strip(_WHITE)
