"""A whole file: opened with the identities that one has, or sealed for recipients."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from manifests.sops import age, dotenv_store, flat, ini_store, json_store
from manifests.sops.cipher import KEY_BYTES, Cipher, is_encrypted, place
from manifests.sops.metadata import KEY, Metadata, read_metadata
from manifests.sops.tree import Branch, Comment, Item, Scalar, to_bytes, walk
from manifests.sops.trouble import SopsTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from manifests.sops.rules import Rule
    from manifests.sops.tree import Above, Path

Store = Literal["yaml", "json", "dotenv", "ini", "binary"]
STORES: tuple[Store, ...] = get_args(Store)
MAX_BYTES = 1 << 20
_SUFFIXES: dict[str, Store] = {
    ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini",
}  # fmt: skip
#: A MAC of the encrypted values alone is never that of all values: it begins with the digest of "sops".
_ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()


def store_of(name: str) -> Store:
    """By the end of a file's name, as SOPS tells; what is nothing else is a binary file."""
    name = name.lower()
    return next((store for suffix, store in _SUFFIXES.items() if name.endswith(suffix)), "binary")


@dataclass(frozen=True, slots=True)
class Opened:
    """A file in plain text. `cipher` has its data key and the nonces of its values."""

    store: Store
    branches: list[Branch]
    metadata: Metadata
    cipher: Cipher

    def plain(self) -> bytes:
        """The file as it would be without encryption."""
        return emit(self.store, self.branches)


def is_sealed(data: bytes, store: Store) -> bool:
    """Whether it is a file of SOPS, as far as one can tell without any key. Never raises.

    A file that cannot be read as its kind is none.
    """
    if b"sops" not in data or len(data) > MAX_BYTES:
        return False
    try:
        _, metadata = _load_sealed(data, store)
    except SopsTrouble:
        return False
    return metadata is not None


def load(store: Store, data: bytes) -> list[Branch]:
    """A person's plain file. Raises SopsTrouble."""
    if store == "binary":
        return [json_store.wrap(data)]
    text = _decoded(data)
    match store:
        case "yaml":
            # PyYAML takes its time; not everybody has such a file.
            from manifests.sops import yaml_store

            return yaml_store.load(text, written=True)
        case "json":
            return [json_store.load(text)]
        case "dotenv":
            return [dotenv_store.load(text)]
    return [ini_store.load(text)]


def emit(store: Store, branches: list[Branch]) -> bytes:
    """Raises SopsTrouble for what such a file cannot have."""
    match store:
        case "yaml":
            from manifests.sops import yaml_store

            return yaml_store.emit(branches).encode()
        case "json":
            return json_store.emit(branches[0]).encode()
        case "dotenv":
            return dotenv_store.emit(branches[0]).encode()
        case "ini":
            return ini_store.emit(branches[0]).encode()
    return json_store.unwrap(branches[0])


def read_sealed(data: bytes, store: Store) -> tuple[list[Branch], Metadata]:
    """What stands in a file for everybody to see. Raises SopsTrouble."""
    branches, metadata = _load_sealed(data, store)
    if metadata is None:
        raise SopsTrouble("NotEncrypted", "it is not encrypted", "`atek secret seal` encrypts it")
    return branches, read_metadata(metadata)


def open_file(data: bytes, store: Store, identities: Sequence[str], random: Callable[[int], bytes]) -> Opened:
    """Raises SopsTrouble, whose words have nothing of what the file keeps."""
    sealed, metadata = read_sealed(data, store)
    cipher = Cipher(_data_key(metadata, identities), random)
    digest = _Digest(metadata.mac_only_encrypted)

    def leaf(value: Scalar | Comment, path: Path, above: Above) -> Scalar | Comment:
        encrypted = metadata.rule.encrypts(path, above, is_comment=isinstance(value, Comment))
        if isinstance(value, Comment):
            return _comment(cipher, value, path) if encrypted else value
        plain = _decrypted(cipher, value, path) if encrypted else value
        if isinstance(plain, Comment):
            raise SopsTrouble("WrongTag", f"{_shown(path)} is a comment, and none belongs there")
        digest.add(plain, encrypted=encrypted)
        return plain

    opened = [walk(branch, leaf) for branch in sealed]
    _verify(metadata, digest, cipher)
    return Opened(store, opened, metadata, cipher)


