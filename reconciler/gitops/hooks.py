"""Hooks of Git servers: whose they are, by their signatures; and no more of them than are of any use. Pure.

    GitHub            X-Hub-Signature-256: sha256=<hex of HMAC-SHA256 of the body>
    Forgejo, Gitea    X-Forgejo-Signature, X-Gitea-Signature: <hex of the same>
    GitLab            webhook-signature: v1,<base64 of HMAC-SHA256 of id.timestamp.body> (Standard Webhooks)
                      X-Gitlab-Token: the secret itself

What a hook says is not read: it rings, and the source looks by itself. So a repeated one could do no harm but
work, and is not worth any.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.gitops.port import Hooked

#: Seconds that the clocks of a server and of this machine may differ, where a hook says when it was sent.
TOLERANCE = 300.0
#: So many hooks at once, and then one in so many seconds.
BURST, EVERY = 10.0, 2.0
#: Hooks that are known again.
_REMEMBERED = 1000
_LONGEST = 256


def is_signed(headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> bool:
    """Whether whoever sent it has the secret. `headers` are in small letters; compares in constant time."""
    if not secret:
        return False
    if "webhook-signature" in headers:
        return _standard(headers, body, secret, now)
    wanted = hmac.digest(secret, body, "sha256").hex()
    for name in ("x-hub-signature-256", "x-forgejo-signature", "x-gitea-signature"):
        if name in headers:
            return _equal(headers[name].removeprefix("sha256=").lower(), wanted.encode())
    return _equal(headers.get("x-gitlab-token", ""), secret)


def _standard(headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> bool:
    sent, hook_id = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not (sent.isascii() and sent.isdecimal() and len(sent) < 12 and abs(now - int(sent)) <= TOLERANCE):
        return False
    signed = f"{hook_id}.{sent}.".encode("utf-8", "replace") + body
    wanted = b"v1," + base64.b64encode(hmac.digest(_key(secret), signed, "sha256"))
    # A server that changes its secret signs with both for a while.
    same = [_equal(each, wanted) for each in headers["webhook-signature"].split(" ")[:8]]
    return True in same


def _key(secret: bytes) -> bytes:
    """Secrets of Standard Webhooks are written in base64 behind a prefix."""
    if not secret.startswith(b"whsec_"):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    except binascii.Error:
        return secret


def _equal(given: str, wanted: bytes) -> bool:
    return hmac.compare_digest(given[:_LONGEST].encode("utf-8", "replace"), wanted)


class Bell:
    """The hooks of one source: those that are signed, new, and not too many. Knows no clock but the given."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._left, self._at = BURST, float("-inf")

    def hear(self, headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> Hooked:
        """What becomes of one. Nothing is remembered of what is not signed."""
        if not is_signed(headers, body, secret, now):
            return "Unsigned"
        if self._is_known(headers, body):
            return "Repeated"
        # A clock that was put back gives nothing away, and keeps nobody waiting for long.
        self._left = min(BURST, self._left + max(0.0, now - self._at) / EVERY)
        self._at = now
        if self._left < 1:
            return "TooOften"
        self._left -= 1
        return "Rung"

    def _is_known(self, headers: Mapping[str, str], body: bytes) -> bool:
        names = (
            "x-github-delivery",
            "x-forgejo-delivery",
            "x-gitea-delivery",
            "webhook-id",
            "x-gitlab-event-uuid",
        )
        said = [headers.get(name, "") for name in names]
        # A plain token is the same for each hook, and GitLab's bodies may be too.
        if not any(said) and "x-gitlab-token" in headers:
            return False
        key = sha256("\0".join(said).encode("utf-8", "replace") + b"\0" + sha256(body).digest()).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return True
        self._known[key] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return False
