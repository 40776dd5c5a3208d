"""People and their sessions: what the router is told, and what the next life of the node knows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import anyio
import pytest

from reconciler.errors import UserError
from reconciler.people import decide
from reconciler.people.devices import Client
from reconciler.people.household import INCORRECT
from runtimes.router.decide.table import Session, session_id
from tests.reconciler.people.households import HERE, LAN, PASSWORD, two_people

if TYPE_CHECKING:
    from tests.reconciler.people.households import Home

pytestmark = pytest.mark.anyio


async def test_the_first_person_makes_the_home_private(home: Home) -> None:
    household = home.household()
    assert not home.router.private
    assert not household.private
    alice = await household.create("alice", PASSWORD, "admin")
    assert home.router.private
    assert len(bytes.fromhex(alice.key)) == 16
    home.household()
    assert home.router.private, "the next life tells its router before anybody asks"


async def test_signing_in_and_out(home: Home) -> None:
    household = home.household()
    alice, _ = await two_people(household)
    person, cookie = await household.login("Alice", PASSWORD, LAN)
    assert person.key == alice.key
    assert home.signed_in(cookie) == Session(alice.key, "alice", "admin")
    assert [each.device for each in household.sessions(alice.key).values()] == ["Safari on iPhone"]
    again = home.household()
    assert home.signed_in(cookie), "a session lasts longer than a node's life"
    await again.end([session_id(cookie)])
    assert home.signed_in(cookie) is None
    home.household()
    assert home.signed_in(cookie) is None


async def test_both_mistakes_say_the_same(home: Home) -> None:
    household = home.household()
    await two_people(household)
    said = []
    for name, password in (("alice", "wrong one"), ("nobody", PASSWORD), ("alice", ""), ("", "")):
        with pytest.raises(UserError) as caught:
            await household.login(name, password, LAN)
        said.append((caught.value.message, caught.value.hint))
    assert set(said) == {(INCORRECT, "")}


async def test_nothing_on_disk_signs_anybody_in(home: Home) -> None:
    household = home.household()
    await two_people(household)
    _, cookie = await household.login("alice", PASSWORD, HERE)
    for file in home.folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        text = file.read_text()
        assert cookie not in text
        assert PASSWORD not in text
    assert home.folder.stat().st_mode & 0o077 == 0
    assert "$argon2id$" in (home.folder / "people.json").read_text()


async def test_another_role_and_name_are_told_to_the_router_at_once(home: Home) -> None:
    household = home.household()
    _, bob = await two_people(household)
    _, cookie = await household.login("bob", PASSWORD, HERE)
    await household.update(bob.key, username="robert", role="guest")
    assert home.signed_in(cookie) == Session(bob.key, "robert", "guest")


async def test_another_password_signs_out_everywhere(home: Home) -> None:
    household = home.household()
    _, bob = await two_people(household)
    _, cookie = await household.login("bob", PASSWORD, HERE)
    await household.update(bob.key, password="another one")
    assert home.signed_in(cookie) is None
    with pytest.raises(UserError, match=INCORRECT):
        await household.login("bob", PASSWORD, HERE)
    await household.login("bob", "another one", HERE)


async def test_a_removed_persons_sessions_end_at_once_and_the_key_is_nobodys(home: Home) -> None:
    household = home.household()
    _, bob = await two_people(household)
    _, cookie = await household.login("bob", PASSWORD, HERE)
    await household.remove(bob.key)
    assert home.signed_in(cookie) is None
    with pytest.raises(UserError, match=INCORRECT):
        await household.login("bob", PASSWORD, HERE)
    again = await household.create("bob", PASSWORD, "")
    assert again.key != bob.key
    assert home.signed_in(cookie) is None
    with pytest.raises(UserError, match="somebody's already"):
        decide.added(household.everybody, bob)


async def test_a_removal_holds_where_the_node_is_killed_before_the_sessions_are_written(home: Home) -> None:
    household = home.household()
    _, bob = await two_people(household)
    _, cookie = await household.login("bob", PASSWORD, HERE)
    before = (home.folder / "sessions.json").read_bytes()
    await household.remove(bob.key)
    (home.folder / "sessions.json").write_bytes(before)
    home.household()
    assert home.signed_in(cookie) is None


async def test_a_full_disk_keeps_nobody_signed_in_who_was_signed_out(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    household = home.household()
    _, bob = await two_people(household)
    _, cookie = await household.login("bob", PASSWORD, HERE)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reconciler.people.store.write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        await household.create("carol", PASSWORD, "")
    with pytest.raises(OSError, match="No space"):
        await household.remove(bob.key)
    assert household.named("bob"), "who could not be removed is there"
    with pytest.raises(OSError, match="No space"):
        await household.login("bob", PASSWORD, HERE)
    assert len(home.router.sessions) == 1, "nobody is signed in by what is not kept"
    with pytest.raises(OSError, match="No space"):
        await household.end([session_id(cookie)])
    assert home.signed_in(cookie) is None


async def test_the_last_owner_stays(home: Home) -> None:
    household = home.household()
    alice, bob = await two_people(household)
    for change in (household.remove(alice.key), household.update(alice.key, role="")):
        with pytest.raises(UserError, match="last owner"):
            await change
    await household.update(bob.key, role="admin")
    await household.update(alice.key, role="")
    with pytest.raises(UserError, match="last owner"):
        await household.remove(bob.key)


async def test_two_owners_who_remove_each_other_at_once_leave_one(home: Home) -> None:
    household = home.household()
    alice, bob = await two_people(household)
    await household.update(bob.key, role="admin")
    refused = []

    async def remove(key: str) -> None:
        try:
            await household.remove(key)
        except UserError as error:
            refused.append(error.message)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(remove, alice.key)
        tasks.start_soon(remove, bob.key)
    assert len(refused) == 1
    assert len(household.everybody.people) == 1


async def test_sessions_end_in_time(home: Home) -> None:
    household = home.household()
    await two_people(household)
    _, cookie = await household.login("bob", PASSWORD, HERE)
    home.wall += decide.IDLE - 1
    await household.sweep()
    assert home.signed_in(cookie)
    home.wall += 2
    await household.sweep()
    assert home.signed_in(cookie) is None


async def test_who_uses_a_session_keeps_it_until_the_longest(home: Home) -> None:
    household = home.household()
    await two_people(household)
    _, used = await household.login("bob", PASSWORD, HERE)
    _, idle = await household.login("bob", PASSWORD, LAN)
    for _ in range(24):
        home.wall += decide.IDLE / 2
        home.router.used = [session_id(used), "of nobody"]
        await household.sweep()
    assert home.signed_in(used)
    assert home.signed_in(idle) is None
    household = home.household()
    assert home.signed_in(used), "it is on disk when it was seen"
    home.wall += decide.LONGEST - 12 * decide.IDLE
    home.router.used = [session_id(used)]
    await household.sweep()
    assert home.signed_in(used) is None


async def test_the_oldest_of_too_many_sessions_goes(home: Home) -> None:
    household = home.household()
    _, bob = await two_people(household)
    cookies = []
    for _ in range(decide.MOST_SESSIONS + 2):
        home.wall += 1
        cookies.append(await household.begin(bob.key, HERE))
    assert len(household.sessions(bob.key)) == decide.MOST_SESSIONS
    assert [bool(home.signed_in(each)) for each in cookies[:3]] == [False, False, True]


async def test_a_password_that_changes_while_it_is_looked_at_is_the_old_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    household = home.household()
    _, bob = await two_people(household)
    matches = household._passwords.matches

    async def slowly(*args: object, **named: object) -> bool:
        found = await matches(*args, **named)  # type: ignore[arg-type]
        await household.update(bob.key, password="another one")
        return found

    monkeypatch.setattr(household._passwords, "matches", slowly)
    with pytest.raises(UserError, match=INCORRECT):
        await household.login("bob", PASSWORD, HERE)
    assert not home.router.sessions


async def test_what_a_later_version_wrote_is_kept(home: Home) -> None:
    household = home.household()
    _, bob = await two_people(household)
    await household.begin(bob.key, HERE)
    people = home.folder / "people.json"
    value = json.loads(people.read_text())
    value["shared"] = {"a": 1}
    value["people"][bob.key] |= {"role": "auditor", "passkeys": [1]}
    people.write_text(json.dumps(value))
    sessions = home.folder / "sessions.json"
    told = json.loads(sessions.read_text())
    for each in told["sessions"].values():
        each["from"] = "Oslo"
    sessions.write_text(json.dumps(told))
    household = home.household()
    await household.update(bob.key, username="robert")
    await household.begin(bob.key, HERE)
    value = json.loads(people.read_text())
    assert value["shared"] == {"a": 1}
    assert value["people"][bob.key]["passkeys"] == [1]
    assert value["people"][bob.key]["role"] == "auditor"
    assert "Oslo" in sessions.read_text()


async def test_damaged_people_open_nothing(home: Home) -> None:
    household = home.household()
    await two_people(household)
    (home.folder / "people.json").write_text("{")
    assert home.household().named("bob"), "there are two copies"
    (home.folder / "people.copy.json").write_text("[]")
    household = home.household()
    assert household.private
    assert home.router.private
    assert "cannot be read" in home.files.problems[0]
    assert household.offer() == ""
    await household.create("carol", PASSWORD, "admin")
    assert sorted(os.listdir(home.folder)) == [
        "people.copy.damaged", "people.copy.json", "people.damaged", "people.json",
    ]  # fmt: skip


async def test_the_code_makes_the_first_person_once(home: Home) -> None:
    household = home.household()
    code = household.offer()
    with pytest.raises(UserError, match="used already"):
        await household.first(code[:-1], "alice", PASSWORD)
    with pytest.raises(UserError, match="at least 3"):
        await household.first(code, "al", PASSWORD)
    alice = await household.first(code, "alice", PASSWORD)
    assert alice.owner
    for again in (code, household.offer()):
        with pytest.raises(UserError, match="used already"):
            await household.first(again, "eve", PASSWORD)


async def test_of_two_who_hold_the_code_one_is_the_first(home: Home) -> None:
    household = home.household()
    code = household.offer()
    made = []

    async def first(name: str) -> None:
        try:
            made.append(await household.first(code, name, PASSWORD))
        except UserError:
            pass

    async with anyio.create_task_group() as tasks:
        for name in ("alice", "mallory", "eve"):
            tasks.start_soon(first, name)
    assert len(made) == len(household.everybody.people) == 1


async def test_a_code_is_good_for_an_hour_and_until_somebody_is_made_otherwise(home: Home) -> None:
    household = home.household()
    code = household.offer()
    home.now += 3599
    assert household.is_offered(code)
    home.now += 2
    assert not household.is_offered(code)
    older, code = household.offer(), household.offer()
    assert not household.is_offered(older)
    await household.create("alice", PASSWORD, "admin")
    assert not household.is_offered(code)


async def test_a_password_that_cost_less_is_hashed_anew(home: Home) -> None:
    household = home.household()
    alice, _ = await two_people(household)
    before = alice.password
    household._passwords._cost = (16, 1)
    _, cookie = await household.login("alice", PASSWORD, HERE)
    after = household.everybody.people[alice.key].password
    assert "m=8," in before
    assert "m=16," in after
    assert home.signed_in(cookie)


async def test_guesses_are_slowed_down_and_the_owner_is_not_locked_out(home: Home) -> None:
    household = home.household()
    await two_people(household)
    refused = 0
    for number in range(200):
        try:
            await household.login("alice", "a guess", Client(f"192.168.1.{number % 200}", ""))
        except UserError as error:
            refused += error.message == "Too many attempts"
    assert refused > 150
    with pytest.raises(UserError, match="Too many"):
        await household.login("alice", PASSWORD, Client("192.168.7.7", ""))
    person, _ = await household.login("alice", PASSWORD, Client("127.0.0.1", ""))
    assert person.owner


async def test_the_router_knows_whose_main_service_is_which(home: Home) -> None:
    house = home.household()
    person = await house.create("alice", PASSWORD, "")
    cookie = await house.begin(person.key, HERE)
    for settings, main in (({"mainServiceId": "ui"}, "ui"), ({"mainServiceId": 1}, ""), ({}, "")):
        await house.update(person.key, settings=settings)
        session = home.signed_in(cookie)
        assert session is not None and session.main == main
