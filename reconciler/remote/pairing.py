"""How a device and a home that know one code prove it to each other, and remember each other's keys. Pure.

    secret                      128 random bits, in the code that the home shows for 120 seconds
    seed = H("meet", secret)    both make the key pair R of it; the home listens with R on the DHT
    device ─► home   Noise IK to R, with the device's own key D: each proves that it has its private key
    device ─► home   {"proof": MAC(secret, "device", D), "name"}
    home ─► device   {"proof": MAC(secret, "home", D, T), "key": T, "name"}   T: its lasting tunnel key

Why each part is there:

- R can only be proven by who knows the secret, so the device talks to the home; nobody sits between them.
- R's public half is seen by nodes of the DHT, and whoever sees it may connect. So the device proves the
  secret too. That proof is bound to D, which the handshake proved: seen or stolen, it pairs nobody else.
- The home's proof binds T to this pairing: what the device remembers came from who knows the secret.
- Nothing can be tried off line: what is on the wire is encrypted for R, and 128 bits are not guessed. On line
  a home gives a code up after `MOST_WRONG` wrong proofs, so that a person looks, and after one right one.
- A replay of all that a device said meets a key that listens no more; a new code is another R.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Any, Literal

#: Seconds for which a code is good, and wrong proofs that it stands.
GOOD_FOR, MOST_WRONG = 120.0, 5
#: Of a name that a device gives itself.
_LONGEST_NAME = 40
_KEY_DIGITS = 64

State = Literal["open", "used", "void"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A code that was shown. `until` is by the clock that `answer` is told."""

    secret: bytes
    until: float
    wrong: int = 0
    state: State = "open"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A device that proved the code: its key, and what it calls itself."""

    key: str
    name: str


def seed_of(secret: bytes) -> str:
    """What both make the meeting's key pair of, in hex digits."""
    return hashlib.sha256(b"atek pair v1 meet" + secret).hexdigest()


def request_of(secret: bytes, device: str, name: str) -> dict[str, Any]:
    """What the device with that key says."""
    return {"proof": _proof(secret, "device", device), "name": name}


def answer(offer: Offer, device: str, said: object, now: float) -> tuple[Offer, Newcomer | None]:
    """What becomes of a code when a device (its key was proven) says something; who it is, if it may come."""
    if offer.state != "open" or now >= offer.until:
        return offer, None
    proof, name = (said.get("proof"), said.get("name")) if isinstance(said, dict) else (None, None)
    if isinstance(proof, str) and _same(proof, _proof(offer.secret, "device", device)):
        return replace(offer, state="used"), Newcomer(device, clean_name(name))
    wrong = offer.wrong + 1
    return replace(offer, wrong=wrong, state="void" if wrong >= MOST_WRONG else "open"), None


def welcome(secret: bytes, device: str, tunnel_key: str, home: str) -> dict[str, Any]:
    """What the home says to the device that it has paired."""
    return {"proof": _proof(secret, "home", device, tunnel_key), "key": tunnel_key, "name": home}


def understand_welcome(secret: bytes, device: str, said: object) -> tuple[str, str] | None:
    """The home's tunnel key and name; None where it has not proven the code."""
    if not isinstance(said, dict):
        return None
    proof, key = said.get("proof"), said.get("key")
    if not (isinstance(proof, str) and isinstance(key, str) and _is_key(key)):
        return None
    return (key, clean_name(said.get("name"))) if _same(proof, _proof(secret, "home", device, key)) else None


def clean_name(name: object) -> str:
    """A name as far as it can be shown: small letters, digits and -; "device" without any."""
    text = name if isinstance(name, str) else ""
    kept = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in text.lower())
    return "-".join(part for part in kept.split("-") if part)[:_LONGEST_NAME].strip("-") or "device"


def _proof(secret: bytes, *words: str) -> str:
    return hmac.new(secret, "\0".join(("atek pair v1", *words)).encode(), hashlib.sha256).hexdigest()


def _same(proof: str, wanted: str) -> bool:
    return hmac.compare_digest(proof.encode("utf-8", "replace"), wanted.encode())


def _is_key(text: str) -> bool:
    return len(text) == _KEY_DIGITS and set(text) <= set("0123456789abcdef")
