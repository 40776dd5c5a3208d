"""A pairing code as people see it: a secret, and where the two can meet. Pure.

    K7QF-2M9X-…-0ZRT@10.0.0.7:49737   28 characters of Crockford's base 32, then nodes of a private DHT
    K7QF-2M9X-…-0ZRT@public            the same, where they meet on the public one

The secret has 128 random bits: nobody guesses it, on line or off, whatever of the meeting is seen by others.
The last eight bits are a checksum, so that a slip of the pen is told at once instead of found nowhere.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

#: Bytes of the secret.
SECRET = 16
PUBLIC = "public"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 28
_GROUP = 4
#: What is read as what it looks like.
_ALIKE = str.maketrans("ILOU", "110V")
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
_MOST_ADDRESSES = 8


class BadCode(ValueError):
    """It is no code; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Code:
    """`bootstrap` are "host:port" of nodes of a private DHT; empty for the public one."""

    secret: bytes = field(repr=False)
    bootstrap: tuple[str, ...] = ()


def format_code(code: Code) -> str:
    """As it is shown, and as `parse_code` reads it."""
    number = int.from_bytes(code.secret + _checksum(code.secret), "big")
    text = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
    groups = "-".join(text[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))
    return f"{groups}@{','.join(code.bootstrap) or PUBLIC}"


def parse_code(text: str) -> Code:
    """The code that somebody typed or scanned. Raises BadCode."""
    letters, at, where = text.strip().partition("@")
    if not at:
        raise BadCode("it has no @ with where to meet")
    return Code(_secret(letters), _bootstrap(where))


def looks_like_code(text: str) -> bool:
    """Whether somebody means a code, and not the name of a home."""
    return "@" in text


def _secret(letters: str) -> bytes:
    letters = re.sub(r"[\s-]", "", letters).upper().translate(_ALIKE)
    if len(letters) != _LENGTH or not set(letters) <= set(_ALPHABET):
        raise BadCode(f"it has {_LENGTH} letters and digits before the @")
    number = 0
    for letter in letters:
        number = number << 5 | _ALPHABET.index(letter)
    if number >> 8 * (SECRET + 1):
        raise BadCode("a letter of it is wrong")
    whole = number.to_bytes(SECRET + 1, "big")
    if whole[SECRET:] != _checksum(whole[:SECRET]):
        raise BadCode("a letter of it is wrong")
    return whole[:SECRET]


def _bootstrap(where: str) -> tuple[str, ...]:
    if where == PUBLIC:
        return ()
    addresses = tuple(where.split(","))
    if len(addresses) > _MOST_ADDRESSES or not all(map(_is_address, addresses)):
        raise BadCode(f"after the @ there are addresses, like 10.0.0.7:49737, or {PUBLIC}")
    return addresses


def _is_address(text: str) -> bool:
    return bool(_ADDRESS.fullmatch(text)) and 0 < int(text.rpartition(":")[2]) <= 65535


def _checksum(secret: bytes) -> bytes:
    return hashlib.sha256(b"atek pair checksum" + secret).digest()[:1]
