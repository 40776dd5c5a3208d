"""JSON Schemas of apps: what they are for, that they hold, and that they can do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.hyper.adb.harness import BAD_PARAMS, GENERAL

if TYPE_CHECKING:
    from tests.hyper.adb.harness import World

pytestmark = pytest.mark.anyio

CAT = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "createdAt": {"type": "string", "format": "date-time"}},
    "required": ["id"],
}
CATS = {"example.com/cats": CAT}


async def test_what_does_not_fit_is_not_written(world: World) -> None:
    db = (await world.notes("dbCreate", {"schemas": CATS}))["dbId"]
    await world.notes(
        "recordPut", db, "example.com/cats/kit", {"id": "kit", "createdAt": "2021-09-07T01:06:07Z"}
    )
    for value, message in (
        ({}, 'the value: "id" is a required property'),
        ({"id": 3}, '/id: 3 is not of type "string"'),
        ({"id": "kit", "createdAt": "yesterday"}, '/createdAt: "yesterday" is not a "date-time"'),
    ):
        error = await world.notes.refused("recordPut", db, "example.com/cats/tom", value)
        assert (error.code, error.message, error.data) == (GENERAL, message, {"code": "SCHEMA"})
    assert len((await world.notes("recordList", db, ""))["records"]) == 1


async def test_it_is_for_what_is_under_its_path(world: World) -> None:
    db = (await world.notes("dbCreate", {"schemas": CATS}))["dbId"]
    for free in (
        "example.com/cats",
        "example.com/catsup/x",
        "example.com/dogs/rex",
        ["example.com/cats", "x"],
    ):
        await world.notes("recordPut", db, free, {})
    for bound in ("example.com/cats/a", ["example.com", "cats", "a", "b"]):
        await world.notes.refused("recordPut", db, bound, {})


async def test_administrators_are_bound_as_well(world: World) -> None:
    db = (await world.notes("dbCreate", {"schemas": CATS}))["dbId"]
    await world.system.refused("recordPut", db, "example.com/cats/a", {})


async def test_several_that_fit_all_count(world: World) -> None:
    schemas = {"a": {"required": ["x"]}, "a/b": {"required": ["y"]}}
    db = (await world.notes("dbCreate", {"schemas": schemas}))["dbId"]
    await world.notes("recordPut", db, "a/b/c", {"x": 1, "y": 1})
    await world.notes("recordPut", db, "a/c", {"x": 1})
    for value in ({"x": 1}, {"y": 1}):
        await world.notes.refused("recordPut", db, "a/b/c", value)


async def test_they_are_part_of_the_config(world: World) -> None:
    await world.notes("dbGetOrCreate", "main")
    assert await world.notes("dbGetConfig", "main") == {"access": "public", "alias": "main"}
    await world.notes("dbConfigure", "main", {"schemas": CATS})
    assert (await world.notes("dbGetConfig", "main"))["schemas"] == CATS
    await world.notes.refused("recordPut", "main", "example.com/cats/a", {})
    await world.notes("dbConfigure", "main", {"access": "private"})
    await world.notes.refused("recordPut", "main", "example.com/cats/a", {})
    await world.notes("dbConfigure", "main", {"schemas": {}})
    await world.notes("recordPut", "main", "example.com/cats/a", {})
    assert await world.notes("dbGetConfig", "main") == {"access": "private", "alias": "main"}


@pytest.mark.parametrize(
    "schemas",
    [
        {"a": 3},
        {"a": "{}"},
        {"a": None},
        {"a": {"type": "objct"}},
        {"a": {"pattern": "("}},
        {"a": {"$schema": "http://example.com/mine"}},
        {"a": {"$ref": "http://127.0.0.1:1/secret"}},
        {"a": {"$ref": "file:///etc/passwd"}},
        {"": {}},
        {"a\0b": {}},
        {"a": {"description": "x" * 70_000}},
    ],
)
async def test_what_is_no_schema(world: World, schemas: Any) -> None:
    error = await world.notes.refused("dbCreate", {"schemas": schemas})
    assert error.code == BAD_PARAMS and error.message.startswith("schemas: ")
    await world.notes("dbGetOrCreate", "main")
    assert (await world.notes.refused("dbConfigure", "main", {"schemas": schemas})).code == BAD_PARAMS


async def test_a_pattern_takes_no_longer_than_its_text(world: World) -> None:
    """With backtracking this one would keep everybody waiting for longer than the world lasts."""
    schemas = {"a": {"properties": {"id": {"pattern": "^(a+)+$"}}}}
    db = (await world.notes("dbCreate", {"schemas": schemas}))["dbId"]
    await world.notes.refused("recordPut", db, "a/b", {"id": "a" * 5000 + "!"})
    await world.notes("recordPut", db, "a/b", {"id": "a" * 5000})


async def test_newer_drafts(world: World) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "prefixItems": [{}],
        "required": ["x"],
    }
    db = (await world.notes("dbCreate", {"schemas": {"a": schema}}))["dbId"]
    await world.notes.refused("recordPut", db, "a/b", {})
    await world.notes("recordPut", db, "a/b", {"x": 1})


async def test_schemas_that_somebody_broke_in_the_table(world: World) -> None:
    """An error for the writer, and nothing worse."""
    db = (await world.notes("dbCreate"))["dbId"]
    server = (await world.system("getConfig"))["serverDbId"]
    record = await world.system("recordGet", server, ["atek.cloud", "database", db])
    broken = record["value"] | {"schemas": {"a": {"type": "objct"}}}
    await world.system("recordPut", server, ["atek.cloud", "database", db], broken)
    assert (await world.notes.refused("recordPut", db, "a/b", {})).code == BAD_PARAMS
