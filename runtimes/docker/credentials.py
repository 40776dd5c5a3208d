"""Credentials for registries, from a file that only its owner may read.

    {"registry.example.com": {"username": "me", "password": "…"}}

`docker.io` names Docker's own registry. Nothing of it is ever logged or shown.
"""

from __future__ import annotations

import base64
import os
import stat
from typing import TYPE_CHECKING

import orjson

from runtimes.base import PermanentFailure

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_REGISTRY = "docker.io"
_HINT = 'it is JSON like {"registry.example.com": {"username": "me", "password": "…"}}'


def registry_of(image: str) -> str:
    """The host in an image's name; Docker's own where there is none."""
    first, slash, _ = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return first if is_host else DEFAULT_REGISTRY


def authorization(file: Path, image: str) -> dict[str, str]:
    """The header that lets the engine pull an image; empty without credentials for its registry.

    Raises PermanentFailure for a file that is broken, or that others may read.
    """
    known = login(file, image)
    if known is None:
        return {}
    value = {**known, "serveraddress": registry_of(image)}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(orjson.dumps(value)).decode()}


def login(file: Path, image: str) -> dict[str, str] | None:
    """Name and password for an image's registry; None without any. Raises as `authorization` does."""
    try:
        found = file.stat()
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PermanentFailure("CredentialsUnreadable", f"{file}: {error.strerror}") from error
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
        hint = f"chmod 600 {file}"
        raise PermanentFailure("CredentialsExposed", f"others than you may read {file}", hint=hint)
    try:
        entry = orjson.loads(data).get(registry_of(image))
        return None if entry is None else {"username": entry["username"], "password": entry["password"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PermanentFailure("CredentialsBroken", f"{file} cannot be understood", hint=_HINT) from error
