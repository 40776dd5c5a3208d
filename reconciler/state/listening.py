"""Where a node listens besides loopback: what may be written down for it, and what other words are told.

`listen` takes addresses of this machine, with a port or without (the node's own): `0.0.0.0`, `[::]:443`,
`192.168.1.5:2835`. Nothing of it is opened before there are people who can sign in. Who looks for it under
another name is told, instead of having it overlooked, or being offered a key of the Hypercore daemon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from manifests.model.snapshot import Problem

_NAMES = frozenset(
    {
        "host",
        "listen",
        "listenaddress",
        "listenon",
        "address",
        "addresses",
        "bind",
        "bindaddress",
        "interface",
    }
)
_HOLDERS = frozenset({"", "router", "remote"})
MESSAGE = "where a node listens besides this machine itself is said by `listen`, a list of addresses"
HINT = 'listen = ["0.0.0.0:2835"] in config.toml; it opens once there is a person (`atek user add`)'
_ADDRESS = re.compile(r"(?:([0-9.]+)|\[([0-9a-f:.]+)\])(?::([0-9]{1,5}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """`host` is a numeric address; `0.0.0.0` and `::` are all of this machine's. `port` 0: the node's."""

    host: str
    port: int = 0


def parse(text: str) -> Place:
    """An entry of `listen`. Raises ValueError."""
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    match = _ADDRESS.fullmatch(text)
    port = int(match[3] or 0) if match else 0
    if match is None or port > 65535 or (match[3] and not port):
        raise ValueError("it is an address of this machine and a port, like 0.0.0.0:2835 or [::]:2835")
    try:
        host = ip_address(match[1] or match[2])
    except ValueError:
        raise ValueError(f"{match[1] or match[2]} is no address") from None
    return Place(str(host), port)


def asks_to_listen(key: str) -> bool:
    """Whether a key, as it stands in a config file or a variable, would be an address to listen on."""
    holder, _, name = key.lower().replace("__", ".").rpartition(".")
    if (holder, name) == ("", "listen"):
        return False
    return holder in _HOLDERS and name.replace("_", "") in _NAMES


def explained(problems: Iterable[Problem]) -> list[Problem]:
    """The same problems; those with such a key say what it cannot be."""
    return [
        replace(each, message=MESSAGE, hint=HINT) if asks_to_listen(each.key) else each for each in problems
    ]
