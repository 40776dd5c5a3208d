"""What people's sessions and passwords withstand, and would not without the guard that is named."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from reconciler.errors import UserError
from reconciler.people import decide, passwords
from reconciler.people.devices import Client
from reconciler.people.household import Household
from reconciler.people.passwords import Passwords
from reconciler.people.throttle import Throttle
from runtimes.router.decide.table import session_id
from tests.reconciler.people.households import LAN, PASSWORD, Home, two_people

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.people.model import Everybody

pytestmark = pytest.mark.anyio

#: Does what an attacker wants, and says whether it worked.
Attack = Callable[[Home], Awaitable[bool]]
PLANTED = "a-cookie-that-the-attacker-planted"


async def plant_a_cookie_before_somebody_signs_in(home: Home) -> bool:
    """Session fixation: whoever knows the cookie that a browser had is signed in with it."""
    lived = home.household()
    await two_people(lived)
    await lived.login("bob", PASSWORD, LAN)
    return home.signed_in(PLANTED) is not None


async def use_a_stolen_cookie_after_its_person_signed_out(home: Home) -> bool:
    lived = home.household()
    await two_people(lived)
    _, stolen = await lived.login("bob", PASSWORD, LAN)
    await lived.end([session_id(stolen)])
    return home.signed_in(stolen) is not None


async def use_a_stolen_cookie_after_a_new_password(home: Home) -> bool:
    lived = home.household()
    _, bob = await two_people(lived)
    _, stolen = await lived.login("bob", PASSWORD, LAN)
    await lived.update(bob.key, password="another one")
    return home.signed_in(stolen) is not None


async def guess_a_password_of_a_thousand(home: Home) -> bool:
    return await _is_guessed(home, lambda _: LAN)


async def guess_from_a_thousand_addresses(home: Home) -> bool:
    return await _is_guessed(home, lambda number: Client(f"10.1.{number}.1"))


async def _is_guessed(home: Home, client: Callable[[int], Client]) -> bool:
    lived = home.household()
    await two_people(lived)
    for number in range(300):
        home.now += 0.1
        guess = PASSWORD if number == 299 else f"a guess {number}"
        try:
            await lived.login("bob", guess, client(number))
        except UserError:
            continue
        return True
    return False


async def lock_the_owner_out(home: Home) -> bool:
    lived = home.household()
    await two_people(lived)
    for number in range(200):
        try:
            await lived.login("alice", "a guess", Client(f"10.1.{number}.1"))
        except UserError:
            continue
    try:
        await lived.login("alice", PASSWORD, Client("127.0.0.1"))
    except UserError:
        return True
    return False


async def have_the_node_hash_without_end(home: Home) -> bool:
    """Each waiting hash has its thread's turn and, while it works, its 32 MiB."""
    hashing = Passwords(memory=1024, passes=8)
    refused = 0

    async def guess() -> None:
        nonlocal refused
        try:
            await hashing.matches("", "a guess")
        except UserError:
            refused += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(guess)
    return refused == 0


async def get_the_key_of_somebody_who_was_removed(home: Home) -> bool:
    lived = home.household()
    _, bob = await two_people(lived)
    await lived.remove(bob.key)
    with pytest.MonkeyPatch.context() as chance:
        chance.setattr("reconciler.people.household.secrets.token_hex", lambda _: bob.key)
        try:
            eve = await lived.create("eve", PASSWORD, "")
        except UserError:
            return False
    return eve.key == bob.key


async def hear_from_the_time_who_there_is(home: Home) -> bool:
    hashing = Passwords()
    hashed = await hashing.hash(PASSWORD)
    await hashing.matches("", "warm")

    async def least(of: str) -> float:
        found = []
        for _ in range(5):
            begin = time.perf_counter()
            await hashing.matches(of, "a guess")
            found.append(time.perf_counter() - begin)
        return min(found)

    known, unknown = await least(hashed), await least("")
    return not 0.4 < unknown / known < 2.5


async def become_an_owner_by_a_link_that_was_used(home: Home) -> bool:
    lived = home.household()
    code = lived.offer()
    await lived.first(code, "alice", PASSWORD)
    try:
        return (await lived.first(code, "eve", PASSWORD)).owner
    except UserError:
        return False


async def be_somebody_by_letters_that_look_alike(home: Home) -> bool:
    lived = home.household()
    await two_people(lived)
    try:
        await lived.create("ＡＬＩＣＥ", PASSWORD, "")
    except UserError:
        return False
    return True


async def leave_a_home_without_an_owner(home: Home) -> bool:
    lived = home.household()
    alice, _ = await two_people(lived)
    try:
        await lived.remove(alice.key)
    except UserError:
        return False
    return not decide.owners(lived.everybody)


def _forgets(everybody: Everybody, key: str) -> Everybody:
    people = {each: person for each, person in everybody.people.items() if each != key}
    return replace(everybody, people=people)


async def _nothing(*_: Any) -> None: ...


def _at_once(self: Passwords, hasher: Any, hashed: str, password: str) -> bool:
    return bool(hashed) and passwords._verify(hasher, hashed, password)


ATTACKS: list[tuple[Attack, Any, str, Any]] = [
    (
        plant_a_cookie_before_somebody_signs_in,
        "reconciler.people.household.secrets",
        "token_urlsafe",
        lambda _: PLANTED,
    ),
    (use_a_stolen_cookie_after_its_person_signed_out, Household, "_end", _nothing),
    (use_a_stolen_cookie_after_a_new_password, Household, "_end", _nothing),
    (guess_a_password_of_a_thousand, Throttle, "wait", lambda *_: 0.0),
    (guess_from_a_thousand_addresses, Throttle, "wait", lambda *_: 0.0),
    (lock_the_owner_out, "reconciler.people.throttle", "is_local", lambda _: False),
    (have_the_node_hash_without_end, passwords, "MOST_WAITING", 10_000),
    (get_the_key_of_somebody_who_was_removed, decide, "removed", _forgets),
    (hear_from_the_time_who_there_is, Passwords, "_verify", _at_once),
    (become_an_owner_by_a_link_that_was_used, Household, "is_offered", lambda *_: True),
    (be_somebody_by_letters_that_look_alike, decide, "folded", lambda name: name),
    (leave_a_home_without_an_owner, decide, "_require_another_owner", lambda *_: None),
]


@pytest.mark.parametrize("each", ATTACKS, ids=[each[0].__name__ for each in ATTACKS])
async def test_each_fails_because_of_its_guard(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, each: tuple[Attack, Any, str, Any]
) -> None:
    attack, where, name, instead = each
    assert not await attack(home)
    if isinstance(where, str):
        monkeypatch.setattr(f"{where}.{name}", instead)
    else:
        monkeypatch.setattr(where, name, instead)
    other = tmp_path / "other"
    other.mkdir()
    assert await attack(Home(other))
