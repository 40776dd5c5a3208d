"""Set-Cookie: the node's own, and a service's, so that it is for the host that set it and no other. Pure.

`Domain=home.example` in what notes.home.example answers would have a browser send the cookie to every service
there (RFC 6265, section 5.2.3), and an id may stand beneath another one's. Without the attribute a cookie is
for its host alone, so it is cut, in whatever spelling browsers read it: they take the text apart at
semicolons, whatever quotation marks say, and off a name what is white around it.
"""

from __future__ import annotations

#: Whatever some browser or library takes off: all ASCII control characters, and the space.
_WHITE = bytes(range(0x21)) + b"\x7f"
_HOST_ONLY = b"__host-"
#: A session's cookie: where there is TLS it has a name that no other host can set (RFC 6265bis, 4.1.3.2).
SESSION, SECURE_SESSION = b"session", b"__Host-session"


def session_cookie(value: str, *, secure: bool, seconds: int | None = None) -> bytes:
    """The Set-Cookie of a session: for one host, for no script, and for no other site's forms.

    `secure`: by TLS alone. It lasts so many seconds, or as long as the browser is open; 0 takes it back.
    """
    name = SECURE_SESSION if secure else SESSION
    age = b"" if seconds is None else b"; Max-Age=%d" % seconds
    return b"%b=%b; Path=/; HttpOnly; SameSite=Lax%b%b" % (
        name,
        value.encode(),
        age,
        b"; Secure" if secure else b"",
    )


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
