"""Databases: made, found by alias, configured, described, listed, given away, taken away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from hyper.fake import FakeHyper
from tests.hyper.adb.harness import BAD_PARAMS, GENERAL, NO_METHOD, World

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.anyio


async def server_db(world: World) -> str:
    db_id: str = (await world.system("getConfig"))["serverDbId"]
    return db_id


async def test_a_new_database(world: World) -> None:
    made = await world.notes("dbCreate", {"alias": "main", "access": "private"})
    assert re.fullmatch("[0-9a-f]{64}", made["dbId"]) and made["writable"] is True
    info = await world.notes("dbDescribe", made["dbId"])
    created = info.pop("createdAt")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created)
    owner = {"userKey": "alice", "serviceKey": "notes"}
    assert info == {
        "dbId": made["dbId"], "writable": True, "isServerDb": False, "owner": owner,
        "alias": "main", "access": "private",
    }  # fmt: skip
    assert await world.notes("dbDescribe", "main") == info | {"createdAt": created}
    assert await world.notes("dbGetConfig", "main") == {"alias": "main", "access": "private"}


async def test_it_is_public_unless_somebody_says_otherwise(world: World) -> None:
    """As the original had it: its apps read each other's databases by their keys."""
    several: list[list[Any]] = [[], [None], [{}]]
    for params in several:
        made = await world.notes("dbCreate", *params)
        assert (await world.notes("dbGetConfig", made["dbId"])) == {"access": "public"}


async def test_an_alias_belongs_to_its_service(world: World) -> None:
    notes = await world.notes("dbGetOrCreate", "main")
    assert await world.notes("dbGetOrCreate", "main", {"access": "private"}) == notes
    photos = await world.photos("dbGetOrCreate", "main", {"access": "private"})
    bobs = await world.caller("bob", "notes")("dbGetOrCreate", "main")
    assert len({notes["dbId"], photos["dbId"], bobs["dbId"]}) == 3
    assert (await world.notes("dbGetConfig", "main"))["access"] == "public"
    assert (await world.photos("dbGetConfig", "main"))["access"] == "private"
    await world.photos("recordPut", "main", "a", {"of": "photos"})
    assert (await world.notes.refused("recordGet", "main", "a")).message == "Not found: a"


async def test_an_alias_is_of_one_database_only(world: World) -> None:
    first = await world.notes("dbCreate", {"alias": "main"})
    other = await world.notes("dbCreate", {"alias": "other"})
    assert (await world.notes.refused("dbCreate", {"alias": "main"})).message == "Alias already in use: main"
    error = await world.notes.refused("dbConfigure", "other", {"alias": "main"})
    assert (error.code, error.message) == (GENERAL, "Alias already in use: main")
    await world.notes("dbConfigure", "main", {"alias": "first"})
    await world.notes("dbConfigure", "other", {"alias": "main"})
    assert await world.notes("dbGetOrCreate", "main") == other
    assert await world.notes("dbGetOrCreate", "first") == first
    await world.notes("dbConfigure", "main", {"alias": ""})
    assert await world.notes("dbGetConfig", other["dbId"]) == {"access": "public"}


async def test_many_ask_for_one_alias_at_once(world: World) -> None:
    made: list[Any] = []

    async def ask() -> None:
        made.append(await world.notes("dbGetOrCreate", "main"))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert len(made) == 20 and len({each["dbId"] for each in made}) == 1
    assert len(await world.notes("dbList")) == 1


async def test_two_of_this_service_agree_on_an_alias() -> None:
    """As while one takes over from another."""
    async with World() as world, World(world.hyper) as other:
        made: list[Any] = []

        async def ask(which: World) -> None:
            made.append(await which.notes("dbGetOrCreate", "main"))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, world)
                tasks.start_soon(ask, other)
        assert len({each["dbId"] for each in made}) == 1


async def test_what_was_configured_counts_at_once(world: World) -> None:
    db = (await world.notes("dbCreate", {"access": "private"}))["dbId"]
    await world.notes("recordPut", db, "a", {})
    assert (await world.bob.refused("recordGet", db, "a")).message == f"Not authorized to access {db}"
    assert await world.notes("dbConfigure", db, {"access": "public"}) is None
    await world.bob("recordGet", db, "a")
    await world.notes("dbConfigure", db, {"access": "private"})
    await world.bob.refused("recordGet", db, "a")


