"""Who may do what: every caller, every kind of database, everything that can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hyper.adb.rules.access import Caller, require_configure, require_read, require_write
from hyper.adb.rules.entries import Entry, Owner
from hyper.adb.rules.errors import RpcError
from tests.hyper.adb.harness import GENERAL, OWN, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hyper.adb import harness

ALICES = Owner("alice", "notes")
PRIVATE = Entry("db", ALICES, access="private")
PUBLIC = Entry("db", ALICES, access="public")
#: What alice made in a browser, at this service's own host.
BY_HAND = Entry("db", Owner("alice", OWN), access="private")
NOBODYS = Entry("db", Owner(), access="private")
HALF = Entry("db", Owner("alice", ""), access="private")

SYSTEM = Caller("system", "system", admin=True, own=OWN)
ROOT = Caller("root", "roots-app", admin=True, own=OWN)
NOTES = Caller("alice", "notes", own=OWN)
PHOTOS = Caller("alice", "photos", own=OWN)
#: Alice herself, in a browser.
ALICE = Caller("alice", OWN, own=OWN)
BOB = Caller("bob", "bobs-app", own=OWN)
#: Bob has a service whose key is the same; keys are no secrets.
IMPOSTOR = Caller("bob", "notes", own=OWN)
NAMELESS = Caller("", "", own=OWN)

EVERYBODY = {
    "system": SYSTEM, "root": ROOT, "notes": NOTES, "photos": PHOTOS, "alice": ALICE, "bob": BOB,
    "impostor": IMPOSTOR, "nameless": NAMELESS,
}  # fmt: skip
ADMINS = {"system", "root"}
OF_ALICE = ADMINS | {"notes", "photos", "alice"}


def allowed(check: Callable[[Caller], None]) -> set[str]:
    found = set()
    for name, caller in EVERYBODY.items():
        try:
            check(caller)
        except RpcError as error:
            assert error.code == GENERAL
        else:
            found.add(name)
    return found


@pytest.mark.parametrize(
    ("entry", "readers", "writers"),
    [
        (PRIVATE, ADMINS | {"notes"}, ADMINS | {"notes"}),
        (PUBLIC, set(EVERYBODY), ADMINS | {"notes"}),
        (BY_HAND, OF_ALICE, OF_ALICE),
        (NOBODYS, ADMINS, ADMINS),
        (HALF, ADMINS, ADMINS),
        (Entry("db", ALICES, access="Public"), ADMINS | {"notes"}, ADMINS | {"notes"}),
    ],
)
def test_the_matrix(entry: Entry, readers: set[str], writers: set[str]) -> None:
    assert allowed(lambda caller: require_read(caller, "db", entry)) == readers
    assert allowed(lambda caller: require_write(caller, "db", entry)) == writers
    assert allowed(lambda caller: require_configure(caller, entry)) == writers


def test_what_no_table_names() -> None:
    assert allowed(lambda caller: require_read(caller, "db", None)) == set(EVERYBODY)
    assert allowed(lambda caller: require_read(caller, "db", None, nodes_own=True)) == ADMINS
    assert allowed(lambda caller: require_write(caller, "db", None)) == ADMINS
    assert allowed(lambda caller: require_configure(caller, None)) == ADMINS


def test_without_a_key_of_its_own_nothing_is_shared() -> None:
    caller = Caller("alice", "photos")
    assert not caller.owns(Entry("db", Owner("alice", "")))


READS: list[list[Any]] = [
    ["recordGet", "a"], ["recordList", ""], ["recordDiff", {"left": 1}], ["dbDescribe"], ["dbGetConfig"],
]  # fmt: skip
WRITES: list[list[Any]] = [
    ["recordPut", "a", {}],
    ["dbConfigure", {"access": "private"}],
    ["recordDelete", "x"],
]


async def may(caller: harness.Caller, db: str, calls: list[list[Any]]) -> bool:
    """Whether the caller may make all of these calls; if not, it may make none."""
    answers = [await caller.world.rpc(name, [db, *rest], *caller.fields) for name, *rest in calls]
    done = {"result" in answer for answer in answers}
    assert len(done) == 1, answers
    return done.pop()


@pytest.mark.anyio
async def test_every_method_asks(world: World) -> None:
    made = (await world.notes("dbCreate", {"access": "private"}))["dbId"]
    await world.notes("recordPut", made, "a", {})
    callers = (world.system, world.notes, world.photos, world.bob, world.caller("bob", "notes"))
    for caller in callers:
        expected = caller in (world.system, world.notes)
        assert await may(caller, made, READS) is expected
        assert await may(caller, made, WRITES) is expected
    await world.notes("dbConfigure", made, {"access": "public"})
    for caller in callers[2:]:
        assert await may(caller, made, READS)
        assert not await may(caller, made, WRITES)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["Atek-Auth-User: alice"],
        ["Atek-Auth-Service: notes"],
        ["Atek-Auth-User:", "Atek-Auth-Service: notes"],
        ["Authorization: Bearer system", "Atek-Auth-Service: notes"],
    ],
)
async def test_whom_the_router_does_not_introduce(world: World, fields: list[str]) -> None:
    for name, *rest in ["dbCreate"], ["getConfig"], ["dbList"], ["recordGet", "ab" * 32, "a"]:
        answer = await world.rpc(name, rest, *fields)
        assert answer["error"] == {"code": GENERAL, "message": "Not authorized"}
