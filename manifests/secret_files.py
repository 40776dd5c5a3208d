"""The secrets of a manifest: found in their files, decrypted with the identities that one has.

A file is one of SOPS, or a plain one. Its name tells its kind; `key` finds a value in it, and what is read
of a file of NAME=value lines is what such a file means to Compose (quotes, escapes), but for dollars: a
password may have one.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.compose.env_file import read_variables
from manifests.compose.variables import Unusable
from manifests.packages.resolve import ResolveError, package_path, secret_paths
from manifests.sops.document import MAX_BYTES, STORES, is_sealed, load, open_file, store_of
from manifests.sops.tree import Branch, as_text, find
from manifests.sops.trouble import SopsTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from manifests.model.snapshot import Declared, SourceKind
    from manifests.model.spec import Secret
    from manifests.sops.document import Store

#: MAX_ARG_STRLEN of Linux, less a name.
_LONGEST_VARIABLE = 131_072 - 258
_REFERENCE = re.compile(r"\$(?:\$|\{([^{}]+)\})")


@dataclass(frozen=True, slots=True, repr=False)
class Plain:
    """A secret in plain text: never shown, never written."""

    secret: Secret
    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """All secrets of a manifest by their names. `bare` are the files that are not encrypted."""

    values: Mapping[str, Plain]
    bare: tuple[str, ...] = ()


def read_secrets(declared: Declared, kind: SourceKind, identities: Callable[[], Sequence[str]]) -> Found:
    """Everything that a manifest's `secrets` name. Raises ResolveError, which has nothing of their content.

    `identities` is asked when there is something to decrypt.
    """
    paths = secret_paths(declared, kind)
    files: dict[str, _File] = {}
    values = {}
    for name, secret in declared.manifest.secrets.items():
        where = paths[secret.file] if secret.file is not None else ""
        try:
            if where and where not in files:
                _require_inside(where, declared, kind)
                files[where] = _open(where, identities)
            values[name] = Plain(secret, _checked(secret, _data(secret, files.get(where))))
        except SopsTrouble as trouble:
            told = f"{where}: " if where else ""
            message = f"the secret {name} of {declared.manifest.id}: {told}{trouble.message}"
            raise ResolveError(_REASONS.get(trouble.reason, trouble.reason), message, trouble.hint) from None
    return Found(values, tuple(sorted(path for path, file in files.items() if not file.sealed)))


#: What a reason means among those of a service.
_REASONS = {
    "NoIdentity": "SecretNotForThisNode", "WrongMac": "SecretTampered", "WrongTag": "SecretTampered",
    "KeyNotFound": "SecretKeyNotFound", "NotAValue": "SecretNotAValue", "BrokenFile": "SecretFileBroken",
    "WrongStore": "SecretFileBroken", "NotSupported": "SecretNotSupported",
}  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class _File:
    """One file in plain text."""

    store: Store
    whole: bytes
    branches: Sequence[Branch]
    sealed: bool


def _open(path: str, identities: Callable[[], Sequence[str]]) -> _File:
    data = _read(path)
    store = store_of(path)
    if is_sealed(data, store):
        opened = open_file(data, store, identities(), os.urandom)
        return _File(store, opened.plain(), opened.branches, sealed=True)
    if other := next((each for each in STORES if each != store and is_sealed(data, each)), None):
        named = {"dotenv": ".env", "binary": "another ending"}.get(other, f".{other}")
        raise SopsTrouble(
            "WrongStore", f"it is a {other} file of SOPS, and its name says {store}", f"name it with {named}"
        )
    return _File(store, data, (), sealed=False)


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SopsTrouble("SecretFileNotFound", "it is no file")
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SopsTrouble(
            "SecretFileNotFound", "there is no such file", "create it, or change file:"
        ) from None
    except OSError as error:
        raise SopsTrouble("SecretFileUnreadable", f"it cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise SopsTrouble("BrokenFile", "it is larger than 1 MiB")
    return data


def _data(secret: Secret, file: _File | None) -> bytes:
    if secret.text is not None:
        return _text(secret.text, file).encode()
    assert file is not None
    if secret.key is None:
        return file.whole
    value = _value(file, secret.key)
    return value if isinstance(value, bytes) else value.encode()


def _checked(secret: Secret, data: bytes) -> bytes:
    """As a variable can have it, if it is one."""
    if secret.as_ == "file":
        return data
    data = data.removesuffix(b"\n") if secret.key is None and secret.text is None else data
    try:
        data.decode()
    except UnicodeDecodeError:
        raise SopsTrouble(
            "NotAValue", "it is no text, which a variable has to be", "write as: file"
        ) from None
    if b"\0" in data or len(data) > _LONGEST_VARIABLE:
        raise SopsTrouble("NotAValue", "no variable can have that: a NUL, or 128 KiB", "write as: file")
    return data


def _text(text: str, file: _File | None) -> str:
    if file is None:
        return text

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        found = _value(file, match[1])
        return found if isinstance(found, str) else as_text(found)

    return _REFERENCE.sub(value, text)


def _value(file: _File, key: str) -> str | bytes:
    if file.store == "dotenv":
        return _variable(file.whole, key)
    if file.store == "binary":
        raise SopsTrouble("KeyNotFound", "it has no keys", "leave key out, or name it .yaml, .json or .env")
    branches = file.branches if file.sealed else load(file.store, file.whole)
    for branch in branches[:-1]:
        try:
            return _scalar(find(branch, key))
        except SopsTrouble as trouble:
            if trouble.reason != "KeyNotFound":
                raise
    return _scalar(find(branches[-1] if branches else Branch(), key))


def _scalar(value: object) -> str | bytes:
    if isinstance(value, Branch | list):
        raise SopsTrouble("NotAValue", "it is a table or a list there, not a value", "name a key in it")
    return value if isinstance(value, bytes) else as_text(value)  # type: ignore[arg-type]


def _variable(whole: bytes, name: str) -> str:
    try:
        found = read_variables(whole.decode(), {}, literal=True).get(name)
    except (Unusable, UnicodeDecodeError) as error:
        where = error.message if isinstance(error, Unusable) else "it is no text"
        raise SopsTrouble("BrokenFile", where) from None
    if found is None:
        raise SopsTrouble("KeyNotFound", f"it has no {name}")
    return found


def _require_inside(path: str, declared: Declared, kind: SourceKind) -> None:
    """What others wrote may not have this machine's files read: only those beside it, or in its package."""
    if kind in ("config", "file"):
        return
    package = package_path(declared) if kind != "git" else None
    root = os.path.realpath(package or declared.within or declared.base)
    if not f"{os.path.realpath(path)}/".startswith(f"{root}/"):
        raise SopsTrouble(
            "SecretForbidden", f"it is outside of {root}", "put it beside the manifest, or into the package"
        )