async def test_lists(world: World) -> None:
    one = (await world.notes("dbCreate", {"alias": "one"}))["dbId"]
    two = (await world.notes("dbCreate", {"access": "private"}))["dbId"]
    three = (await world.photos("dbCreate"))["dbId"]
    four = (await world.bob("dbCreate"))["dbId"]
    assert {each["dbId"]: each.get("alias") for each in await world.notes("dbList")} == {
        one: "one",
        two: None,
    }
    alices = {one, two, three}
    assert {each["dbId"] for each in await world.notes("adminListDbsByOwningUser", "alice")} == alices
    assert {each["dbId"] for each in await world.notes("adminListDbsByOwningUser")} == alices
    assert [each["dbId"] for each in await world.system("adminListDbsByOwningUser", "bob")] == [four]
    error = await world.bob.refused("adminListDbsByOwningUser", "alice")
    assert (error.code, error.message) == (GENERAL, "Cannot enumerate databases owned by another user")
    (server,) = await world.system("adminListDbsByOwningUser", "system")
    assert server["isServerDb"] is True


async def test_the_server_database(world: World) -> None:
    db = await server_db(world)
    assert db == (await world.hyper.create("records")).db_id
    owner = {"userKey": "system", "serviceKey": "system"}
    assert await world.system("dbDescribe", db) == {
        "dbId": db, "writable": True, "isServerDb": True, "owner": owner, "access": "private"
    }  # fmt: skip
    made = (await world.notes("dbCreate", {"alias": "main"}))["dbId"]
    record = await world.system("recordGet", db, ["atek.cloud", "database", made])
    created = record["value"].pop("createdAt")
    assert created and record["value"] == {
        "dbId": made,
        "owner": {"userKey": "alice", "serviceKey": "notes"},
        "cachedMeta": {"writable": True},
        "access": "public",
        "alias": "main",
    }
    for caller in (world.notes, world.bob):
        for method, *params in (("recordGet", db, "atek.cloud/database/x"), ("recordList", db, ""),
                                ("dbDescribe", db), ("recordPut", db, "a", {}), ("recordDelete", db, "a"),
                                ("recordDiff", db, {"left": 1})):  # fmt: skip
            error = await caller.refused(method, *params)
            assert error.message.startswith("Not authorized to ")


async def test_other_software_may_write_the_table(world: World) -> None:
    """What it writes counts, by what it means; what makes no sense is nobody's and private."""
    db = await server_db(world)
    made = (await world.notes("dbCreate", {"access": "private"}))["dbId"]
    value = {"dbId": made, "owner": {"userKey": "bob", "serviceKey": "bobs-app"}, "createdAt": "then", "x": 1}
    await world.system("recordPut", db, ["atek.cloud", "database", made], value)
    await world.notes.refused("recordPut", made, "a", {})
    await world.bob("recordPut", made, "a", {})
    await world.bob("dbConfigure", made, {"alias": "mine"})
    kept = (await world.system("recordGet", db, ["atek.cloud", "database", made]))["value"]
    assert kept["x"] == 1 and kept["alias"] == "mine" and kept["access"] == "private"
    for nonsense in ({}, {"owner": 3, "access": ["public"], "alias": {}}, {"owner": {"userKey": 1}}):
        await world.system("recordPut", db, ["atek.cloud", "database", made], nonsense)
        for caller in (world.notes, world.bob):
            await caller.refused("recordGet", made, "a")
            await caller.refused("recordPut", made, "a", {})
        assert await world.system("recordGet", made, "a")


async def test_users_may_be_administrators(world: World) -> None:
    db = await server_db(world)
    made = (await world.notes("dbCreate", {"access": "private"}))["dbId"]
    await world.bob.refused("recordPut", made, "a", {})
    user = {"username": "bob", "hashedPassword": "…", "role": "admin"}
    await world.system("recordPut", db, "atek.cloud/user/bob", user)
    await world.bob("recordPut", made, "a", {})
    assert await world.bob("adminListDbsByOwningUser", "alice")
    assert (await world.bob.refused("getConfig")).message == "Not authorized"
    await world.system("recordPut", db, "atek.cloud/user/bob", user | {"role": ""})
    await world.bob.refused("recordPut", made, "a", {})


