"""Paths, ranges and order, for all there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyper.adb import records as records_module
from hyper.adb.databases import Databases
from hyper.adb.methods import Methods
from hyper.adb.records import Records
from hyper.adb.rules.errors import RpcError
from hyper.adb.rules.params import Params
from hyper.adb.rules.paths import db_key, shown_at, split_path
from hyper.adb.store import Store
from hyper.adb.tables import Tables
from hyper.fake import FakeHyper
from hyper.port import Record, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from hyper.port import RecordPath

PART = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4)
#: Few letters, so that paths meet; / and what sorts before it too.
CLOSE_PART = st.text("ab/!\x01é", min_size=1, max_size=3)
PATH = st.lists(CLOSE_PART, min_size=1, max_size=4).map(tuple)


@given(st.lists(PART.filter(lambda part: "/" not in part), max_size=5))
def test_text_is_split_as_it_was_joined(parts: list[str]) -> None:
    text = "/".join(parts)
    assert split_path(text) == split_path(f"//{text}/") == tuple(parts)
    assert Params([text]).prefix(0) == Params([parts]).prefix(0) == tuple(parts)


@given(
    st.one_of(st.text(), st.lists(st.one_of(st.text(), st.integers(), st.none())), st.integers(), st.none())
)
def test_whatever_is_given_is_a_path_or_refused(value: Any) -> None:
    try:
        path = Params([value]).path(0)
    except RpcError:
        return
    assert path and all(isinstance(part, str) and part and "\0" not in part for part in path)


@given(st.text())
def test_an_id_is_a_key_or_none(text: str) -> None:
    key = db_key(text)
    assert key is None or (len(key) == 64 and key in text.lower())


@given(st.from_regex("[0-9a-fA-F]{64}", fullmatch=True))
def test_ids_are_the_same_however_they_are_written(key: str) -> None:
    assert db_key(key) == db_key(f"hyper://{key}") == db_key(f"hyper://{key}/a/b") == key.lower()
    assert db_key(key[1:]) is None and db_key(f"{key}0") is None and db_key(f" {key}") is None


@given(st.lists(PART, min_size=1, max_size=4), st.integers(0, 3))
def test_a_record_says_where_it_is(path: list[str], size: int) -> None:
    prefix = tuple(path[:size])
    told = shown_at("ab", tuple(path), 3, {}, prefix)
    assert told["url"] == "hyper://ab" + told["path"]
    if len(path) > len(prefix):
        assert told["path"] == "/" + "/".join([*prefix, told["key"]])


class Small:
    """The methods on a store with these records, without the server around them."""

    def __init__(self, hyper: FakeHyper, db_id: str, server: str) -> None:
        store, tables = Store(hyper), Tables(server)
        databases = Databases(store, tables, now=str, new_name=str)
        self._methods = Methods(tables, databases, Records(store, databases, tables))
        self._db_id = db_id

    @classmethod
    async def make(cls, records: Mapping[RecordPath, Any]) -> Small:
        hyper = FakeHyper()
        db_id = (await hyper.create("db")).db_id
        await hyper.batch(db_id, [Write(path, value) for path, value in records.items()])
        return cls(hyper, db_id, (await hyper.create("records")).db_id)

    async def list(self, path: RecordPath, options: Any = None) -> list[Any]:
        given = [self._db_id, list(path), options]
        told: Any = await self._methods.call("system", "system", "recordList", given)
        # A long one is JSON already.
        found: list[Any] = orjson.loads(orjson.dumps(told))["records"]
        return found


BOUND = st.one_of(st.none(), st.text("ab/!\x01é\0", max_size=4))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "gt": BOUND, "gte": BOUND, "lt": BOUND, "lte": BOUND,
        "limit": st.integers(0, 8), "reverse": st.booleans(),
    },
)  # fmt: skip


def expected(paths: set[RecordPath], prefix: RecordPath, options: dict[str, Any]) -> list[RecordPath]:
    """Said once more, from the words of the documentation: keys are compared as their UTF-8 bytes."""

    def rest(path: RecordPath) -> bytes:
        return "\0".join(path[len(prefix) :]).encode()

    def bound(name: str) -> bytes | None:
        value = options.get(name)
        return None if value is None else value.encode()

    found = [path for path in paths if path[: len(prefix)] == prefix and len(path) > len(prefix)]
    if (gt := bound("gt")) is not None:
        found = [path for path in found if rest(path) > gt]
    if (gte := bound("gte")) is not None:
        found = [path for path in found if rest(path) >= gte]
    if (lt := bound("lt")) is not None:
        found = [path for path in found if rest(path) < lt]
    if (lte := bound("lte")) is not None:
        found = [path for path in found if rest(path) <= lte]
    found.sort(key=rest, reverse=options.get("reverse", False))
    return found[: options.get("limit")]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.sets(PATH, max_size=12),
    prefix=st.lists(CLOSE_PART, max_size=2).map(tuple),
    options=OPTIONS,
    page=st.integers(1, 4),
)
def test_a_list_is_what_the_range_says(
    monkeypatch: pytest.MonkeyPatch,
    paths: set[RecordPath],
    prefix: RecordPath,
    options: dict[str, Any],
    page: int,
) -> None:
    """However many pages it takes."""
    monkeypatch.setattr(records_module, "PAGE", page)

    async def listed() -> list[Any]:
        small = await Small.make({path: {"path": list(path)} for path in paths})
        return [tuple(each["value"]["path"]) for each in await small.list(prefix, options)]

    assert anyio.run(listed) == expected(paths, prefix, options)


def test_null_is_shown_as_an_empty_object() -> None:
    """Other software may write it; the original's clients expect an object."""
    record = Record(("a",), 1, None)
    assert shown_at("ab", record.path, record.seq, record.value)["value"] == {}
