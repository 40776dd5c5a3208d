"""What the services' secrets were when they were resolved, kept for the moment when an instance starts.

    resolve ─► read_secrets (decrypts) ─► digest, part of the revision ─► keep: state/secrets/<id>/<revision>
    start   ─► open: exactly what the revision was made of

What is kept is encrypted to this node itself, by age. So an instance that is started again, or an older
revision that comes back, has the secrets that it was made with, whatever has become of the files meanwhile;
and no plain text is on a disk. Digests are keyed: who knows a revision learns nothing of a secret, not even
whether a guess is right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import time
from typing import TYPE_CHECKING, Any

from manifests.files import write_atomically
from manifests.packages.resolve import ResolveError
from reconciler.errors import UserError
from reconciler.state.age_key import FILE, ensure_identity, read_identity
from runtimes.base import NO_SECRETS, RuntimeFailure, SecretFile, Secrets

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from manifests.model.service import Service
    from manifests.model.snapshot import Declared, SourceKind
    from manifests.model.spec import Secret
    from manifests.secret_files import Found

FOLDER = "state/secrets"
_NODE_SECRET = "state/node.secret"
#: Seconds.
_NEW = 600.0
_PURPOSE = b"digests of secrets"


class Vault:
    """The secrets of one home's services."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def read(self, declared: Declared, kind: SourceKind, *, make_identity: bool = True) -> Found:
        """Raises ResolveError. Without `make_identity`, nothing is written."""
        # Not at the top: most services have none.
        from manifests.secret_files import read_secrets

        def identities() -> list[str]:
            found = self._identity(make=make_identity)
            return [found] if found else []

        return read_secrets(declared, kind, identities)

    def digest(self, found: Found) -> str:
        """Of what is delivered, and how; empty without any."""
        if not found.values:
            return ""
        key = hmac.digest(self._key(), _PURPOSE, "sha256")
        parts = hmac.new(key, digestmod=hashlib.sha256)
        for name, plain in sorted(found.values.items()):
            how = _how(plain.secret)
            head = json.dumps([name, how, len(plain.data)], sort_keys=True).encode()
            parts.update(len(head).to_bytes(4, "big") + head + plain.data)
        return parts.hexdigest()[:32]

    def keep(self, service: Service, found: Found) -> None:
        """For `open`. Raises OSError, or ResolveError without an identity."""
        if not service.secrets or self._has(service):
            return
        import pyrage

        file = self._file(service)
        own = pyrage.x25519.Identity.from_str(self._identity(make=True)).to_public()
        text = json.dumps({name: _packed(each.secret, each.data) for name, each in found.values.items()})
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, bytes(pyrage.encrypt(text.encode(), [own])))

    def open(self, service: Service) -> Secrets:
        """What an instance of this revision is given. Raises RuntimeFailure."""
        if not service.secrets:
            return NO_SECRETS
        file = self._file(service)
        try:
            sealed = file.read_bytes()
        except FileNotFoundError:
            raise RuntimeFailure(
                "SecretsMissing",
                f"the secrets of revision {service.revision} of {service.id} are not kept any more",
                hint=f"`atek restart {service.id}` starts it with what its files say now",
            ) from None
        except OSError as error:
            raise RuntimeFailure("SecretsMissing", f"{file} cannot be read: {error.strerror}") from error
        return _unpacked(self._decrypted(service, sealed))

    def collect(self, service_id: str, keep: Collection[str]) -> None:
        """Deletes what is kept of other revisions; not what was just made, and is not known yet."""
        folder = self._home / FOLDER / service_id
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
            return
        try:
            for file in folder.iterdir():
                if file.stem not in keep and abs(time.time() - file.stat().st_mtime) > _NEW:
                    file.unlink(missing_ok=True)
        except FileNotFoundError:
            return

    def _identity(self, *, make: bool) -> str | None:
        """The node's own. Raises ResolveError for one that is none."""
        from manifests.sops import age

        try:
            found = ensure_identity(self._home) if make else read_identity(self._home)
            if found is not None:
                age.recipient_of(found)
            return found
        except UserError as error:
            raise ResolveError("IdentityBroken", str(error), error.hint) from error
        except ValueError as error:
            hint = "bring it back from a backup; or delete it for a new one, and encrypt the files again"
            raise ResolveError("IdentityBroken", f"{self._home / FILE}: {error}", hint) from error

    def _has(self, service: Service) -> bool:
        """Not where it is of an identity of before, or damaged."""
        try:
            return bool(self.open(service))
        except RuntimeFailure:
            return False

    def _file(self, service: Service) -> Path:
        return self._home / FOLDER / service.id / f"{service.revision}.age"

    def _key(self) -> bytes:
        try:
            return (self._home / _NODE_SECRET).read_bytes()
        except FileNotFoundError:
            # No node was ever here, so there is no revision to compare with.
            return b""

    def _decrypted(self, service: Service, sealed: bytes) -> dict[str, Any]:
        import pyrage

        try:
            identity = read_identity(self._home)
            own = [pyrage.x25519.Identity.from_str(identity)] if identity else []
            found: dict[str, Any] = json.loads(pyrage.decrypt(sealed, own))
            return found
        except (pyrage.DecryptError, pyrage.IdentityError, UserError, ValueError) as error:
            raise RuntimeFailure(
                "SecretsMissing",
                f"the secrets of {service.id} were kept for another age identity, or are damaged",
                hint=f"`atek restart {service.id}` starts it with what its files say now",
            ) from error


def _how(secret: Secret) -> dict[str, Any]:
    """All that makes a difference to the service: not where it is found."""
    fields = {"as_", "target", "mode", "uid", "gid"}
    return secret.model_dump(include=fields, exclude_defaults=True)


def _packed(secret: Secret, data: bytes) -> dict[str, Any]:
    return {"as": secret.as_, **_how(secret), "data": base64.b64encode(data).decode()}


def _unpacked(values: dict[str, Any]) -> Secrets:
    env, files = {}, []
    for name, value in values.items():
        data = base64.b64decode(value["data"])
        if value["as"] == "env":
            env[name] = data.decode()
            continue
        mode = value.get("mode")
        files.append(
            SecretFile(
                name, data, value.get("target"), int(mode, 8) if mode else None,
                value.get("uid"), value.get("gid"),
            )
        )  # fmt: skip
    return Secrets(env, tuple(files))
