"""The ports of a Compose service, published and exposed, in their short and long forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid, items, only, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path

_PORT = re.compile(
    r"((?P<given>(?P<address>\[[0-9A-Fa-f:.]+\]|\d+(\.\d+){3})?:)?"
    r"((?P<published>\d{1,5})(-(?P<published_end>\d{1,5}))?)?:)?"
    r"(?P<target>\d{1,5})(-(?P<target_end>\d{1,5}))?(/(?P<protocol>tcp|udp|sctp|))?",
    re.IGNORECASE,
)
_EXPOSED = re.compile(
    r"(?P<target>\d{1,5})(-(?P<target_end>\d{1,5}))?(/(?P<protocol>tcp|udp|sctp))?", re.IGNORECASE
)
_MANY_PORTS = 1000


def ports(of: Translation, value: Any, path: Path) -> None:
    """Ports of this machine that lead inside; the first TCP one is the service's. Raises Invalid."""
    for item, here in items([] if value is None else value, path):
        of.manifest.setdefault("publish", []).extend(
            _long_port(of, item, here) if isinstance(item, dict) else _short_port(of, text(item, here), here)
        )


def identity(item: Any) -> str:
    """What tells a port from others: two of one are the same, however they are written. Raises nothing."""
    if isinstance(item, dict):
        found = [item.get(key) for key in ("host_ip", "published", "target", "protocol")]
        address, published, target, protocol = ("" if each is None else str(each) for each in found)
    else:
        match = _PORT.fullmatch(str(item))
        if match is None:
            return str(item)
        address, protocol = match["address"] or "", match["protocol"] or ""
        published, target = (
            "-".join(filter(None, (match[name], match[f"{name}_end"]))) for name in ("published", "target")
        )
    return f"{address.strip('[]') or '*'} {published} {target} {protocol.lower() or 'tcp'}"


def _short_port(of: Translation, written: str, path: Path) -> list[str]:
    match = _PORT.fullmatch(written)
    if match is None:
        raise Invalid(path, "is not a port", "like 8080:80, 127.0.0.1:8080:80 or 53:53/udp")
    return _published(of, match.groupdict(), path)


def _long_port(of: Translation, item: dict[str, Any], path: Path) -> list[str]:
    port = only(item, path, "target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")
    if "target" not in port:
        raise Invalid(path, "a port needs its target, the port inside")
    published = f"{text(port.get('published') or '', (*path, 'published'))}:"
    address = f"{text(port.get('host_ip') or '', (*path, 'host_ip'))}:"
    if address.count(":") > 1:
        address = f"[{address[:-1].strip('[]')}]:"
    protocol = text(port.get("protocol", "tcp"), (*path, "protocol"))
    return _short_port(of, f"{address}{published}{text(port['target'], (*path, 'target'))}/{protocol}", path)


def _published(of: Translation, port: Mapping[str, str | None], path: Path) -> list[str]:
    """As the manifest has it: `*` is every address, and without a port of this machine the engine chooses."""
    target = _range(port["target"], port["target_end"], path)
    protocol = (port["protocol"] or "tcp").lower()
    if protocol == "tcp":
        of.manifest.setdefault("port", target[0])
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    address = port["address"] or "*"
    if not int(port["published"] or 0):
        return [f"{address}::{into}{suffix}" for into in target]
    published = _range(port["published"], port["published_end"], path)
    if len(target) == 1 != len(published):
        return [f"{address}:{published[0]}-{published[-1]}:{target[0]}{suffix}"]
    if len(target) != len(published):
        raise Invalid(path, "both ranges of ports have to be of the same length")
    return [f"{address}:{out}:{into}{suffix}" for out, into in zip(published, target, strict=True)]


def _range(first: str | None, last: str | None, path: Path) -> range:
    begin = int(first or 0)
    found = range(begin, int(last or begin) + 1)
    if not 0 < len(found) <= _MANY_PORTS or begin < 1 or found[-1] > 65535:
        raise Invalid(path, f"ports are 1 to 65535, and at most {_MANY_PORTS} at a time")
    return found


def expose(of: Translation, value: Any, path: Path) -> None:
    """Ports inside that nobody publishes. Raises Invalid."""
    for item, here in items([] if value is None else value, path):
        match = _EXPOSED.fullmatch(text(item, here))
        if match is None:
            raise Invalid(here, "is not a port", "like 80, 90-92 or 53/udp")
        found = _range(match["target"], match["target_end"], here)
        if (match["protocol"] or "tcp").lower() == "tcp":
            of.exposed.extend(found)
