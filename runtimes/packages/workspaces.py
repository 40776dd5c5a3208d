"""Folders that are one of several in a workspace above them, whose lock and packages they are installed with.

Only a package's own folder is copied, so here they are installed alone; where that makes a difference people
are told. npm and Yarn have `workspaces` in package.json, pnpm has pnpm-workspace.yaml, uv has
`tool.uv.workspace` in pyproject.toml.
"""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from runtimes.base import Notice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def workspace_notice(folder: Path, kind: Callable[[Path, str], bool]) -> Notice | None:
    """What to tell about a package that has no lock of its own. `folder` is where its author has it."""
    for above in folder.parents:
        with suppress(OSError, ValueError, RecursionError):
            if kind(above, folder.relative_to(above).as_posix()):
                return Notice(
                    f"this is a workspace of {above}, whose lock and other packages are not used: only the "
                    f"package's own folder is installed (source: {above} and a command would have them)",
                    "InstalledAlone",
                )
    return None


def of_node(above: Path, member: str) -> bool:
    """Raises OSError or ValueError for what cannot be read."""
    if (above / "pnpm-workspace.yaml").is_file():
        return True
    found = _within(json.loads((above / "package.json").read_text("utf-8-sig")), "workspaces")
    return _names(found.get("packages") if isinstance(found, dict) else found, member)


def of_uv(above: Path, member: str) -> bool:
    """Raises OSError or ValueError for what cannot be read."""
    project = tomllib.loads((above / "pyproject.toml").read_text("utf-8"))
    return _names(_within(project, "tool", "uv", "workspace", "members"), member)


def _within(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _names(patterns: object, member: str) -> bool:
    words = [each for each in patterns if isinstance(each, str)] if isinstance(patterns, list) else []
    return any(fnmatch(member, word.removeprefix("./").rstrip("/")) for word in words)
