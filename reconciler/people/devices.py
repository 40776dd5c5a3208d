"""From where somebody signs in, from what the router and a browser say about it. Pure.

Nothing depends on it but what a person reads in a list of sessions: a User-Agent is whatever a client likes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 60
# The first that is found: others' names stand in many, for the sake of servers that look for them.
_PROGRAMS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Vivaldi", "Vivaldi"), ("SamsungBrowser", "Samsung Internet"),
    ("FxiOS", "Firefox"), ("Firefox/", "Firefox"), ("CriOS", "Chrome"), ("Chromium", "Chromium"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"), ("Wget", "Wget"), ("node", "Node"),
    ("Python", "Python"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS"),
    ("Windows", "Windows"), ("Mac OS", "Mac"), ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip
_FIRST_WORD = re.compile(r"[A-Za-z0-9 ._-]+")


@dataclass(frozen=True, slots=True)
class Client:
    """`address` is empty on this machine; `device` is in words; `secure`: it came by TLS."""

    address: str = ""
    device: str = ""
    secure: bool = False


def client_of(headers: Mapping[str, str]) -> Client:
    """Of a request that the router passed on to the node; names of headers are in small letters.

    Only of a proxy that is known does the router say more than who is at the other end: then the last is that
    proxy, and the one before it whom it asks for.
    """
    addresses = [each.strip() for each in headers.get("x-forwarded-for", "").split(",")]
    address = addresses[-2] if len(addresses) > 1 else addresses[0]
    return Client(
        address="" if address == "unix" else address,
        device=device_name(headers.get("user-agent", "")),
        secure=headers.get("x-forwarded-proto") == "https",
    )


def device_name(user_agent: str) -> str:
    """`Firefox on Linux`; the first word of what nobody knows, and `an unknown device` without any."""
    program = next((name for mark, name in _PROGRAMS if mark.lower() in user_agent.lower()), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if program and system:
        return f"{program} on {system}"
    if program or system:
        return program or system
    word = _FIRST_WORD.match(user_agent.partition("/")[0].strip())
    return word[0].strip()[:LONGEST] if word and word[0].strip() else "an unknown device"
