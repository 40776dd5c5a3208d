"""The ports and volumes of a Compose service, in their short and long forms. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Wrong, items, only, text, truth, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path

_VOLUME_MODES = frozenset({"ro", "rw"})
_PORT = re.compile(
    r"((?P<address>\[[0-9A-Fa-f:.]+\]|\d+(\.\d+){3}):)?"
    r"((?P<outside>\d{1,5})(-(?P<outside_end>\d{1,5}))?:)?"
    r"(?P<inside>\d{1,5})(-(?P<inside_end>\d{1,5}))?(/(?P<protocol>tcp|udp))?"
)
_MANY_PORTS = 100


def ports(of: Translation, value: Any, path: Path) -> None:
    """Ports of this machine that lead inside; the first TCP one is the service's. Raises Wrong."""
    for item, here in items([] if value is None else value, path):
        of.manifest.setdefault("publish", []).extend(
            _long_port(of, item, here) if isinstance(item, dict) else _short_port(of, text(item, here), here)
        )


def _short_port(of: Translation, written: str, path: Path) -> list[str]:
    match = _PORT.fullmatch(written)
    if match is None:
        raise Wrong(path, "is not a port", "like 8080:80, 127.0.0.1:8080:80 or 53:53/udp")
    return _published(of, match.groupdict(), path)


def _long_port(of: Translation, item: dict[str, Any], path: Path) -> list[str]:
    port = only(item, path, "target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")
    if "target" not in port:
        raise Wrong(path, "a port needs its target, the port inside")
    outside = f"{text(port['published'], (*path, 'published'))}:" if "published" in port else ""
    address = f"{text(port['host_ip'], (*path, 'host_ip'))}:" if "host_ip" in port else ""
    if address.count(":") > 1:
        address = f"[{address[:-1].strip('[]')}]:"
    protocol = text(port.get("protocol", "tcp"), (*path, "protocol"))
    return _short_port(of, f"{address}{outside}{text(port['target'], (*path, 'target'))}/{protocol}", path)


def _published(of: Translation, port: Mapping[str, str | None], path: Path) -> list[str]:
    if port["outside"] is None:
        hint = f"write it twice: {port['inside']}:{port['inside']}, or under expose for its host name only"
        raise Wrong(path, "a port of this machine that the engine chooses is not supported", hint)
    inside = _range(port["inside"], port["inside_end"], path)
    outside = _range(port["outside"], port["outside_end"], path)
    if len(inside) != len(outside):
        raise Wrong(path, "both ranges of ports have to be of the same length")
    protocol = port["protocol"] or "tcp"
    if protocol == "tcp":
        of.manifest.setdefault("port", inside[0])
    suffix = "/udp" if protocol == "udp" else ""
    address = port["address"] or "0.0.0.0"
    return [f"{address}:{out}:{into}{suffix}" for out, into in zip(outside, inside, strict=True)]


def _range(first: str | None, last: str | None, path: Path) -> range:
    begin = int(first or 0)
    found = range(begin, int(last or begin) + 1)
    if not 0 < len(found) <= _MANY_PORTS or begin < 1 or found[-1] > 65535:
        raise Wrong(path, f"ports are 1 to 65535, and at most {_MANY_PORTS} at a time")
    return found


def expose(of: Translation, value: Any, path: Path) -> None:
    """Ports inside that nobody publishes. Raises Wrong."""
    for item, here in items(value, path):
        port, _, protocol = text(item, here).partition("/")
        if protocol in ("", "tcp"):
            of.exposed.append(whole(port, here))


def volumes(of: Translation, value: Any, path: Path) -> None:
    """Named and nameless volumes, and folders of this machine. Raises Wrong."""
    for item, here in items([] if value is None else value, path):
        written = _long_volume(item, here) if isinstance(item, dict) else text(item, here)
        of.manifest.setdefault("volumes", []).append(_volume(of, written, here))


def _long_volume(item: dict[str, Any], path: Path) -> str:
    volume = only(item, path, "type", "source", "target", "read_only")
    kind = text(volume.get("type", "volume"), (*path, "type"))
    if kind not in ("bind", "volume"):
        raise Wrong((*path, "type"), f"{kind} is not supported", "a volume is a bind or a volume")
    target = text(volume.get("target", ""), (*path, "target"))
    source = text(volume.get("source", ""), (*path, "source"))
    if kind == "bind" and not source.startswith(("/", "./", "../")):
        source = f"./{source}"
    mode = ":ro" if truth(volume.get("read_only", False), (*path, "read_only")) else ""
    return f"{source}:{target}{mode}" if source else f"{target}{mode}"


def _volume(of: Translation, written: str, path: Path) -> str:
    parts = written.split(":")
    mode = f":{parts.pop()}" if len(parts) > 1 and not parts[-1].startswith("/") else ""
    if mode and mode[1:] not in _VOLUME_MODES:
        raise Wrong(path, f"the mode {mode[1:]} is not supported", "ro, rw or none")
    if len(parts) > 2 or not parts[-1].startswith("/"):
        raise Wrong(path, "is not a volume", "like data:/var/lib/data or ./conf:/etc/conf:ro")
    source = parts[0] if len(parts) == 2 else _nameless(of, parts[0])
    if source.startswith("~"):
        raise Wrong(path, "whose home ~ is depends on who runs it", "write the whole path")
    if source.startswith("."):
        source = _beside(of.folder, source)
    elif not source.startswith("/") and len(parts) == 2 and source not in of.volumes:
        raise Wrong(
            path, f"the volume {source} is not declared", f"add `volumes: {{{source}: }}` to the file"
        )
    return f"{source}:{parts[-1]}{mode}"


def _nameless(of: Translation, target: str) -> str:
    """A volume without a name gets one of its service and its place, so that it is found again."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{of.name}{target}").strip("-")[:63]


def _beside(folder: str, source: str) -> str:
    """The folder that a relative path means."""
    parts = [part for part in folder.split("/") if part]
    for step in source.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step not in ("", "."):
            parts.append(step)
    return "/" + "/".join(parts)
