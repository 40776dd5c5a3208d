"""`atek secret`: files of SOPS, made, edited and given to others. `sops` reads them, and they may lie in Git.

What is encrypted here is decrypted with the node's own identity, or with those that `sops` would find:
`SOPS_AGE_KEY`, `SOPS_AGE_KEY_FILE`, `~/.config/sops/age/keys.txt`.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.files import write_atomically
from manifests.sops import age, creation
from manifests.sops import document as sops
from manifests.sops.rules import Rule
from manifests.sops.trouble import SopsTrouble
from reconciler.cli.output import clean
from reconciler.errors import UserError
from reconciler.state.age_key import ensure_identity, read_identity, recipient

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from manifests.sops.creation import Creation
    from manifests.sops.document import Opened, Store
    from manifests.sops.tree import Branch


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError, with the file as it was."""
    keep_to_itself()
    commands: dict[str, Callable[[argparse.Namespace], int]] = {"seal": seal, "edit": edit, "rotate": rotate}
    try:
        return commands[arguments.secret_command](arguments)
    except SopsTrouble as trouble:
        where = "" if arguments.file == "-" else f"{arguments.file}: "
        raise UserError(clean(f"{where}{trouble.message}"), hint=clean(trouble.hint)) from None
    except OSError as error:
        raise UserError(f"{error.filename or arguments.file}: {error.strerror or error}") from error


def seal(arguments: argparse.Namespace) -> int:
    """A plain file becomes an encrypted one, in its place; or stdin does, on stdout."""
    if arguments.file == "-":
        name = Path(arguments.output or f"stdin.{_SUFFIX.get(arguments.type or 'yaml', 'bin')}")
        data = sys.stdin.buffer.read(sops.MAX_BYTES + 1)
    else:
        name = Path(arguments.output or arguments.file)
        data = Path(arguments.file).read_bytes()
    store: Store = arguments.type or sops.store_of(name.name)
    if sops.is_sealed(data, store):
        raise SopsTrouble("AlreadyEncrypted", "it is encrypted already", "`atek secret edit` changes it")
    made = _how(arguments, name)
    sealed = sops.seal(
        store, sops.load(store, data),
        recipients=made.recipients, rule=made.rule, mac_only_encrypted=made.mac_only_encrypted,
        modified=_now(), random=os.urandom,
    )  # fmt: skip
    if arguments.file == "-" and not arguments.output:
        sys.stdout.buffer.write(sealed)
        return 0
    write_atomically(name, sealed, mode=_mode(Path(arguments.file)))
    _print(name, "encrypted for", made.recipients)
    return 0


def rotate(arguments: argparse.Namespace) -> int:
    """A new data key, for the recipients of before and now."""
    file = Path(arguments.file)
    before = file.read_bytes()
    opened = _open(arguments.home, before, sops.store_of(file.name))
    _refuse_others(opened)
    for each in arguments.add:
        age.check_recipient(each)
    if missing := [each for each in arguments.remove if each not in opened.metadata.names]:
        raise SopsTrouble("BadRecipient", f"it is not for {missing[0]}")
    recipients = [*opened.metadata.names, *arguments.add]
    if not (arguments.add or arguments.remove) and (config := _config(file)) is not None:
        recipients = list(_chosen(config, file).recipients)
    recipients = [each for each in dict.fromkeys(recipients) if each not in arguments.remove]
    sealed = sops.seal(
        opened.store, opened.branches,
        recipients=recipients, rule=opened.metadata.rule,
        mac_only_encrypted=opened.metadata.mac_only_encrypted, modified=_now(), random=os.urandom,
    )  # fmt: skip
    _replace(file, before, sealed)
    _print(file, "has a new key, for", recipients)
    if lost := [each for each in opened.metadata.names if each not in recipients]:
        print(f"{', '.join(lost)} could read it until now: change the secrets themselves", file=sys.stderr)
    return 0


