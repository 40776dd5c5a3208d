"""What `atek up` says while a home has no people: a link that makes the first one, also as a QR code.

It is an offer: whoever takes it ends that everything is open to everybody on this machine. The link is shown
at a terminal alone; a log, which others may read, only says how to get one.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import anyio.to_thread

if TYPE_CHECKING:
    from reconciler.port import NodeApi

_LOG = "nobody has an account here yet: `atek user add NAME` makes an owner, `atek user link` a link for that"


async def welcome(node: NodeApi, *, terminal: bool) -> list[str]:
    """The lines; none where there are people, or none are wanted."""
    if not node.people.wanted:
        return []
    if not terminal:
        return [_LOG]
    address, code = node.status()["node"]["address"], node.people.offer()
    # In a thread: the library is not what the first programs wait for.
    return await anyio.to_thread.run_sync(link_lines, address, code)


def link_lines(address: str, code: str) -> list[str]:
    """The link that makes the first person, and its QR code."""
    link = f"{address}/_atek/setup?code={code}"
    return [
        "Nobody has an account here yet, so what runs is open to everybody on this machine.",
        f"This link makes you the owner; it is good once, for an hour: {link}",
        *qr_lines(link),
        "(people = false in config.toml ends this offer)",
    ]


def qr_lines(text: str) -> list[str]:
    """A QR code in half blocks, for a terminal of either colour."""
    # Only who is shown one pays for it.
    import segno

    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, border=2, compact=True)
    return out.getvalue().rstrip("\n").split("\n")
