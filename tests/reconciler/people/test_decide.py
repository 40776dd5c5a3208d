"""What may become of a home's people: tables, and a machine that changes them in any order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from reconciler.errors import UserError
from reconciler.people import decide
from reconciler.people.model import (
    Everybody,
    Person,
    Removed,
    SignedIn,
    everybody_from_json,
    everybody_to_json,
    sessions_from_json,
    sessions_to_json,
)


def person(key: str, username: str, role: str = "") -> Person:
    return Person(key=key, username=username, role=role)


ALICE = decide.added(Everybody(), person("a", "alice", "admin"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("al", "at least 3 characters"),
        ("", "at least 3 characters"),
        ("a" * 65, "at most 64 characters"),
        ("system", "The username system is reserved"),
        ("SYSTEM", "is reserved"),
        ("ｓｙｓｔｅｍ", "is reserved"),
        ("alice", "This username has already been taken"),
        ("ALICE", "already been taken"),
        ("ａlice", "already been taken"),
        ("bob\r\nSet-Cookie: a", "no control characters"),
        ("bob\u202e", "no control characters"),
        (" bob", "no spaces around it"),
    ],
)
def test_names_that_nobody_may_have(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        decide.added(ALICE, person("b", name))
    bob = decide.added(ALICE, person("b", "bob"))
    with pytest.raises(UserError, match=message):
        decide.updated(bob, "b", username=name)


def test_a_person_may_write_their_own_name_in_another_way() -> None:
    assert decide.updated(ALICE, "a", username="Alice").people["a"].username == "Alice"


@pytest.mark.parametrize("name", ["bob", "Bob Smith", "Zoë", "Zoe\u0308", "李小龙", "bob@example.com"])
def test_names_that_people_have(name: str) -> None:
    bob = decide.added(ALICE, person("b", name))
    found = decide.named(bob, name)
    assert found is not None
    assert found.key == "b"


def test_roles_and_passwords() -> None:
    with pytest.raises(UserError, match="no role 'root'"):
        decide.added(ALICE, person("b", "bob", "root"))
    for password in ("", "short", "a" * 1025):
        with pytest.raises(UserError, match="6 to 1024"):
            decide.checked_password(password)
    assert decide.checked_password("hunter2") == "hunter2"


@given(
    st.dictionaries(st.text(max_size=3), st.floats(0, 1e10), max_size=6),
    st.sets(st.text(max_size=3)),
    st.floats(0, 1e10),
)
@settings(max_examples=100)
def test_no_session_lasts_without_its_person_or_beyond_its_time(
    seen: dict[str, float], people: set[str], now: float
) -> None:
    sessions = {
        f"{key}!": SignedIn(person=key, device="", created=when, seen=when) for key, when in seen.items()
    }
    for each in decide.lasting(sessions, people, now).values():
        assert each.person in people
        assert now - each.seen < decide.IDLE


def test_being_seen_does_not_make_a_session_last_for_ever() -> None:
    session = SignedIn(person="a", device="", created=0.0, seen=decide.LONGEST)
    assert decide.lasting({"s": session}, {"a"}, decide.LONGEST - 1)
    assert not decide.lasting({"s": session}, {"a"}, decide.LONGEST)


class Changes(RuleBasedStateMachine):
    """Whatever is asked for in whatever order: somebody owns the home, and a key is one person's for ever."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.everybody = Everybody()
        self.ever: set[str] = set()
        self.owned = False

    @rule(
        target=keys,
        name=st.sampled_from(["anna", "Anna", "ben", "cleo"]),
        role=st.sampled_from(["admin", "", "guest"]),
    )
    def add(self, name: str, role: str) -> str:
        key = f"k{len(self.ever)}"
        try:
            self.everybody = decide.added(self.everybody, person(key, name, role))
            self.ever.add(key)
        except UserError:
            pass
        self.owned = self.owned or bool(decide.owners(self.everybody))
        return key

    @rule(
        key=keys, role=st.sampled_from(["admin", "", "guest"]), name=st.sampled_from(["anna", "dora", None])
    )
    def change(self, key: str, role: str, name: str | None) -> None:
        try:
            self.everybody = decide.updated(self.everybody, key, role=role, username=name)
        except UserError:
            pass
        self.owned = self.owned or bool(decide.owners(self.everybody))

    @rule(key=consumes(keys))
    def remove(self, key: str) -> None:
        try:
            self.everybody = decide.removed(self.everybody, key)
        except UserError:
            return
        with pytest.raises(UserError):
            decide.added(self.everybody, person(key, "somebody"))

    @rule()
    def store(self) -> None:
        assert everybody_from_json(everybody_to_json(self.everybody)) == self.everybody

    @invariant()
    def holds(self) -> None:
        assert not self.owned or decide.owners(self.everybody)
        names = [decide.folded(each.username) for each in self.everybody.people.values()]
        assert len(names) == len(set(names))
        assert not self.everybody.people.keys() & self.everybody.removed.keys()
        assert self.everybody.people.keys() | self.everybody.removed.keys() == self.ever


TestChanges = Changes.TestCase


def test_what_is_not_this_nodes_is_not_read() -> None:
    people: list[Any] = [
        None,
        [],
        {},
        {"people": []},
        {"people": {"a": {"username": 1, "role": "", "password": ""}}},
    ]
    for wrong in people:
        with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
            everybody_from_json(wrong)
    sessions: list[Any] = [
        None,
        {},
        {"sessions": {"a": {"person": None, "device": "", "created": 0, "seen": 0}}},
    ]
    for wrong in sessions:
        with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
            sessions_from_json(wrong)


def test_sessions_are_read_as_they_were_written() -> None:
    sessions = {"5e": SignedIn(person="a", device="curl", created=1.0, seen=2.5, more={"from": "Oslo"})}
    assert sessions_from_json(sessions_to_json(sessions)) == sessions


def test_who_was_removed_is_remembered() -> None:
    gone = decide.removed(decide.added(ALICE, person("b", "bob")), "b")
    assert gone.removed == {"b": Removed(username="bob")}
    assert decide.settled(gone, "b").removed["b"].settled
