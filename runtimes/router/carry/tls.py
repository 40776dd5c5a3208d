"""The certificate that the router shows where it speaks TLS, and how it speaks it.

A renewed one takes the old one's place in the same context: whoever is connected goes on with what was shown
to it, whoever comes next sees the new one.
"""

from __future__ import annotations

import asyncio
import os
import ssl

#: Seconds that a client has for the handshake, and for its goodbye.
HANDSHAKE, GOODBYE = 10.0, 5.0


class Tls:
    """`authority` is the certificate (DER) of who signed, for those who are to trust it; empty without."""

    def __init__(self) -> None:
        self.authority = b""
        self._context: ssl.SSLContext | None = None
        self._ready = asyncio.Event()

    def take(self, pem: str, authority: str = "") -> None:
        """A chain of certificates with their key. Raises OSError where they are none."""
        fresh = _context()
        _load(fresh, pem)
        if self._context is None:
            self._context = fresh
        else:
            _load(self._context, pem)
        self.authority = ssl.PEM_cert_to_DER_cert(authority) if authority else b""
        self._ready.set()

    async def ready(self) -> ssl.SSLContext:
        """What is shown, once there is a certificate."""
        await self._ready.wait()
        assert self._context is not None
        return self._context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, pem: str) -> None:
    """OpenSSL reads files only; this one is in memory, and nobody else has it."""
    with open(os.memfd_create("certificate", os.MFD_CLOEXEC), "w") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_no_password)


def _no_password() -> str:
    """A key that needs one is no key here; without this OpenSSL would ask for it at the terminal."""
    return ""
