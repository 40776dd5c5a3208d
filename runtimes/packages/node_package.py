"""What a Node package says about itself: what there is to install and to build, and where it begins."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from runtimes.base import PermanentFailure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEPENDENCY_KINDS = ("dependencies", "optionalDependencies", "devDependencies")
#: Scripts of the package itself that every tool runs when it installs in its folder.
INSTALL_SCRIPTS = (
    "preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare",
)  # fmt: skip
#: What else in package.json decides about what is installed, for any of the tools.
INSTALL_KEYS = (
    *DEPENDENCY_KINDS, "dependenciesMeta", "peerDependencies", "peerDependenciesMeta", "bundleDependencies",
    "bundledDependencies", "overrides", "resolutions", "workspaces", "packageManager", "engines", "pnpm",
    "installConfig",
)  # fmt: skip
#: How a dependency is written that comes out of the package's own folder, or is changed by a file there.
_LOCAL = ("file:", "link:", "portal:", "patch:", "workspace:", ".", "/", "~/")
_SCHEMES = ("file:", "link:", "portal:")


def read_package(folder: Path) -> dict[str, Any]:
    """package.json, empty when there is none. Raises PermanentFailure for one that is broken."""
    try:
        value = json.loads((folder / "package.json").read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise PermanentFailure("InvalidPackage", f"package.json is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise PermanentFailure("InvalidPackage", "package.json is not an object")
    for key in ("scripts", *DEPENDENCY_KINDS):
        if not _maps_names_to_text(value.get(key, {})):
            raise PermanentFailure("InvalidPackage", f"{key} in package.json does not map names to text")
    return value


def _maps_names_to_text(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def needs_installing(folder: Path, package: dict[str, Any]) -> bool:
    """Whether the author's tool would find anything to do; starting it in vain takes a second."""
    wanted = any(package.get(kind) for kind in (*DEPENDENCY_KINDS, "peerDependencies", "workspaces"))
    files = any((folder / name).exists() for name in ("binding.gyp", "pnpm-workspace.yaml"))
    return bool(package) and (wanted or files or bool(install_scripts(folder, package)))


def install_scripts(folder: Path, package: dict[str, Any]) -> dict[str, str]:
    """The scripts of one package that an installation runs."""
    scripts = package.get("scripts")
    found = (
        {name: scripts[name] for name in INSTALL_SCRIPTS if name in scripts}
        if isinstance(scripts, dict)
        else {}
    )
    # npm builds what has a recipe for node-gyp unless its own scripts do something else.
    return found or ({"install": "node-gyp rebuild"} if (folder / "binding.gyp").exists() else {})


def is_local(folder: Path, package: dict[str, Any]) -> bool:
    """Whether files of the package itself are installed, or change what is: an edit may change the result."""
    files = any(
        (folder / name).exists() for name in (".pnpmfile.cjs", "pnpm-workspace.yaml", ".yarn", ".yarnrc")
    )
    return files or "workspaces" in package or any(text.startswith(_LOCAL) for text in _specs(package))


def is_from_outside(package: dict[str, Any]) -> bool:
    """Whether files of this machine are installed that no lock and no digest of the package knows."""
    paths = (text.partition(":")[2] if text.startswith(_SCHEMES) else text for text in _specs(package))
    return any(path.startswith(("/", "~/")) for path in paths)


def _specs(package: dict[str, Any]) -> Iterator[str]:
    waiting: list[object] = [
        package.get(key) for key in INSTALL_KEYS if key not in ("engines", "packageManager")
    ]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())


def entry_point(copy: Path, package: dict[str, Any], node: list[str]) -> tuple[str, ...]:
    """What to run; `node` are the words that run a file. Raises PermanentFailure when there is nothing."""
    for name in (package.get("main"), "index.js"):
        if isinstance(name, str) and (file := _module(copy, name)):
            return (*node, file)
    if start := package.get("scripts", {}).get("start"):
        return ("/bin/sh", "-c", f"exec {start}" if _is_simple(start) else start)
    raise PermanentFailure(
        "NoEntryPoint",
        "the package has neither the file its package.json names as main, nor index.js, nor a start script",
        hint="add one of them, or command: to the manifest",
    )


def _module(copy: Path, name: str) -> str | None:
    """The file of the package that Node would load under this name, as `require` looks for it."""
    inside = os.path.normpath(name)
    if "\0" in name or os.path.isabs(inside) or inside.startswith(".."):
        return None
    candidates = (inside, f"{inside}.js", os.path.join(inside, "index.js"))
    return next((one for one in candidates if (copy / one).is_file()), None)


def _is_simple(script: str) -> bool:
    """One command, so that the shell can step aside and signals reach the program itself."""
    return not any(character in script for character in "&|;<>$`\n()=")
