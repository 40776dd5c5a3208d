"""What may stand in a manifest about what a sandboxed program reaches: destinations and folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Annotated

from pydantic import AfterValidator, Field

from manifests.model.base import MOST_ITEMS, Text, not_a

#: A host name, `*.` before it for all below it, or an address; IPv6 in brackets as in a URL (RFC 3986).
_DESTINATION = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?):(?P<port>\d{1,5})"
)

_A_DESTINATION = "a host and a port, like api.example.com:443 or *.example.com:443"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a program may connect to by TCP. `host` is in small letters, without brackets."""

    host: str
    port: int

    @property
    def wildcard(self) -> bool:
        """Whether it stands for all names below one."""
        return self.host.startswith("*.")


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of this machine at its own path."""

    path: str
    read_only: bool = True


def parse_destination(text: str) -> Destination:
    """Raises ValueError."""
    found = _DESTINATION.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= 65535:
        raise not_a(text, "a destination", _A_DESTINATION)
    host = found["host"].lower()
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except ValueError:
            raise not_a(text, "a destination", "an address in its brackets, like [2001:db8::1]:443") from None
    return Destination(host, int(found["port"]))


def parse_bind(text: str) -> Bind:
    """Raises ValueError."""
    path, colon, mode = text.rpartition(":")
    if not colon:
        path, mode = text, "ro"
    elif mode not in ("ro", "rw"):
        raise not_a(
            text, "a bind", "ro or rw after its last :, like /srv/inbox:rw; it is at its own path inside"
        )
    parts = path.split("/")
    if not path.startswith("/") or ".." in parts or "." in parts or not path.strip("/"):
        raise not_a(text, "a bind", "an absolute path without .., like /srv/photos or /srv/inbox:rw")
    return Bind(path.rstrip("/"), mode == "ro")


def _destination(text: str) -> str:
    parse_destination(text)
    return text


def _bind(text: str) -> str:
    parse_bind(text)
    return text


#: As they are written.
Destinations = Annotated[
    tuple[Annotated[Text, AfterValidator(_destination)], ...], Field(max_length=MOST_ITEMS)
]
Binds = Annotated[tuple[Annotated[Text, AfterValidator(_bind)], ...], Field(max_length=MOST_ITEMS)]
