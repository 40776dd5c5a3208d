"""Records: written, read, listed, compared, as the original's clients expect them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hyper.adb import records as records_module
from tests.hyper.adb.harness import BAD_PARAMS, GENERAL

if TYPE_CHECKING:
    from tests.hyper.adb.harness import World

pytestmark = pytest.mark.anyio


async def a_database(world: World, **config: Any) -> str:
    db_id: str = (await world.notes("dbCreate", config))["dbId"]
    return db_id


async def test_a_record_comes_back_as_it_was_written(world: World) -> None:
    db = await a_database(world)
    put = await world.notes("recordPut", db, "example.com/cats/kit", {"name": "Kit"})
    path = "/example.com/cats/kit"
    assert put == {
        "key": "kit",
        "path": path,
        "url": f"hyper://{db}{path}",
        "seq": 1,
        "value": {"name": "Kit"},
    }
    assert await world.notes("recordGet", db, ["example.com", "cats", "kit"]) == put
    assert await world.notes("recordGet", f"hyper://{db.upper()}/", "/example.com//cats/kit/") == put


async def test_the_layout_is_the_originals(world: World) -> None:
    """Other software finds it by its parts."""
    db = await a_database(world)
    await world.notes("recordPut", db, ["example.com/cats", "a/b"], {})
    await world.notes("recordPut", db, "example.com/cats/kit", {})
    paths = {record.path for record in await world.hyper.list(db)}
    assert paths == {("example.com/cats", "a/b"), ("example.com", "cats", "kit")}


async def test_what_is_not_there(world: World) -> None:
    db = await a_database(world)
    error = await world.notes.refused("recordGet", db, "a/b")
    assert (error.code, error.message) == (GENERAL, "Not found: a,b")


async def test_a_deleted_record_is_gone(world: World) -> None:
    db = await a_database(world)
    await world.notes("recordPut", db, "a", {})
    assert await world.notes("recordDelete", db, "a") is None
    assert await world.notes("recordDelete", db, "a") is None
    assert (await world.notes.refused("recordGet", db, "a")).message == "Not found: a"
    assert await world.notes("recordList", db, "") == {"records": []}


async def keys(world: World, db: str, path: Any, *options: Any) -> list[str]:
    return [record["key"] for record in (await world.notes("recordList", db, path, *options))["records"]]


async def test_lists_are_recursive_and_in_the_order_of_keys(world: World) -> None:
    db = await a_database(world)
    for path in ("t/b", "t/a/2", "t/a/10", "t/ab", "tt/x", "t", "other/y"):
        await world.notes("recordPut", db, path, {"at": path})
    assert await keys(world, db, "t") == ["a/10", "a/2", "ab", "b"]
    assert await keys(world, db, ["t", "a"]) == ["10", "2"]
    assert await keys(world, db, []) == ["other/y", "t", "t/a/10", "t/a/2", "t/ab", "t/b", "tt/x"]
    listed = await world.notes("recordList", db, "t/a", {"limit": 1})
    path = "/t/a/10"
    assert listed["records"] == [
        {"key": "10", "path": path, "url": f"hyper://{db}{path}", "seq": 3, "value": {"at": "t/a/10"}}
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"gt": "b"}, "c d"),
        ({"gte": "b", "lt": "d"}, "b c"),
        ({"gt": "a", "lte": "c"}, "b c"),
        ({"limit": 2}, "a b"),
        ({"limit": 2, "reverse": True}, "d c"),
        ({"lt": "c", "reverse": True}, "b a"),
        ({"limit": 0}, ""),
        ({"limit": -1}, "a b c d"),
        ({"limit": 2.0}, "a b"),
        ({"gt": None, "limit": None, "reverse": None}, "a b c d"),
        ({"onInvalid": "throw", "timeout": 3}, "a b c d"),
        ({"gt": "b\x00"}, "c d"),
        ({"gt": ["b"]}, "c d"),
        (None, "a b c d"),
    ],
)
async def test_ranges(world: World, options: Any, expected: str) -> None:
    db = await a_database(world)
    for key in "dbca":
        await world.notes("recordPut", db, ["t", key], {})
    assert await keys(world, db, "t", options) == expected.split()


async def test_a_list_of_many_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "PAGE", 3)
    db = await a_database(world)
    names = [f"{number:02}" for number in range(10)]
    for name in names:
        await world.notes("recordPut", db, ["t", "sub", name], {"n": name})
    assert await keys(world, db, "t/sub") == names
    assert await keys(world, db, "t", {"reverse": True}) == [f"sub/{name}" for name in reversed(names)]
    for limit in range(12):
        assert await keys(world, db, "t/sub", {"limit": limit}) == names[:limit]
        assert await keys(world, db, "t/sub", {"limit": limit, "gt": "02"}) == names[3:][:limit]
        assert await keys(world, db, "t/sub", {"limit": limit, "reverse": True}) == names[::-1][:limit]


async def test_a_list_that_is_too_large_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "PAGE", 3)
    monkeypatch.setattr(records_module, "LARGEST_ANSWER", 2000)
    db = await a_database(world)
    for number in range(9):
        await world.notes("recordPut", db, ["t", str(number)], {"text": "x" * 300})
    error = await world.notes.refused("recordList", db, "t")
    assert error.code == GENERAL and "larger than 2000" in error.message
    assert len(await keys(world, db, "t", {"limit": 4})) == 4


async def test_what_differs_between_two_versions(world: World) -> None:
    db = await a_database(world)
    for path in ("t/changed", "t/gone", "u/same"):
        await world.notes("recordPut", db, path, {"is": "old"})
    left = (await world.hyper.info(db)).version
    await world.notes("recordPut", db, "t/changed", {"is": "new"})
    await world.notes("recordDelete", db, "t/gone")
    right = (await world.hyper.info(db)).version
    await world.notes("recordPut", db, "v/fresh", {})
    told = await world.notes("recordDiff", db, {"left": left, "right": right})
    assert [{side: each[side]["value"]["is"] for side in each} for each in told] == [
        {"left": "old", "right": "new"},
        {"left": "old"},
    ]
    assert told[0]["left"]["path"] == "/t/changed" and told[0]["left"]["key"] == "t/changed"
    newest = await world.notes("recordDiff", db, {"left": left, "tableIds": ["v", ["t"]]})
    assert [sorted(each) for each in newest] == [["right"], ["left", "right"], ["left"]]
    assert [each["right"]["key"] for each in newest[:2]] == ["fresh", "changed"]


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("recordGet", [], "Parameter 1 must be string"),
        ("recordGet", ["DB"], "Parameter 2 must be string"),
        ("recordGet", ["DB", 3], "Parameter 2 must be string"),
        ("recordGet", ["DB", ["a", 3]], "Parameter 2 must be string"),
        ("recordGet", ["DB", []], "Parameter 2 must NOT have fewer than 1 items"),
        ("recordGet", ["DB", ["a", ""]], "Parameter 2 must have parts without NUL that are not empty"),
        ("recordGet", ["DB", "a\0b"], "Parameter 2 must have parts without NUL that are not empty"),
        ("recordPut", ["DB", "a"], "Parameter 3 must be object"),
        ("recordPut", ["DB", "a", []], "Parameter 3 must be object"),
        ("recordPut", ["DB", "a", "text"], "Parameter 3 must be object"),
        ("recordList", ["DB", None], "Parameter 2 must be string"),
        ("recordList", ["DB", "a", []], "Parameter 3 must be object"),
        ("recordList", ["DB", "a", {"gt": 3}], "Parameter 3/gt must be string"),
        ("recordList", ["DB", "a", {"limit": "3"}], "Parameter 3/limit must be number"),
        ("recordList", ["DB", "a", {"limit": True}], "Parameter 3/limit must be number"),
        ("recordList", ["DB", "a", {"limit": 1.5}], "Parameter 3/limit must be integer"),
        ("recordList", ["DB", "a", {"reverse": 1}], "Parameter 3/reverse must be boolean"),
        ("recordDiff", ["DB"], "Parameter 2 must have required property 'left'"),
        ("recordDiff", ["DB", {"left": -1}], "Parameter 2/left must be integer"),
        ("recordDiff", ["DB", {"left": 1, "tableIds": "a"}], "Parameter 2/tableIds must be array"),
        ("recordDiff", ["DB", {"left": 1, "tableIds": [3]}], "Parameter 2/tableIds must be string"),
    ],
)
async def test_params_that_are_none(world: World, method: str, params: list[Any], message: str) -> None:
    db = await a_database(world)
    error = await world.notes.refused(method, *(db if each == "DB" else each for each in params))
    assert (error.code, error.message) == (BAD_PARAMS, message)


async def test_a_number_that_javascript_cannot_keep(world: World) -> None:
    db = await a_database(world)
    error = await world.notes.refused("recordPut", db, "a", {"n": 2**60})
    assert error.code == BAD_PARAMS


@pytest.mark.parametrize("name", ["nobodys-alias", "abc", "x" * 64, "hyper://abc"])
async def test_a_database_that_is_none(world: World, name: str) -> None:
    error = await world.notes.refused("recordGet", name, "a")
    assert (error.code, error.message) == (GENERAL, f"Invalid database ID: {name}")


async def test_the_daemons_troubles_are_told(world: World) -> None:
    db = await a_database(world)
    world.fake.fails = "NO_SPACE"
    error = await world.notes.refused("recordPut", db, "a", {})
    assert error.code == GENERAL and error.data == {"code": "NO_SPACE"}
    world.fake.fails = None
    world.fake.go_away()
    error = await world.notes.refused("recordGet", db, "a")
    assert error.code == GENERAL and error.data == {"code": "AWAY"}
    world.fake.come_back()
    await world.notes("recordPut", db, "a", {})


async def test_what_the_daemon_closed_is_opened_again(world: World) -> None:
    """As after its restart."""
    db = await a_database(world)
    await world.notes("recordPut", db, "a", {"b": 1})
    asks: list[list[Any]] = [
        ["recordGet", db, "a"],
        ["recordList", db, ""],
        ["recordPut", db, "a", {}],
        ["recordDelete", db, "a"],
        ["recordDiff", db, {"left": 1}],
    ]
    for ask in asks:
        await world.hyper.close(db)
        await world.notes(*ask)
