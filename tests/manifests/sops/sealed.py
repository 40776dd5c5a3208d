"""Files to try things on: an identity, its recipient, and short ways to seal and open."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from manifests.sops import age
from manifests.sops.document import Opened, load, open_file, seal
from manifests.sops.rules import DEFAULT

if TYPE_CHECKING:
    from manifests.sops.document import Store
    from manifests.sops.rules import Rule

MODIFIED = "2026-11-30T12:00:00Z"


@cache
def _made(name: str) -> str:
    return age.new_identity()


def identity(name: str = "own") -> str:
    """The same for the same name, as long as the tests run."""
    return _made(name)


def recipient(name: str = "own") -> str:
    return age.recipient_of(identity(name))


def sealed(
    store: Store,
    plain: bytes | str,
    *recipients: str,
    rule: Rule = DEFAULT,
    mac_only_encrypted: bool = False,
) -> bytes:
    data = plain.encode() if isinstance(plain, str) else plain
    return seal(
        store,
        load(store, data),
        recipients=recipients or (recipient(),),
        rule=rule,
        mac_only_encrypted=mac_only_encrypted,
        modified=MODIFIED,
        random=os.urandom,
    )


def opened(store: Store, data: bytes, name: str = "own") -> Opened:
    return open_file(data, store, [identity(name)], os.urandom)
