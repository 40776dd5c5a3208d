"""Where a node listens is no setting: on loopback, until there are people who can sign in.

Who writes down another address is told so, instead of having it overlooked, or being offered a key of the
Hypercore daemon that sounds alike.
"""

from __future__ import annotations

from dataclasses import replace
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
MESSAGE = "a node listens on this machine only, since whoever reached it could use every service"
HINT = (
    "leave it out; from another machine: ssh -L 2835:localhost:2835 THIS-MACHINE, "
    "or a proxy on this one that asks people who they are"
)


def asks_to_listen(key: str) -> bool:
    """Whether a key, as it stands in a config file or a variable, would be an address to listen on."""
    holder, _, name = key.lower().replace("__", ".").rpartition(".")
    return holder in _HOLDERS and name.replace("_", "") in _NAMES


def explained(problems: Iterable[Problem]) -> list[Problem]:
    """The same problems; those with such a key say what it cannot be."""
    return [
        replace(each, message=MESSAGE, hint=HINT) if asks_to_listen(each.key) else each for each in problems
    ]