def seal(
    store: Store,
    branches: list[Branch],
    *,
    recipients: Sequence[str],
    rule: Rule,
    mac_only_encrypted: bool,
    modified: str,
    random: Callable[[int], bytes],
) -> bytes:
    """A new file under a new data key. `modified` is RFC 3339, in UTC. Raises SopsTrouble."""
    if not recipients:
        raise SopsTrouble("NoRecipients", "it would be for nobody")
    key = random(KEY_BYTES)
    wrapped = tuple((each, age.wrap(key, each)) for each in dict.fromkeys(recipients))
    metadata = Metadata(wrapped, modified, "", rule, mac_only_encrypted)
    return _sealed(store, branches, metadata, Cipher(key, random))


def seal_again(opened: Opened, branches: list[Branch], modified: str) -> bytes:
    """The same file with other content, under its own key: what did not change stays as it was written."""
    metadata = replace(opened.metadata, modified=modified)
    if metadata.others:
        others = " and ".join(metadata.others)
        raise SopsTrouble(
            "NotSupported", f"it is for {others}, too, which could not read it any more", "use sops itself"
        )
    return _sealed(opened.store, branches, metadata, opened.cipher)


def _sealed(store: Store, branches: list[Branch], metadata: Metadata, cipher: Cipher) -> bytes:
    digest = _Digest(metadata.mac_only_encrypted)

    def leaf(value: Scalar | Comment, path: Path, above: Above) -> Scalar | Comment:
        encrypted = metadata.rule.encrypts(path, above, is_comment=isinstance(value, Comment))
        if not isinstance(value, Comment):
            digest.add(value, encrypted=encrypted)
        return cipher.encrypt(value, place(path)) if encrypted else value

    _refuse_sealed(store, branches)
    sealed = [walk(branch, leaf) for branch in branches]
    mac = cipher.encrypt(digest.text(), metadata.modified.encode())
    return _emit_sealed(store, sealed, replace(metadata, mac=mac).to_plain())


class _Digest:
    """Of all values, in their order."""

    def __init__(self, only_encrypted: bool) -> None:
        self._only_encrypted = only_encrypted
        self._hash = hashlib.sha512(_ONLY_ENCRYPTED if only_encrypted else b"")

    def add(self, value: Scalar, *, encrypted: bool) -> None:
        if encrypted or not self._only_encrypted:
            self._hash.update(to_bytes(value))

    def text(self) -> str:
        return self._hash.hexdigest().upper()


def _data_key(metadata: Metadata, identities: Sequence[str]) -> bytes:
    try:
        own = {age.recipient_of(identity) for identity in identities}
    except ValueError:
        raise SopsTrouble("NoIdentity", "one of the identities that there are is none of age") from None
    # Those that are for one of these come first; others may be for it under another spelling.
    for _, wrapped in sorted(metadata.recipients, key=lambda each: each[0] not in own):
        if (key := age.unwrap(wrapped, identities)) is not None:
            return key
    if own & set(metadata.names):
        raise SopsTrouble("WrongTag", "its data key for this node is damaged", "encrypt it again")
    raise SopsTrouble(
        "NoIdentity",
        f"it is for {', '.join(metadata.names)}, and not for {', '.join(sorted(own)) or 'this node'}",
        f"who can read it runs `atek secret rotate --add {next(iter(sorted(own)), 'age1…')}`",
    )


def _decrypted(cipher: Cipher, value: Scalar, path: Path) -> Scalar | Comment:
    if not isinstance(value, str):
        raise SopsTrouble("WrongTag", f"{_shown(path)} is not encrypted, and should be")
    try:
        return cipher.decrypt(value, place(path))
    except SopsTrouble as trouble:
        raise SopsTrouble(trouble.reason, f"{_shown(path)}: {trouble.message}", trouble.hint) from None


