"""Links: a node's key as text that a person carries from one machine to the other. Pure.

    hyper://<key>?noise=<key>&at=<host>:<port>      all that is needed to find a node and to be let in
    <key>                                           its database alone, where the rest is known otherwise

Keys are 64 hexadecimal digits. Who has the database's key can read the database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

_KEY = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/?#\[\]@&=]+):([0-9]{1,5})", re.ASCII)
_SCHEME = "hyper"
_PARAMETERS = frozenset({"noise", "at"})


class BadLink(ValueError):
    """It is no link; the message says why, in a sentence without its beginning."""


@dataclass(frozen=True, slots=True)
class Link:
    """`key` is the database, `noise` what the node proves when it connects, `at` its host:port.

    The latter two are empty where they are not told.
    """

    key: str
    noise: str = ""
    at: str = ""


def parse_link(text: str) -> Link:
    """Raises BadLink."""
    text = text.strip()
    if _KEY.fullmatch(text.lower()):
        return Link(text.lower())
    try:
        parts = urlsplit(text)
        values = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise BadLink("it is no link") from None
    if parts.scheme != _SCHEME:
        raise BadLink(
            f"it is neither a key of 64 hexadecimal digits nor a link that begins with {_SCHEME}://"
        )
    if parts.path not in ("", "/") or parts.fragment:
        raise BadLink("it leads to something inside a database")
    if unknown := sorted(values.keys() - _PARAMETERS):
        raise BadLink(f"it says something about {unknown[0]!r}, which this version does not know")
    noise = values.get("noise", "")
    return Link(_key(parts.netloc), _key(noise) if noise else "", _address(values.get("at", "")))


def format_link(link: Link) -> str:
    """The text that `parse_link` reads again."""
    parameters = [f"noise={link.noise}"] if link.noise else []
    if link.at:
        parameters.append(f"at={quote(link.at, safe='[]:')}")
    query = f"?{'&'.join(parameters)}" if parameters else ""
    return f"{_SCHEME}://{link.key}{query}"


def split_address(at: str) -> tuple[str, int]:
    """The host and port of an address; an IPv6 host without its brackets. Raises BadLink."""
    match = _ADDRESS.fullmatch(at)
    if match is None or not 0 < int(match[2]) < 65536:
        raise BadLink(f"{at!r} is not host:port")
    return match[1].strip("[]"), int(match[2])


def _key(text: str) -> str:
    key = text.lower()
    if not _KEY.fullmatch(key):
        raise BadLink("a key in it has not 64 hexadecimal digits; was it cut off?")
    return key


def _address(at: str) -> str:
    if at:
        split_address(at)
    return at
