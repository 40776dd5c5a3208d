"""One question to another web server: what it answers is told, and followed nowhere."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpcore

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoAnswer(OSError):
    """The server cannot be reached, or is not trusted; its words say why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are in small letters."""

    status: int
    headers: Mapping[str, str]


async def ask(url: str, headers: Mapping[str, str], *, ca_file: str | None, seconds: float) -> Answer:
    """A GET, of whose answer the head is read. `ca_file`: who else than the usual ones vouches for servers.

    Raises NoAnswer.
    """
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    try:
        context = ssl.create_default_context(cafile=ca_file)
        async with (
            httpcore.AsyncConnectionPool(ssl_context=context) as pool,
            pool.stream(
                "GET", url, headers=list(headers.items()), extensions={"timeout": timeout}
            ) as response,
        ):
            found = {name.lower().decode("ascii", "replace"): value for name, value in response.headers}
            return Answer(response.status, {name: value.decode("latin-1") for name, value in found.items()})
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error
