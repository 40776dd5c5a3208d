"""What a file says about itself under its key `sops`: for whom its data key is encrypted, its rule, its MAC.

Only age recipients count here. Keys of other kinds (PGP, the clouds') may stand beside them, and are told by
name where they are alone. Groups of keys, of which several are needed at a time, are not supported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.sops.rules import DEFAULT, Rule, read_rule
from manifests.sops.trouble import SopsTrouble

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "sops"
#: The SOPS whose format this is.
FORMAT = "3.9.0"
OTHERS = {
    "pgp": "PGP",
    "kms": "AWS KMS",
    "gcp_kms": "GCP KMS",
    "azure_kv": "Azure Key Vault",
    "hc_vault": "HashiCorp Vault",
    "hckms": "Huawei KMS",
}
_MODIFIED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_MOST_RECIPIENTS = 100


@dataclass(frozen=True, slots=True)
class Metadata:
    """`recipients`: each with the data key encrypted to it. `mac` is encrypted; `modified` is RFC 3339.

    `others` are names of kinds of keys that are there, too.
    """

    recipients: tuple[tuple[str, str], ...]
    modified: str
    mac: str
    rule: Rule = DEFAULT
    mac_only_encrypted: bool = False
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(recipient for recipient, _ in self.recipients)

    def to_plain(self) -> dict[str, Any]:
        """In SOPS' own order."""
        found: dict[str, Any] = {
            "age": [{"recipient": recipient, "enc": wrapped} for recipient, wrapped in self.recipients],
            "lastmodified": self.modified,
            "mac": self.mac,
            self.rule.kind: self.rule.pattern,
        }
        if self.mac_only_encrypted:
            found["mac_only_encrypted"] = True
        return {**found, "version": FORMAT}


def read_metadata(value: object) -> Metadata:
    """Raises SopsTrouble."""
    if not isinstance(value, dict):
        raise SopsTrouble("BrokenFile", "its key sops has not what SOPS writes there")
    recipients = tuple(_recipients(value.get("age")))
    others = tuple(name for key, name in OTHERS.items() if value.get(key))
    if value.get("key_groups"):
        raise SopsTrouble(
            "NotSupported", "its data key is split among key groups", "use one group, with age recipients"
        )
    if not recipients:
        by = " and ".join(others) or "nobody"
        raise SopsTrouble(
            "NotSupported", f"it is encrypted for {by}, and for no age recipient",
            "add this node's recipient of `atek key` with sops --add-age",
        )  # fmt: skip
    modified, mac = value.get("lastmodified"), value.get("mac")
    if not isinstance(modified, str) or not _MODIFIED.fullmatch(modified):
        raise SopsTrouble("BrokenFile", "its lastmodified is no time")
    if not isinstance(mac, str) or not mac:
        raise SopsTrouble("WrongMac", "it has no MAC", "encrypt it again")
    only = value.get("mac_only_encrypted") in (True, "true")
    return Metadata(recipients, modified, mac, read_rule(value) or DEFAULT, only, others)


def _recipients(value: object) -> list[tuple[str, str]]:
    if value in (None, [], ""):
        return []
    if not isinstance(value, list) or len(value) > _MOST_RECIPIENTS:
        raise SopsTrouble("BrokenFile", "its list of age recipients is none")
    found = []
    for each in value:
        recipient, wrapped = _texts(each)
        found.append((recipient, wrapped))
    return found


def _texts(each: Mapping[str, object] | object) -> tuple[str, str]:
    if isinstance(each, dict):
        recipient, wrapped = each.get("recipient"), each.get("enc")
        if isinstance(recipient, str) and isinstance(wrapped, str):
            return recipient, wrapped
    raise SopsTrouble("BrokenFile", "one of its age recipients is not whole")
