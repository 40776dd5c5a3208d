"""The data key, encrypted to recipients by age. Identities and recipients are the texts that age writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.sops.trouble import SopsTrouble

if TYPE_CHECKING:
    from collections.abc import Iterable

_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")


def new_identity() -> str:
    """A new secret key: `AGE-SECRET-KEY-1…`."""
    import pyrage

    return str(pyrage.x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """The public key that belongs to it: `age1…`. Raises ValueError for what is no identity."""
    return str(_identity(identity).to_public())


def is_identity(text: str) -> bool:
    """Whether it is one of this kind."""
    try:
        return bool(_identity(text))
    except ValueError:
        return False


def wrap(key: bytes, recipient: str) -> str:
    """Armored, as it stands in files. Raises SopsTrouble for what is no recipient."""
    import pyrage

    try:
        return bytes(pyrage.encrypt(key, [_recipient(recipient)], armored=True)).decode()
    except (pyrage.RecipientError, pyrage.EncryptError) as error:
        raise SopsTrouble("BadRecipient", f"nothing can be encrypted for {recipient[:80]}: {error}") from None


def unwrap(wrapped: str, identities: Iterable[str]) -> bytes | None:
    """The data key; None when it is for none of these, or damaged."""
    import pyrage

    try:
        return bytes(pyrage.decrypt(wrapped.strip().encode(), [_identity(each) for each in identities]))
    except (pyrage.DecryptError, ValueError):
        return None


def check_recipient(text: str) -> str:
    """The text itself. Raises SopsTrouble with what is meant."""
    wrap(b"", text)
    return text


def _recipient(text: str) -> Any:
    import pyrage

    if text.startswith("ssh-"):
        return pyrage.ssh.Recipient.from_str(text)
    if not _RECIPIENT.fullmatch(text):
        raise SopsTrouble(
            "BadRecipient", f"{text[:80]!r} is no recipient", "like age1… of `atek key` or `age-keygen -y`"
        )
    return pyrage.x25519.Recipient.from_str(text)


def _identity(text: str) -> Any:
    import pyrage

    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise ValueError("this is no age identity") from None
