"""The volumes of a Compose service, in their short and long forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid, boolean, items, only, text

if TYPE_CHECKING:
    from manifests.compose.translation import Translation
    from manifests.documents.document import Path

_MODES = frozenset({"ro", "rw"})


def volumes(of: Translation, value: Any, path: Path) -> None:
    """Named and nameless volumes, and folders of this machine. Raises Invalid."""
    for item, here in items([] if value is None else value, path):
        written = _long_volume(item, here) if isinstance(item, dict) else text(item, here)
        of.manifest.setdefault("volumes", []).append(_volume(of, written, here))


def target(item: Any) -> str:
    """Where a volume is in the container, which no two can be. Raises nothing."""
    if isinstance(item, dict):
        where = str(item.get("target", ""))
    else:
        source, _, rest = str(item).partition(":")
        where = rest.partition(":")[0] if rest.startswith("/") else source
    return where.rstrip("/") or "/"


def _long_volume(item: dict[str, Any], path: Path) -> str:
    volume = only(item, path, "type", "source", "target", "read_only")
    kind = text(volume.get("type", "volume"), (*path, "type"))
    if kind not in ("bind", "volume"):
        raise Invalid((*path, "type"), f"{kind} is not supported", "a volume is a bind or a volume")
    target = text(volume.get("target", ""), (*path, "target"))
    source = text(volume.get("source", ""), (*path, "source"))
    if kind == "bind" and not source.startswith(("/", "./", "../")):
        source = f"./{source}"
    mode = ":ro" if boolean(volume.get("read_only", False), (*path, "read_only")) else ""
    return f"{source}:{target}{mode}" if source else f"{target}{mode}"


def _volume(of: Translation, written: str, path: Path) -> str:
    parts = written.split(":")
    mode = f":{parts.pop()}" if len(parts) > 1 and not parts[-1].startswith("/") else ""
    if mode and mode[1:] not in _MODES:
        raise Invalid(path, f"the mode {mode[1:]} is not supported", "ro, rw or none")
    if len(parts) > 2 or not parts[-1].startswith("/"):
        raise Invalid(path, "is not a volume", "like data:/var/lib/data or ./conf:/etc/conf:ro")
    source = parts[0] if len(parts) == 2 else _nameless(of, parts[0])
    if source.startswith("~"):
        raise Invalid(path, "whose home ~ is depends on who runs it", "write the whole path")
    if source.startswith("."):
        source = _beside(of.folder, source)
    elif not source.startswith("/") and len(parts) == 2 and source not in of.volumes:
        raise Invalid(
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