async def test_init_and_get_config_are_the_systems(world: World) -> None:
    db = await server_db(world)
    assert await world.system("init", {"serverDbId": db}) is None
    assert await world.system("init", {"serverDbId": ""}) is None
    error = await world.system.refused("init", {"serverDbId": "ab" * 32})
    assert error.message == "ADB has already been initialized"
    for method in ("init", "getConfig"):
        error = await world.notes.refused(method, {"serverDbId": db})
        assert (error.code, error.message) == (GENERAL, "Not authorized")


async def test_administrators_give_and_take(world: World) -> None:
    config = {"owner": {"userKey": "bob", "serviceKey": "bobs-app"}, "alias": "gift", "access": "private"}
    made = (await world.system("adminCreateDb", config))["dbId"]
    await world.bob("recordPut", "gift", "a", {"b": 1})
    owner = {"userKey": "alice", "serviceKey": "notes"}
    await world.system("adminEditDbConfig", made, {"owner": owner})
    await world.bob.refused("recordGet", made, "a")
    assert (await world.notes("dbDescribe", "gift"))["owner"] == owner
    await world.notes("recordPut", made, "a", {"b": 2})
    assert await world.system("adminDeleteDb", made) is None
    assert await world.notes("dbList") == []
    await world.notes.refused("recordGet", made, "a")
    assert (await world.system("recordGet", made, "a"))["value"] == {"b": 2}
    assert (await world.system.refused("adminDeleteDb", made)).message == "DB not found"
    assert (await world.notes("dbGetOrCreate", "gift"))["dbId"] != made


async def test_an_administrators_own(world: World) -> None:
    made = (await world.system("adminCreateDb", {}))["dbId"]
    owner = {"userKey": "system", "serviceKey": "system"}
    assert (await world.system("dbDescribe", made))["owner"] == owner


async def test_a_service_cannot_give_itself_what_is_anothers(world: World) -> None:
    made = (await world.bob("dbCreate", {"access": "private"}))["dbId"]
    mine = {"owner": {"userKey": "alice", "serviceKey": "notes"}}
    for method, *params in (
        ("adminEditDbConfig", made, mine),
        ("adminDeleteDb", made),
        ("adminCreateDb", mine),
    ):
        assert (await world.notes.refused(method, *params)).message == "Not authorized"
    error = await world.notes.refused("dbConfigure", made, mine)
    assert error.message == "Can't configure a database owned by a different user"
    own = (await world.notes("dbCreate"))["dbId"]
    await world.notes("dbConfigure", own, {"owner": {"userKey": "bob", "serviceKey": "bobs-app"}})
    assert (await world.notes("dbDescribe", own))["owner"] == {"userKey": "alice", "serviceKey": "notes"}
    error = await world.photos.refused("dbConfigure", own, {"alias": "x"})
    assert error.message == "Can't configure a database owned by a different service"


async def test_somebody_elses_database_is_read_by_its_key() -> None:
    async with World() as world:
        other = FakeHyper(world.network, "elsewhere")
        theirs = (await other.create("theirs")).db_id
        await other.put(theirs, ("a", "b"), {"c": 1})
        error = await world.notes.refused("recordGet", theirs, "a/b")
        assert error.data == {"code": "NOT_SYNCED"}
        world.network.connect(world.fake, other)
        assert (await world.notes("recordGet", theirs, "a/b"))["value"] == {"c": 1}
        assert await world.notes("dbDescribe", theirs) == {
            "dbId": theirs, "writable": False, "isServerDb": False
        }  # fmt: skip
        assert (
            await world.notes.refused("dbGetConfig", theirs)
        ).message == "No config for this database found"
        error = await world.notes.refused("recordPut", theirs, "a", {})
        assert error.message == f"Not authorized to write {theirs}"
        error = await world.system.refused("recordPut", theirs, "a", {})
        assert error.data == {"code": "NOT_WRITABLE"}
        error = await world.notes.refused("dbConfigure", theirs, {"alias": "mine"})
        assert error.message == "Can't change the owning user of a database"
        config = {"owner": {"userKey": "bob", "serviceKey": "bobs-app"}, "access": "private"}
        await world.system("adminEditDbConfig", theirs, config)
        await world.bob("recordGet", theirs, "a/b")
        await world.notes.refused("recordGet", theirs, "a/b")


