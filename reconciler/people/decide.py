"""What may become of a home's people, and how long a session lasts. Pure; wrong wishes raise UserError.

The original's texts where it had any. Names are compared as people read them: `Alice` is `alice`, in whatever
way its letters are written (NFKC, case folded), so nobody can be taken for another.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import UserError
from reconciler.people.model import GUEST, MEMBER, OWNER, ROLES, Everybody, Person, Removed, SignedIn
from runtimes.router.decide.table import Session

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

SHORTEST_NAME, LONGEST_NAME = 3, 64
SHORTEST_PASSWORD, LONGEST_PASSWORD = 6, 1024
#: Seconds: a session ends when nobody used it for so long, and so long after it began.
IDLE, LONGEST = 30 * 86400.0, 365 * 86400.0
#: How exactly it is known when a session was last seen.
NOTED_AFTER = 3600.0
#: Sessions of one person; the one that was not seen for longest goes first.
MOST_SESSIONS = 50
_RESERVED = frozenset({"system"})


def folded(name: str) -> str:
    """What two names have in common that people would take for each other."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def named(everybody: Everybody, username: str) -> Person | None:
    """The person of that name."""
    wanted = folded(username)
    return next((each for each in everybody.people.values() if folded(each.username) == wanted), None)


def known(everybody: Everybody, key: str) -> Person:
    """Raises UserError."""
    if (person := everybody.people.get(key)) is None:
        raise UserError(f"User not found under key {key}")
    return person


def owners(everybody: Everybody) -> list[Person]:
    return [each for each in everybody.people.values() if each.owner]


def checked_name(username: str) -> str:
    """The name as it is kept (NFC)."""
    username = unicodedata.normalize("NFC", username)
    if len(username) < SHORTEST_NAME:
        raise UserError(f"A username has at least {SHORTEST_NAME} characters")
    if len(username) > LONGEST_NAME:
        raise UserError(f"A username has at most {LONGEST_NAME} characters")
    if not username.isprintable() or username != username.strip():
        raise UserError("A username has no control characters, and no spaces around it")
    if folded(username) in _RESERVED:
        raise UserError(f"The username {username} is reserved")
    return username


def checked_password(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserError(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
            hint="four or five words that nobody would guess together are a good one",
        )
    return password


def checked_role(role: str) -> str:
    if role not in (OWNER, MEMBER, GUEST):
        words = ", ".join(f'"{each}" ({word})' for word, each in ROLES.items())
        raise UserError(f"There is no role {role!r}", hint=f"roles are {words}")
    return role


def added(everybody: Everybody, person: Person) -> Everybody:
    """With one more. A key that anybody ever had is refused."""
    if person.key in everybody.people or person.key in everybody.removed:
        raise UserError("this key is somebody's already")
    checked_role(person.role)
    name = _free(everybody, person.username, person.key)
    return replace(everybody, people={**everybody.people, person.key: replace(person, username=name)})


def updated(
    everybody: Everybody,
    key: str,
    *,
    username: str | None = None,
    role: str | None = None,
    password: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Everybody:
    """With something of one person changed; None stays. `password` is a hash."""
    person = known(everybody, key)
    if username is not None:
        person = replace(person, username=_free(everybody, username, key))
    if role is not None:
        if person.owner and checked_role(role) != OWNER:
            _require_another_owner(everybody, person)
        person = replace(person, role=checked_role(role))
    if password is not None:
        person = replace(person, password=password)
    if settings is not None:
        person = replace(person, settings={**person.settings, **settings})
    return replace(everybody, people={**everybody.people, key: person})


def removed(everybody: Everybody, key: str) -> Everybody:
    """Without that person, whose key stays taken."""
    person = known(everybody, key)
    if person.owner:
        _require_another_owner(everybody, person)
    people = {each: other for each, other in everybody.people.items() if each != key}
    return replace(
        everybody, people=people, removed={**everybody.removed, key: Removed(username=person.username)}
    )


def settled(everybody: Everybody, key: str) -> Everybody:
    """What a removed person had was stopped."""
    gone = {**everybody.removed, key: replace(everybody.removed[key], settled=True)}
    return replace(everybody, removed=gone)


def _free(everybody: Everybody, username: str, key: str) -> str:
    username = checked_name(username)
    other = named(everybody, username)
    if other is not None and other.key != key:
        raise UserError("This username has already been taken")
    return username


def _require_another_owner(everybody: Everybody, person: Person) -> None:
    if [each.key for each in owners(everybody)] == [person.key]:
        raise UserError(
            f"{person.username} is the last owner of this home",
            hint="make somebody else an owner first: atek user role NAME owner",
        )


# Sessions


def rights(person: Person) -> Session:
    """What the router knows of whoever is signed in as that person, or comes by a device of theirs."""
    main = person.settings.get("mainServiceId", "")
    return Session(person.key, person.username, person.role, main if isinstance(main, str) else "")


def lasting(sessions: Mapping[str, SignedIn], people: Collection[str], now: float) -> dict[str, SignedIn]:
    """Those that are not over yet at `now` (wall clock), of people that there are."""
    return {
        digest: each
        for digest, each in sessions.items()
        if each.person in people and now - each.seen < IDLE and now - each.created < LONGEST
    }


def noted(sessions: Mapping[str, SignedIn], seen: Iterable[str], now: float) -> dict[str, SignedIn]:
    """With those seen now; what was seen within the last hour is as good, and need not be written down."""
    newer = {
        each: replace(sessions[each], seen=now)
        for each in seen
        if each in sessions and now - sessions[each].seen >= NOTED_AFTER
    }
    return {**sessions, **newer}


def begun(sessions: Mapping[str, SignedIn], digest: str, session: SignedIn) -> dict[str, SignedIn]:
    """With one more; where that person has too many, without the one that was not seen for longest."""
    theirs = sorted(
        (each for each, other in sessions.items() if other.person == session.person),
        key=lambda each: sessions[each].seen,
    )
    surplus = set(theirs[: max(0, len(theirs) - MOST_SESSIONS + 1)])
    return {**{each: other for each, other in sessions.items() if each not in surplus}, digest: session}
