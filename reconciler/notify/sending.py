"""Sends one message to one address, by Apprise: it knows ntfy, mail, Matrix, Telegram, webhooks and more.

Apprise is optional (`pip install "atek[notify]"`) and takes its time to import, so that is done in the thread
which waits for the address. What it logs is the reason of a failure. Of the address nothing is repeated that
somebody could write to it with: user, password, path, and with most of them even what looks like the host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that an address may take.
PATIENCE = 60.0
#: Threads that wait for addresses; one that never answers must not keep the node's other threads.
_AT_ONCE = 4
_HIDDEN = "…"
#: Schemes (with or without an s at the end) whose URLs have a host where others have a token or a topic.
_WITH_HOST = frozenset(
    {"ntfy", "json", "xml", "form", "mailto", "matrix", "gotify", "apprise", "rocket", "mqtt"}
)
_WARNING = re.compile(r"^\S+ \S+ - (?:WARNING|ERROR) - (.+)$", re.MULTILINE)


class NotSent(Exception):
    """The address did not take it; a sentence says why, without the address."""


class Sender:
    """Sends to any address, a few at a time."""

    def __init__(self) -> None:
        self._threads = anyio.CapacityLimiter(_AT_ONCE)

    async def send(self, url: str, title: str, text: str) -> None:
        """Returns once it was taken. Raises NotSent."""
        failed: str | None = f"no answer within {PATIENCE:.0f} s"
        with anyio.move_on_after(PATIENCE):
            failed = await anyio.to_thread.run_sync(
                _send, url, title, text, limiter=self._threads, abandon_on_cancel=True
            )
        if failed is not None:
            raise NotSent(failed)


def shown(url: str) -> str:
    """The address as anybody may see it: how, and where when that is no secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    known = parts.scheme.lower().removesuffix("s") in _WITH_HOST and (parts.path.strip("/") or parts.query)
    return f"{parts.scheme}://{host}/{_HIDDEN}" if known else f"{parts.scheme}://{_HIDDEN}"


def _send(url: str, title: str, text: str) -> str | None:
    """Why it was not taken."""
    try:
        import apprise
    except ImportError:
        return 'Apprise is not installed: pip install "atek[notify]"'
    address = apprise.Apprise()
    capture = apprise.LogCapture(level=apprise.logging.WARNING)  # type: ignore[no-untyped-call]
    with capture as log:
        if not address.add(url):
            return f"{urlsplit(url).scheme}:// with these parts is no address that Apprise knows"
        if address.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT):
            return None
        reasons = _WARNING.findall(log.getvalue())
    return _without(url, reasons[-1]) if reasons else "the address did not take it"


def _without(url: str, text: str) -> str:
    for secret in _secrets(url):
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(url: str) -> Iterator[str]:
    """Each part of the address but its scheme and host, the longest first."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    found = {part for text in (user, parts.path, parts.query) for part in re.split(r"[/:@?&=,]", text)}
    found |= {unquote(part) for part in found}
    yield from sorted((part for part in found if len(part) > 2), key=len, reverse=True)