async def test_the_nodes_own_databases_are_nobodys_business(world: World) -> None:
    status = (await world.hyper.create("status")).db_id
    error = await world.notes.refused("recordList", status, "")
    assert error.message == f"Not authorized to access {status}"
    await world.system("recordList", status, "")


async def test_databases_that_no_table_names_cannot_fill_the_store(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyper.adb.store.MOST_UNLISTED", 2)
    errors = [await world.notes.refused("recordGet", f"{number:064x}", "a") for number in range(3)]
    assert [error.data for error in errors[:2]] == [{"code": "NOT_SYNCED"}] * 2
    assert errors[2].message == "Too many databases of others are open"
    own = (await world.notes("dbCreate"))["dbId"]
    await world.hyper.close(own)
    await world.notes("recordPut", own, "a", {})
    error = await world.bob.refused("recordGet", f"{7:064x}", "a")
    assert error.data == {"code": "NOT_SYNCED"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "Parameter 1 must be object"),
        ("x", "Parameter 1 must be object"),
        ({"alias": 3}, "Parameter 1/alias must be string"),
        ({"access": "secret"}, "Parameter 1/access must be equal to one of the allowed values"),
        ({"schemas": []}, "Parameter 1/schemas must be object"),
        ({"owner": "me"}, "Parameter 1/owner must be object"),
        ({"owner": {"userKey": 3}}, "Parameter 1/userKey must be string"),
    ],
)
async def test_configs_that_are_none(world: World, config: Any, message: str) -> None:
    error = await world.system.refused("adminCreateDb", config)
    assert (error.code, error.message) == (BAD_PARAMS, message)
    assert await world.system("dbList") == []


async def test_methods_that_there_are_not(world: World) -> None:
    for name in ("fly", "", "__init__", "call"):
        error = await world.notes.refused(name)
        assert (error.code, error.message) == (NO_METHOD, f"Method not found: {name}")


async def test_what_was_made_is_found_by_the_next_life() -> None:
    async with World() as first:
        made = await first.notes("dbGetOrCreate", "main", {"access": "private"})
        await first.notes("recordPut", "main", "a", {"b": 1})
    await first.hyper.close(made["dbId"])
    async with World(first.hyper) as second:
        assert await second.notes("dbGetOrCreate", "main") == made
        assert (await second.notes("recordGet", "main", "a"))["value"] == {"b": 1}


async def test_a_write_whose_outcome_nobody_knows_is_an_error(world: World) -> None:
    world.fake.loses_answers = True
    error = await world.notes.refused("dbGetOrCreate", "main")
    assert error.data == {"code": "AWAY"}
    world.fake.loses_answers = False
    made = await world.notes("dbGetOrCreate", "main")
    assert [each["dbId"] for each in await world.notes("dbList")] == [made["dbId"]]


async def test_a_table_that_changes_under_a_decision(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node writes records in between; the decision is made anew, but not for ever."""
    db, real, left = await server_db(world), world.fake.batch, 3

    async def batch(*args: Any, **options: Any) -> int:
        nonlocal left
        if left:
            left -= 1
            await world.hyper.put(db, ("atek.cloud", "service", "x"), {"n": left})
        return await real(*args, **options)

    monkeypatch.setattr(world.fake, "batch", batch)
    await world.notes("dbGetOrCreate", "main")
    assert left == 0
    left = 1000
    error = await world.notes.refused("dbGetOrCreate", "other")
    assert error.data == {"code": "CAS_FAILED", "hint": "try again"}


async def test_the_store_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    hyper = FakeHyper()
    hyper.go_away()
    monkeypatch.setattr("hyper.adb.application.PAUSE", 0.001)
    async with World(hyper) as world, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert (await world.notes("dbGetOrCreate", "main"))["writable"]

        tasks.start_soon(ask)
        await anyio.lowlevel.checkpoint()
        hyper.come_back()


async def test_the_store_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    hyper = FakeHyper()
    hyper.go_away()
    monkeypatch.setattr("hyper.adb.application.PATIENCE", 0.001)
    async with World(hyper) as world:
        error = await world.notes.refused("dbList")
        assert error.data == {"code": "AWAY"}
