"""The ports of a Compose service, published and exposed, in their short and long forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid, integer, items, only, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path

_PORT = re.compile(
    r"((?P<address>\[[0-9A-Fa-f:.]+\]|\d+(\.\d+){3}):)?"
    r"((?P<published>\d{1,5})(-(?P<published_end>\d{1,5}))?:)?"
    r"(?P<target>\d{1,5})(-(?P<target_end>\d{1,5}))?(/(?P<protocol>tcp|udp))?"
)
_MANY_PORTS = 100


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
    return f"{address.strip('[]') or '0.0.0.0'} {published} {target} {protocol or 'tcp'}"


def _short_port(of: Translation, written: str, path: Path) -> list[str]:
    match = _PORT.fullmatch(written)
    if match is None:
        raise Invalid(path, "is not a port", "like 8080:80, 127.0.0.1:8080:80 or 53:53/udp")
    return _published(of, match.groupdict(), path)


def _long_port(of: Translation, item: dict[str, Any], path: Path) -> list[str]:
    port = only(item, path, "target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")
    if "target" not in port:
        raise Invalid(path, "a port needs its target, the port inside")
    published = f"{text(port['published'], (*path, 'published'))}:" if "published" in port else ""
    address = f"{text(port['host_ip'], (*path, 'host_ip'))}:" if "host_ip" in port else ""
    if address.count(":") > 1:
        address = f"[{address[:-1].strip('[]')}]:"
    protocol = text(port.get("protocol", "tcp"), (*path, "protocol"))
    return _short_port(of, f"{address}{published}{text(port['target'], (*path, 'target'))}/{protocol}", path)


def _published(of: Translation, port: Mapping[str, str | None], path: Path) -> list[str]:
    if port["published"] is None:
        hint = f"write it twice: {port['target']}:{port['target']}, or under expose for its host name only"
        raise Invalid(path, "a port of this machine that the engine chooses is not supported", hint)
    target = _range(port["target"], port["target_end"], path)
    published = _range(port["published"], port["published_end"], path)
    if len(target) != len(published):
        raise Invalid(path, "both ranges of ports have to be of the same length")
    protocol = port["protocol"] or "tcp"
    if protocol == "tcp":
        of.manifest.setdefault("port", target[0])
    suffix = "/udp" if protocol == "udp" else ""
    address = port["address"] or "0.0.0.0"
    return [f"{address}:{out}:{into}{suffix}" for out, into in zip(published, target, strict=True)]


def _range(first: str | None, last: str | None, path: Path) -> range:
    begin = int(first or 0)
    found = range(begin, int(last or begin) + 1)
    if not 0 < len(found) <= _MANY_PORTS or begin < 1 or found[-1] > 65535:
        raise Invalid(path, f"ports are 1 to 65535, and at most {_MANY_PORTS} at a time")
    return found


def expose(of: Translation, value: Any, path: Path) -> None:
    """Ports inside that nobody publishes. Raises Invalid."""
    for item, here in items(value, path):
        port, _, protocol = text(item, here).partition("/")
        if protocol in ("", "tcp"):
            of.exposed.append(integer(port, here))