def edit(arguments: argparse.Namespace) -> int:
    """The plain text in an editor, in memory; written back encrypted, where it was changed."""
    from reconciler.cli.secret_edit import edited

    file = Path(arguments.file)
    store = sops.store_of(file.name)
    before = file.read_bytes() if file.exists() else None
    if before is None:
        made = _how(arguments, file)

        def encrypt(branches: list[Branch]) -> bytes:
            return sops.seal(
                store, branches,
                recipients=made.recipients, rule=made.rule, mac_only_encrypted=made.mac_only_encrypted,
                modified=_now(), random=os.urandom,
            )  # fmt: skip

        plain = b""
    else:
        opened = _open(arguments.home, before, store)
        _refuse_others(opened)

        def encrypt(branches: list[Branch]) -> bytes:
            return sops.seal_again(opened, branches, _now())

        plain = opened.plain()
    sealed = edited(plain, file.name, lambda text: encrypt(sops.load(store, text)))
    if sealed is None:
        print(f"{file} unchanged")
        return 0
    _replace(file, before, sealed)
    print(f"{file} encrypted")
    return 0


def keep_to_itself() -> None:
    """No core dump of this process, and no other of this user may look into it."""
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


#: prctl(2).
_PR_SET_DUMPABLE = 4
_SUFFIX = {"yaml": "yaml", "json": "json", "dotenv": "env", "ini": "ini"}


def _open(home: Path, data: bytes, store: Store) -> Opened:
    return sops.open_file(data, store, _identities(home), os.urandom)


def _identities(home: Path) -> list[str]:
    """The node's own, and those of the person."""
    own = read_identity(home)
    texts = [os.environ.get("SOPS_AGE_KEY", "")]
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for file in (os.environ.get("SOPS_AGE_KEY_FILE"), os.path.join(config, "sops/age/keys.txt")):
        if file and os.path.isfile(file):
            texts.append(Path(file).read_text("utf-8", "replace"))
    lines = (line.strip() for text in texts for line in text.splitlines())
    found = [line for line in lines if line.startswith("AGE-SECRET-KEY-1") and age.is_identity(line)]
    return [*([own] if own else []), *found] or [ensure_identity(home)]


def _how(arguments: argparse.Namespace, file: Path) -> Creation:
    """As `.sops.yaml` says; without one, for this node."""
    config = _config(file)
    made = _chosen(config, file) if config else creation.Creation((recipient(arguments.home),))
    for each in arguments.to:
        age.check_recipient(each)
    rule = Rule("encrypted_regex", arguments.regex) if arguments.regex else made.rule
    recipients = tuple(dict.fromkeys((*made.recipients, *arguments.to)))
    return creation.Creation(recipients, rule, made.mac_only_encrypted)


def _config(file: Path) -> Path | None:
    """The nearest, from the file's own folder upwards."""
    folder = Path(os.path.abspath(file)).parent
    candidates = (each / creation.NAME for each in (folder, *folder.parents))
    return next((each for each in candidates if each.is_file()), None)


def _chosen(config: Path, file: Path) -> Creation:
    path = os.path.relpath(os.path.abspath(file), config.parent)
    return creation.choose(config.read_text("utf-8"), path)


def _refuse_others(opened: Opened) -> None:
    if opened.metadata.others:
        names = " and ".join(opened.metadata.others)
        raise SopsTrouble("NotSupported", f"it is for {names}, too, which only sops keeps", "use sops itself")


def _replace(file: Path, before: bytes | None, sealed: bytes) -> None:
    if (file.read_bytes() if file.exists() else None) != before:
        raise SopsTrouble("Changed", "it was changed by somebody else meanwhile", "try again")
    write_atomically(file, sealed, mode=_mode(file))


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o644


def _print(file: Path, what: str, recipients: list[str] | tuple[str, ...]) -> None:
    print(f"{file} {what} {', '.join(map(clean, recipients))}")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
