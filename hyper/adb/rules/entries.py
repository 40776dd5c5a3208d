"""What the server database says about a database: whose it is, who reads it, what its records are. Pure.

An entry is the record `atek.cloud/database/<dbId>`, laid out as the original's table, and `schemas`, which is
ours: JSON Schemas by the path whose records they are for. Members that are unknown here are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASES = ("atek.cloud", "database")
USERS = ("atek.cloud", "user")
PRIVATE, PUBLIC = "private", "public"


@dataclass(frozen=True, slots=True)
class Owner:
    """Both of them: a service has nothing that it made for another user."""

    user: str = ""
    service: str = ""

    def to_json(self) -> dict[str, str]:
        pairs = (("userKey", self.user), ("serviceKey", self.service))
        return {name: key for name, key in pairs if key}


@dataclass(frozen=True, slots=True)
class Entry:
    """One database of the table. Anything but `public` is private."""

    db_id: str
    owner: Owner = Owner()
    alias: str = ""
    access: str = PRIVATE
    created_at: str = ""
    writable: bool = False
    schemas: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def public(self) -> bool:
        return self.access == PUBLIC

    def to_record(self) -> dict[str, Any]:
        """The value that `entry_of` reads back."""
        meta = _table(self.others.get("cachedMeta"))
        return {
            **self.others,
            "dbId": self.db_id,
            "owner": self.owner.to_json(),
            "cachedMeta": {**meta, "writable": self.writable},
            "access": self.access,
            "createdAt": self.created_at,
            **({"alias": self.alias} if self.alias else {}),
            **({"schemas": dict(self.schemas)} if self.schemas else {}),
        }

    def info(self) -> dict[str, Any]:
        """DbInfo."""
        return {
            "dbId": self.db_id,
            "writable": self.writable,
            "isServerDb": False,
            "owner": self.owner.to_json(),
            "access": self.access,
            **({"alias": self.alias} if self.alias else {}),
            **({"createdAt": self.created_at} if self.created_at else {}),
        }

    def config(self) -> dict[str, Any]:
        """DbConfig."""
        return {
            "access": self.access,
            **({"alias": self.alias} if self.alias else {}),
            **({"schemas": dict(self.schemas)} if self.schemas else {}),
        }


_READ = frozenset({"dbId", "owner", "access", "alias", "createdAt", "schemas"})


def entry_of(db_id: str, value: Any) -> Entry:
    """From a record that anybody may have written: what is not as it should be counts as not there."""
    value = _table(value)
    owner = _table(value.get("owner"))
    return Entry(
        db_id,
        Owner(_text(owner.get("userKey")), _text(owner.get("serviceKey"))),
        alias=_text(value.get("alias")),
        access=_text(value.get("access")) or PRIVATE,
        created_at=_text(value.get("createdAt")),
        writable=_table(value.get("cachedMeta")).get("writable") is True,
        schemas=_table(value.get("schemas")),
        others={key: each for key, each in value.items() if key not in _READ},
    )


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
