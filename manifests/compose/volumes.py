"""The volumes of a Compose service, in their short and long forms."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid, boolean, items, only, text
from manifests.model.containers import VOLUME_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path

_IDLE = re.compile(r"//|/\.\.?(/|$)")
#: What Docker Desktop once needed to hear; it means nothing.
_MEANINGLESS = frozenset({"cached", "delegated", "consistent"})


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
    volume = only(item, path, "type", "source", "target", "read_only", "bind", "volume", "consistency")
    kind = text(volume.get("type", "volume"), (*path, "type"))
    if kind not in ("bind", "volume"):
        raise Invalid((*path, "type"), f"{kind} is not supported", "a volume is a bind or a volume")
    target = text(volume.get("target", ""), (*path, "target"))
    source = text(volume.get("source", ""), (*path, "source"))
    if kind == "volume" and source.startswith(("/", ".", "~")):
        raise Invalid((*path, "source"), "is a folder, and no volume's name", "type: bind")
    if kind == "bind" and not source:
        raise Invalid(path, "a bind needs a source")
    if kind == "bind" and not source.startswith(("/", "./", "../", "~")):
        source = f"./{source}"
    options = [*_bind_options(volume, path), *_volume_options(volume, path)]
    if boolean(volume.get("read_only", False), (*path, "read_only")):
        options.insert(0, "ro")
    mode = f":{','.join(options)}" if options else ""
    return f"{source}:{target}{mode}" if source else f"{target}{mode}"


def _bind_options(volume: dict[str, Any], path: Path) -> Iterator[str]:
    path = (*path, "bind")
    bind = only(volume.get("bind"), path, "propagation", "create_host_path", "selinux")
    for key in ("propagation", "selinux"):
        if bind.get(key) is not None:
            yield text(bind[key], (*path, key))


def _volume_options(volume: dict[str, Any], path: Path) -> Iterator[str]:
    path = (*path, "volume")
    if boolean(only(volume.get("volume"), path, "nocopy").get("nocopy", False), (*path, "nocopy")):
        yield "nocopy"


def _volume(of: Translation, written: str, path: Path) -> str:
    parts = written.split(":")
    words = parts.pop().split(",") if len(parts) > 1 and not parts[-1].startswith("/") else []
    words = [each for each in words if each not in _MEANINGLESS]
    if unknown := sorted(set(words) - VOLUME_OPTIONS):
        raise Invalid(path, f"the mode {unknown[0]} is not supported", "ro, rw or none")
    if len(parts) > 2 or not parts[-1].startswith("/"):
        raise Invalid(path, "is not a volume", "like data:/var/lib/data or ./conf:/etc/conf:ro")
    target = _tidy(parts[-1])
    source = parts[0] if len(parts) == 2 else _nameless(of, target)
    if source.startswith("~"):
        source = _at_home(of, source, path)
    if source.startswith("."):
        source = _beside(of.folder, source)
    elif source.startswith("/"):
        source = _tidy(source)
    elif len(parts) == 2 and source not in of.volumes:
        raise Invalid(
            path, f"the volume {source} is not declared", f"add `volumes: {{{source}: }}` to the file"
        )
    mode = f":{','.join(words)}" if words else ""
    return f"{source}:{target}{mode}"


def _tidy(path: str) -> str:
    """Without steps that lead nowhere, or back; any other path as it is written."""
    return f"/{posixpath.normpath(path).lstrip('/')}" if _IDLE.search(path) else path


def _at_home(of: Translation, source: str, path: Path) -> str:
    """Of the user that the node runs as; whoever's file comes from elsewhere has no home here."""
    if not of.home or source[1:2] not in ("", "/"):
        raise Invalid(path, "whose home ~ is depends on who runs it", "write the whole path")
    return of.home.rstrip("/") + source[1:]


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