def _comment(cipher: Cipher, comment: Comment, path: Path) -> Comment:
    """Whoever wrote it may have had another idea of which table it belongs to: no MAC has it either."""
    if not is_encrypted(comment.text):
        return comment
    for length in range(len(path), -1, -1):
        try:
            found = cipher.decrypt(comment.text, place(path[:length]))
        except SopsTrouble:
            continue
        return found if isinstance(found, Comment) else comment
    return comment


def _verify(metadata: Metadata, digest: _Digest, cipher: Cipher) -> None:
    changed = "it was changed since it was encrypted: its MAC is another"
    hint = "bring it back from its history, or decrypt it with sops --ignore-mac and look at it"
    try:
        mac = cipher.decrypt(metadata.mac, metadata.modified.encode())
    except SopsTrouble:
        raise SopsTrouble("WrongMac", changed, hint) from None
    if not isinstance(mac, str) or not hmac.compare_digest(mac.encode(), digest.text().encode()):
        raise SopsTrouble("WrongMac", changed, hint)


def _shown(path: Path) -> str:
    return ".".join(path)[:200] or "its top"


def _decoded(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise SopsTrouble("BrokenFile", "it is larger than 1 MiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SopsTrouble("BrokenFile", "it is no text in UTF-8") from None


def _load_sealed(data: bytes, store: Store) -> tuple[list[Branch], Any]:
    """The trees without their metadata, and that; None where there is none."""
    text = _decoded(data)
    match store:
        case "yaml":
            from manifests.sops import yaml_store

            branches = yaml_store.load(text, written=False)
        case "json" | "binary":
            branches = [json_store.load(text)]
        case "ini":
            branches = [ini_store.load(text)]
        case "dotenv":
            return _dotenv(dotenv_store.load(text))
    found = branches[0].get(KEY) if branches else None
    for branch in branches:
        branch.items = [each for each in branch.items if not (isinstance(each, Item) and each.key == KEY)]
    if found is None:
        return branches, None
    from manifests.sops import yaml_store

    metadata = yaml_store.plain(found.value)
    if store == "ini" and isinstance(metadata, dict):
        metadata = flat.unflatten(metadata)
    return branches, metadata


def _dotenv(branch: Branch) -> tuple[list[Branch], Any]:
    kept, metadata = Branch(), {}
    for each in branch.items:
        if isinstance(each, Item) and each.key.startswith(dotenv_store.PREFIX):
            metadata[each.key.removeprefix(dotenv_store.PREFIX)] = str(each.value)
        else:
            kept.items.append(each)
    return [kept], flat.unflatten(metadata) if metadata else None


def _refuse_sealed(store: Store, branches: list[Branch]) -> None:
    for branch in branches:
        keys = [each.key for each in branch.items if isinstance(each, Item)]
        own = [k for k in keys if (k.startswith(dotenv_store.PREFIX) if store == "dotenv" else k == KEY)]
        if own:
            raise SopsTrouble("AlreadyEncrypted", f"it has {own[0]} already", "`atek secret edit` changes it")
    if not branches:
        raise SopsTrouble("BrokenFile", "it is empty")


def _emit_sealed(store: Store, branches: list[Branch], metadata: dict[str, Any]) -> bytes:
    match store:
        case "dotenv":
            lines = flat.flatten(metadata).items()
            text = "".join(f"{dotenv_store.PREFIX}{key}={value}\n" for key, value in lines)
            return (dotenv_store.emit(branches[0]) + text).encode()
        case "ini":
            inner = Branch([Item(key, value) for key, value in flat.flatten(metadata).items()])
            return ini_store.emit(Branch([*branches[0].items, Item(KEY, inner)])).encode()
    tree = _tree(metadata)
    whole = [Branch([*branch.items, Item(KEY, tree)]) for branch in branches]
    return emit("json" if store == "binary" else store, whole)


def _tree(value: Any) -> Any:
    if isinstance(value, dict):
        return Branch([Item(key, _tree(item)) for key, item in value.items()])
    return [_tree(item) for item in value] if isinstance(value, list) else value
