"""A service as the services API shows it: ServiceInfo of the original's client library."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.packages.resolve import git_package, package_path, read_atek_json

if TYPE_CHECKING:
    from manifests.model.snapshot import Declared
    from reconciler.drive.git_packages import Installed as Fetched
    from reconciler.state.installed import Installed


def service_info(
    declared: Declared, entry: dict[str, Any] | None, installed: Installed, fetched: Fetched | None
) -> dict[str, Any]:
    """Reads the package's atek.json, so call it in a thread. `entry` is the service's in `status`, `fetched`
    what is here of a package from Git.

    `active` means that something of it runs. A service without a package has its manifest's file for a URL.
    """
    folder = fetched.folder if fetched else package_path(declared)
    repository = git_package(declared.manifest.source, declared.base)
    settings = {
        "id": declared.manifest.id,
        "owningUserKey": installed.owner,
        "sourceUrl": str(repository) if repository else _url(folder or declared.file),
        "desiredVersion": declared.manifest.version or installed.desired_version or None,
        "package": _package(repository is not None, fetched),
        "manifest": _atek_json(folder) if folder else None,
        "config": declared.manifest.env,
    }
    return {
        "status": "active" if entry and entry["instances"] else "inactive",
        "key": installed.key,
        # JavaScript knows no key of value undefined, and the original left them out.
        "settings": {name: value for name, value in settings.items() if value is not None},
    }


def _package(git: bool, fetched: Fetched | None) -> dict[str, str]:
    if not git:
        return {"sourceType": "file"}
    return {"sourceType": "git", **({"installedVersion": fetched.version} if fetched else {})}


def _url(path: str) -> str | None:
    """None for a record, which is no file."""
    return Path(path).as_uri() if os.path.isabs(path) else None


def _atek_json(folder: str) -> dict[str, Any] | None:
    """None too where Python reads what JSON does not know: one package must not spoil a list."""
    value = read_atek_json(folder)
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value or None


def versions(entry: dict[str, Any]) -> tuple[str, str]:
    """Of a service's package: what serves, and what is wanted. Folders have revisions for versions.

    What is stopped has installed what it will run next.
    """
    wanted = entry["desiredRevision"] or ""
    return entry["observedRevision"] or wanted, wanted
