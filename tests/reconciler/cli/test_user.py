"""`atek user`, against real people behind a real control socket, and what `atek up` offers."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.welcome import qr_lines, welcome
from tests.reconciler.cli.atek import Atek, running_node
from tests.reconciler.fakes import FakeNode
from tests.reconciler.people.households import HERE, PASSWORD, Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.people.household import Household


class Lived(FakeNode):
    """A node with people."""

    def __init__(self, household: Household) -> None:
        super().__init__(people=household)
        self.household = household


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = tmp_path / "people"
    place.mkdir()
    return Home(place)


@pytest.fixture
def node(atek: Atek, home: Home) -> Iterator[Lived]:
    node = Lived(home.household())
    with running_node(atek.home, node):
        yield node


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What stdin has."""
    stdin = io.StringIO()
    monkeypatch.setattr("sys.stdin", stdin)
    return stdin


def add(atek: Atek, typed: io.StringIO, *words: str) -> str:
    typed.seek(0)
    typed.truncate()
    typed.write(f"{PASSWORD}\nanother line\n")
    typed.seek(0)
    result = atek("user", "add", *words, "--password-stdin")
    return result.out or result.err


def test_the_first_one_owns_the_home_and_others_are_members(
    atek: Atek, node: Lived, typed: io.StringIO
) -> None:
    assert atek("user", "list").out.startswith("nobody has an account")
    assert add(atek, typed, "alice") == "alice is an owner of this home\n"
    assert add(atek, typed, "bob") == "bob is a member of this home\n"
    assert add(atek, typed, "gus", "--role", "guest") == "gus is a guest of this home\n"
    assert "already been taken" in add(atek, typed, "Alice")
    rows = [line.split() for line in atek("user", "list").out.splitlines()]
    assert rows[1:] == [["alice", "owner", "0", "-"], ["bob", "member", "0", "-"], ["gus", "guest", "0", "-"]]


def test_a_password_is_asked_for_twice_or_read_from_stdin_and_never_a_word(
    atek: Atek, node: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert "--password-stdin" in atek("user", "add", "alice").err
    answers = iter([PASSWORD, "another", PASSWORD, PASSWORD])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    assert "not the same" in atek("user", "add", "alice").err
    assert atek("user", "add", "alice").status == 0
    assert atek("user", "add", "bob", PASSWORD).status == 2


def test_role_name_password_and_removal(atek: Atek, node: Lived, typed: io.StringIO) -> None:
    add(atek, typed, "alice")
    add(atek, typed, "bob")
    before = node.household.named("bob")
    assert atek("user", "role", "alice", "member").err.startswith("atek: alice is the last owner")
    assert atek("user", "role", "bob", "owner").out == "bob is an owner of this home now\n"
    assert atek("user", "rename", "bob", "robert").out.startswith("bob is called robert now")
    typed.seek(0)
    assert "signed out everywhere" in atek("user", "passwd", "robert", "--password-stdin").out
    after = node.household.named("robert")
    assert before and after and before.key == after.key and before.password != after.password
    assert "nobody is there to say yes" in atek("user", "remove", "robert").err
    assert atek("user", "remove", "robert", "--yes").out == "robert is removed\n"
    assert "last owner" in atek("user", "remove", "alice", "--yes").err
    assert "nobody called robert" in atek("user", "remove", "robert", "--yes").err


def test_what_was_theirs_is_told(atek: Atek, node: Lived, typed: io.StringIO) -> None:
    async def leaving(key: str) -> list[str]:
        return ["notes", "photos"]

    node.household.leaving = leaving
    add(atek, typed, "alice")
    add(atek, typed, "bob")
    assert "notes, photos" in atek("user", "remove", "bob", "--yes").out


def test_sessions_are_listed_and_ended_one_or_all(
    atek: Atek, node: Lived, home: Home, typed: io.StringIO
) -> None:
    import anyio

    add(atek, typed, "alice")
    alice = node.household.named("alice")
    assert alice

    async def sign_in() -> None:
        for _ in range(3):
            await node.household.begin(alice.key, HERE)

    assert atek("user", "sessions").out == "nobody is signed in\n"
    anyio.run(sign_in)
    lines = atek("user", "sessions", "alice").out.splitlines()
    assert len(lines) == 4
    assert "Firefox on Linux" in lines[1]
    one = lines[1].split()[1]
    assert not any(each == one for each in node.household.sessions(alice.key)), "not all of it is told"
    assert atek("user", "sessions", "alice", "--end", one).out == "1 ended\n"
    assert "no session" in atek("user", "sessions", "alice", "--end", one).err
    assert len(home.router.sessions) == 2
    assert "whose sessions" in atek("user", "sessions", "--end-all").err
    assert atek("user", "sessions", "alice", "--end-all").out == "2 ended\n"
    assert not home.router.sessions
    assert json.loads(atek("user", "list", "--json").out)[0]["username"] == "alice"
    assert "$argon2" not in atek("user", "list", "--json").out


def test_a_new_link_while_there_is_nobody(atek: Atek, node: Lived, typed: io.StringIO) -> None:
    first = atek("user", "link").out
    again = atek("user", "link").out
    codes = [text.partition("?code=")[2].split()[0] for text in (first, again)]
    assert [node.household.is_offered(code) for code in codes] == [False, True]
    add(atek, typed, "alice")
    assert "somebody already" in atek("user", "link").err


@pytest.mark.anyio
async def test_up_offers_a_link_at_a_terminal_and_a_log_has_no_code(home: Home) -> None:
    node = Lived(home.household())
    (line,) = await welcome(node, terminal=False)
    assert "atek user add NAME" in line
    assert "code=" not in line
    lines = await welcome(node, terminal=True)
    assert sum("_atek/setup?code=" in each for each in lines) == 1
    assert len([each for each in lines if "█" in each]) > 10


@pytest.mark.anyio
@pytest.mark.parametrize("terminal", [True, False])
async def test_up_offers_nothing_where_there_is_somebody_or_nobody_is_wanted(
    home: Home, terminal: bool
) -> None:
    household = home.household()
    await household.create("alice", PASSWORD, "admin")
    assert await welcome(Lived(household), terminal=terminal) == []
    assert await welcome(FakeNode(), terminal=terminal) == []


def test_a_qr_code_fits_a_terminal() -> None:
    lines = qr_lines("http://localhost:2835/_atek/setup?code=abcdefghijklmnopqrstuv")
    assert len(lines) < 22
    assert {len(line) for line in lines} == {len(lines[0])}
