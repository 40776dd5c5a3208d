"""People and their sessions as values, and as they stand in files. Pure.

Roles are the original's on the wire and in records: `admin`, `""` and `guest`; in words owner, member, guest.
What a later version wrote beside that is kept as it is, and a role that this one does not know may what a
guest may.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OWNER, MEMBER, GUEST = "admin", "", "guest"
#: By the words that people use.
ROLES = MappingProxyType({"owner": OWNER, "member": MEMBER, "guest": GUEST})
_WORDS = {role: word for word, role in ROLES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person. `password` is its hash (Argon2id), empty where there is none; `created` a wall clock's."""

    key: str
    username: str
    role: str = MEMBER
    password: str = field(default="", repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    created: float = 0.0
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def owner(self) -> bool:
        return self.role == OWNER


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session: whose, on which device (in words), since when and when it was last seen (wall clock)."""

    person: str
    device: str
    created: float
    seen: float
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Somebody who is no more. `settled`: what was theirs was stopped; since then it is for owners to say."""

    username: str
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Everybody:
    """All people by their keys, and who was removed."""

    people: Mapping[str, Person] = field(default_factory=dict)
    removed: Mapping[str, Removed] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)


def role_word(role: str) -> str:
    """What people call a role; one that this version does not know stands as it is written."""
    return _WORDS.get(role, role)


# As JSON


def everybody_to_json(everybody: Everybody) -> dict[str, Any]:
    """A plain value that `everybody_from_json` reads back."""
    return {
        **everybody.more,
        "people": {key: _person_to_json(person) for key, person in everybody.people.items()},
        "removed": {
            key: {"username": each.username, "settled": each.settled}
            for key, each in everybody.removed.items()
        },
    }


def everybody_from_json(value: Any) -> Everybody:
    """Raises ValueError, KeyError, TypeError or AttributeError for what no version of this node wrote."""
    rest = dict(value)
    people = {key: _person_from_json(key, each) for key, each in rest.pop("people").items()}
    removed = {
        key: Removed(username=_text(each["username"]), settled=bool(each.get("settled")))
        for key, each in rest.pop("removed", {}).items()
    }
    return Everybody(people=people, removed=removed, more=rest)


def _person_to_json(person: Person) -> dict[str, Any]:
    return {
        **person.more,
        "username": person.username,
        "role": person.role,
        "password": person.password,
        "settings": dict(person.settings),
        "created": person.created,
    }


def _person_from_json(key: str, value: Any) -> Person:
    rest = dict(value)
    return Person(
        key=_text(key),
        username=_text(rest.pop("username")),
        role=_text(rest.pop("role")),
        password=_text(rest.pop("password")),
        settings=dict(rest.pop("settings", {})),
        created=float(rest.pop("created", 0.0)),
        more=rest,
    )


def sessions_to_json(sessions: Mapping[str, SignedIn]) -> dict[str, Any]:
    """A plain value that `sessions_from_json` reads back."""
    return {
        "sessions": {
            digest: {
                **each.more,
                "person": each.person,
                "device": each.device,
                "created": each.created,
                "seen": each.seen,
            }
            for digest, each in sessions.items()
        }
    }


def sessions_from_json(value: Any) -> dict[str, SignedIn]:
    """Sessions by the SHA-256 of their cookies. Raises as `everybody_from_json`."""
    return {_text(digest): _session_from_json(each) for digest, each in value["sessions"].items()}


def _session_from_json(value: Any) -> SignedIn:
    rest = dict(value)
    return SignedIn(
        person=_text(rest.pop("person")),
        device=_text(rest.pop("device")),
        created=float(rest.pop("created")),
        seen=float(rest.pop("seen")),
        more=rest,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not what a node writes")
    return value
