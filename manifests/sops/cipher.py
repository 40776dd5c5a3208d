"""One value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

The additional data is the value's place, so that a value which is moved cannot be decrypted there. An empty
text stays empty. The same value at the same place keeps its nonce while the key is the same: what did not
change in an edited file does not change in Git (equal text under an equal nonce says nothing but that).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from manifests.sops.tree import Comment, Scalar, to_bytes
from manifests.sops.trouble import SopsTrouble

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_BYTES = 32
_NONCE_BYTES = 32
_TAG_BYTES = 16
_ENCRYPTED = re.compile(
    r"ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z0-9]+)\]"
)
_INT = re.compile(r"[-+]?[0-9]{1,30}")
_FLOAT = re.compile(r"[-+]?([0-9]{1,400}(\.[0-9]{0,400})?([eE][-+]?[0-9]{1,3})?|\.[0-9]{1,400}|Inf|NaN)")


def is_encrypted(value: object) -> bool:
    return isinstance(value, str) and value.startswith("ENC[AES256_GCM,")


class Cipher:
    """Values under one data key. `random` gives as many bytes as it is asked for."""

    def __init__(self, key: bytes, random: Callable[[int], bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(key) != KEY_BYTES:
            raise SopsTrouble("BrokenFile", "its data key has not 32 bytes")
        self._gcm = AESGCM(key)
        self._random = random
        self._nonces: dict[tuple[bytes, str, bytes], bytes] = {}

    def decrypt(self, text: str, place: bytes) -> Scalar | Comment:
        """Raises SopsTrouble: WrongTag for what was not encrypted with this key for this place."""
        from cryptography.exceptions import InvalidTag

        if not text:
            return ""
        match = _ENCRYPTED.fullmatch(text)
        if match is None:
            raise SopsTrouble("WrongTag", "it is not encrypted, or not whole")
        try:
            data, nonce, tag = (b64decode(part, validate=True) for part in match.groups()[:3])
            if len(tag) != _TAG_BYTES:
                raise SopsTrouble("WrongTag", "its tag is not whole")
            plain = self._gcm.decrypt(nonce, data + tag, place)
        except (InvalidTag, binascii.Error, ValueError, OverflowError):
            raise SopsTrouble(
                "WrongTag", "it was changed since it was encrypted, or is not at its place"
            ) from None
        value = _read(match[4], plain)
        self._nonces[place, match[4], plain] = nonce
        return value

    def encrypt(self, value: Scalar | Comment, place: bytes) -> str:
        """Raises SopsTrouble for null."""
        kind = _kind(value)
        plain = value.text.encode() if isinstance(value, Comment) else to_bytes(value)
        if not plain:
            return ""
        nonce = self._nonces.get((place, kind, plain)) or self._random(_NONCE_BYTES)
        sealed = self._gcm.encrypt(nonce, plain, place)
        data, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        parts = (b64encode(part).decode() for part in (data, nonce, tag))
        return "ENC[AES256_GCM,data:{},iv:{},tag:{},type:{}]".format(*parts, kind)


def place(path: tuple[str, ...]) -> bytes:
    """Where a value is, for all who encrypt it: its keys, each with a colon behind."""
    return (":".join(path) + ":").encode()


def _kind(value: Scalar | Comment) -> str:
    match value:
        case Comment():
            return "comment"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
    # Whole files are text to SOPS, whatever bytes they have.
    return "str"


def _read(kind: str, plain: bytes) -> Scalar | Comment:
    if kind == "bytes":
        return plain
    try:
        text = plain.decode()
    except UnicodeDecodeError:
        if kind == "str":
            return plain
        raise SopsTrouble("BrokenFile", f"a value of type {kind} has bytes that it cannot have") from None
    match kind:
        # A time is kept as its text.
        case "str" | "time":
            return text
        case "comment":
            return Comment(text)
        case "bool" if text in ("True", "true", "TRUE", "t", "T", "1"):
            return True
        case "bool" if text in ("False", "false", "FALSE", "f", "F", "0"):
            return False
        case "int" | "int64" if _INT.fullmatch(text):
            return int(text)
        case "float" if _FLOAT.fullmatch(text):
            return float(text)
    raise SopsTrouble("BrokenFile", f"a value says that it is of type {kind}, which it is not")
