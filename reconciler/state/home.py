"""The state directory: its folders, its secret, and the lock that lets one node at a time have it."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from typing import TYPE_CHECKING, Any

from manifests.files import write_atomically
from manifests.sources.config import CONFIG_FILES
from manifests.sources.trust import distrust
from reconciler.errors import UserError
from runtimes.paths import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runtimes.paths import Way

FOLDERS = ("manifests", "packages", "data", "logs", "state/instances", "state/services", "state/snapshots")


class Home:
    """One node's state directory, held while this object is open. See README for what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._secret = b""

    def check(self, paths: Iterable[Path]) -> None:
        """Raises UserError if somebody else could write what this node obeys: in its home, or in these paths.

        Settings and manifests of such a place are not even read.
        """
        own = (self.path, *(self.path / name for name in CONFIG_FILES), self.path / "manifests")
        try:
            for path in (*own, *paths):
                if (why := distrust(os.fspath(path))) is not None:
                    raise UserError(f"{why.message}: whoever can write it runs programs here", hint=why.hint)
        except OSError as error:
            raise UserError(f"{path} cannot be looked at: {error.strerror or error}") from error

    def open(self, about: Mapping[str, Any], way: Way = PRIVATE) -> None:
        """Makes the folders, takes the lock and writes `about` this node into it. Raises UserError.

        `way`: who may pass the home itself, but not look around in it.
        """
        try:
            self._make_folders(way)
            self._take_lock(about)
            self._secret = self._read_secret()
        except OSError as error:
            raise UserError(
                f"cannot use {self.path} as the state directory: {error.strerror or error}",
                hint="choose another with --home or ATEK_HOME, or mend its permissions",
            ) from error

    def close(self) -> None:
        """Lets another node have it."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def identity(self, service_id: str) -> dict[str, str]:
        """A service's public key, the same in every life of this node."""
        return {"key": _derive(self._secret, f"key:{service_id}")}

    def write_about(self, about: Mapping[str, Any]) -> None:
        """What `holder` tells others about the node that has this home."""
        assert self._lock is not None
        data = json.dumps(about).encode()
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, data, 0)

    def _make_folders(self, way: Way) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.stat().st_uid == os.geteuid():
            way.open(self.path)
        for folder in FOLDERS:
            (self.path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _take_lock(self, about: Mapping[str, Any]) -> None:
        descriptor = os.open(lock_file(self.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            held = holder(self.path) or {}
            who = f" (pid {held['pid']}, started {held.get('startedAt', 'earlier')})" if "pid" in held else ""
            raise UserError(
                f"another node runs on {self.path}{who}",
                hint="`atek down` stops it; a second node needs its own --home",
            ) from None
        self._lock = descriptor
        self.write_about(about)

    def _read_secret(self) -> bytes:
        """The node's own secret; a damaged one is replaced, because nothing can be recovered from it."""
        file = self.path / "state" / "node.secret"
        try:
            secret = file.read_bytes()
        except FileNotFoundError:
            secret = b""
        if len(secret) != 32:
            secret = secrets.token_bytes(32)
            write_atomically(file, secret)
        return secret


def _derive(secret: bytes, purpose: str) -> str:
    return hmac.new(secret, purpose.encode(), hashlib.sha256).hexdigest()


def lock_file(home: Path) -> Path:
    return home / "state" / "lock"


def holder(home: Path) -> dict[str, Any] | None:
    """What the node that has this home says about itself; None when no node has it."""
    try:
        descriptor = os.open(lock_file(home), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            value = json.loads(os.pread(descriptor, 65536, 0))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}
    finally:
        os.close(descriptor)
    return None
