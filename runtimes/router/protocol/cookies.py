"""Set-Cookie, so that a cookie is for the host that set it and for no other service. Pure.

`Domain=home.example` in what notes.home.example answers would have a browser send the cookie to every service
there (RFC 6265, section 5.2.3), and an id may stand beneath another one's. Without the attribute a cookie is
for its host alone, so it is cut, in whatever spelling browsers read it: they take the text apart at
semicolons, whatever quotation marks say, and off a name what is white around it.
"""

from __future__ import annotations

#: Whatever some browser or library takes off: all ASCII control characters, and the space.
_WHITE = bytes(range(0x21)) + b"\x7f"
_HOST_ONLY = b"__host-"


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
