"""The change feed: what its subscribers learn, where they may go on, and what they may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from hyper.adb import feed as feed_module
from hyper.adb import subscription as subscription_module
from hyper.core_services import ADB_FEED_PATH
from tests.hyper.adb.harness import BAD_PARAMS, NO_METHOD, UPGRADE, RpcFailed, until
from tests.runtimes.router.frames import BINARY, CLOSE, TEXT, frame, read_message
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.hyper.adb.harness import World

pytestmark = pytest.mark.anyio


async def a_database(world: World, **config: Any) -> str:
    db_id: str = (await world.notes("dbCreate", config))["dbId"]
    return db_id


async def test_all_there_is_and_then_what_changes(world: World) -> None:
    db = await a_database(world)
    await world.notes("recordPut", db, "t/a", {"n": 1})
    feed = await world.notes.feed()
    assert await feed("subscribe", db) == {"subscription": 1}
    path = "/t/a"
    record = {"key": "t/a", "path": path, "url": f"hyper://{db}{path}", "seq": 1, "value": {"n": 1}}
    listing = {"subscription": 1, "fork": 0, "version": 2, "records": [record], "more": False}
    assert await feed.next() == ("records", listing)
    await world.notes("recordPut", db, "t/b", {"n": 2})
    method, told = await feed.next()
    assert method == "changes" and (told["fork"], told["from"], told["to"]) == (0, 2, 3)
    assert [(each["path"], each["value"]) for each in told["changes"]] == [("/t/b", {"n": 2})]
    await world.notes("recordDelete", db, "t/a")
    _, told = await feed.next()
    gone = {"key": "t/a", "path": path, "url": f"hyper://{db}{path}", "seq": 3, "deleted": True}
    assert told["changes"] == [gone]
    await feed.close()


async def test_only_what_is_under_a_path(world: World) -> None:
    db = await a_database(world)
    feed = await world.notes.feed()
    await feed("subscribe", db, "t/sub")
    assert (await feed.next())[1]["records"] == []
    for path in ("t/other", "t/sub", "t/sub/a/b"):
        await world.notes("recordPut", db, path, {})
    _, told = await feed.next()
    assert [each["key"] for each in told["changes"]] == ["a/b"]


async def test_going_on_where_one_was(world: World) -> None:
    """Nothing is missed and nothing is told twice, whatever happened in between."""
    db = await a_database(world)
    feed = await world.notes.feed()
    await feed("subscribe", db)
    _, told = await feed.next()
    position = {"fork": told["fork"], "version": told["version"]}
    await feed.close()
    for number in range(300):
        await world.hyper.put(db, ("t", str(number)), {"n": number})
    feed = await world.notes.feed()
    await feed("subscribe", db, None, {"since": position})
    seen: list[int] = []
    while len(seen) < 300:
        method, told = await feed.next()
        assert method == "changes" and told["from"] == position["version"]
        position = {"fork": told["fork"], "version": told["to"]}
        seen += [each["value"]["n"] for each in told["changes"]]
    assert seen == list(range(300))


@pytest.mark.parametrize("since", [{"fork": 7, "version": 1}, {"fork": 0, "version": 99}])
async def test_a_position_that_is_none_starts_anew(world: World, since: dict[str, int]) -> None:
    db = await a_database(world)
    await world.notes("recordPut", db, "a", {})
    feed = await world.notes.feed()
    await feed("subscribe", db, "", {"since": since})
    method, told = await feed.next()
    assert method == "records" and [each["key"] for each in told["records"]] == ["a"]


async def test_many_records_come_in_several_messages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_module, "RECORDS_AT_ONCE", 2)
    db = await a_database(world)
    for key in "abcd":
        await world.notes("recordPut", db, key, {})
    feed = await world.notes.feed()
    await feed("subscribe", db)
    messages = [await feed.next() for _ in range(2)]
    told = [([each["key"] for each in message["records"]], message["more"]) for _, message in messages]
    assert told == [(["a", "b"], True), (["c", "d"], False)]


async def test_several_subscriptions_of_one_client(world: World) -> None:
    one, other = await a_database(world), await a_database(world, alias="other")
    feed = await world.notes.feed()
    assert await feed("subscribe", one) == {"subscription": 1}
    assert await feed("subscribe", "other") == {"subscription": 2}
    assert {(await feed.next())[1]["subscription"] for _ in range(2)} == {1, 2}
    assert await feed("unsubscribe", 1) is None
    assert await feed("unsubscribe", 1) is None
    await world.notes("recordPut", one, "a", {})
    await world.notes("recordPut", other, "b", {})
    method, told = await feed.next()
    assert (method, told["subscription"], told["changes"][0]["key"]) == ("changes", 2, "b")


async def test_whoever_may_not_read_may_not_listen(world: World) -> None:
    db = await a_database(world, access="private")
    feed = await world.bob.feed()
    with pytest.raises(RpcFailed, match=f"Not authorized to access {db}"):
        await feed("subscribe", db)
    server = (await world.system("getConfig"))["serverDbId"]
    with pytest.raises(RpcFailed, match="Not authorized"):
        await feed("subscribe", server)


async def test_what_is_taken_back_is_over(world: World) -> None:
    db = await a_database(world)
    feed = await world.bob.feed()
    await feed("subscribe", db)
    await feed.next()
    await world.notes("recordPut", db, "a", {})
    assert (await feed.next())[0] == "changes"
    await world.notes("dbConfigure", db, {"access": "private"})
    await world.notes("recordPut", db, "secret", {})
    error = {"code": -32003, "message": f"Not authorized to access {db}"}
    assert await feed.next() == ("ended", {"subscription": 1, "error": error})
    await world.notes("dbConfigure", db, {"access": "public"})
    assert await feed("subscribe", db) == {"subscription": 2}


async def test_without_an_identity(world: World) -> None:
    feed = await world.feed()
    with pytest.raises(RpcFailed, match="Not authorized"):
        await feed("subscribe", "ab" * 32)


async def test_a_forked_log(world: World) -> None:
    db = await a_database(world)
    other = type(world.fake)(world.network, "other")
    await other.open(db)
    await world.notes("recordPut", db, "a", {})
    feed = await world.notes.feed()
    await feed("subscribe", db)
    await feed.next()
    world.network.connect(world.fake, other)
    world.network.cut(world.fake, other)
    world.fake.fork_log(db)
    world.network.heal(world.fake, other)
    while (told := await feed.next())[0] == "changes":
        pass
    assert told == ("forked", {"subscription": 1})


async def test_the_store_goes_and_comes_back(world: World) -> None:
    db = await a_database(world)
    feed = await world.notes.feed()
    await feed("subscribe", db)
    await feed.next()
    world.fake.go_away()
    with pytest.raises(RpcFailed) as caught:
        await feed("subscribe", db)
    assert caught.value.data == {"code": "AWAY"}
    world.fake.come_back()
    await world.notes("recordPut", db, "a", {})
    assert (await feed.next())[1]["changes"][0]["key"] == "a"


async def test_a_slow_client_holds_up_nobody(world: World) -> None:
    """What it does not read is not made either; once it reads, all of it comes."""
    db = await a_database(world)
    feed = await world.notes.feed()
    await feed("subscribe", db)
    await feed.next()
    text = "x" * 100_000
    for number in range(100):
        await world.notes("recordPut", db, "a", {"n": number, "text": text})
    seen = -1
    while seen < 99:
        _, told = await feed.next()
        for change in told["changes"]:
            assert change["value"]["n"] == seen + 1
            seen += 1


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("subscribe", [], BAD_PARAMS),
        ("subscribe", [3], BAD_PARAMS),
        ("subscribe", ["DB", 3], BAD_PARAMS),
        ("subscribe", ["DB", "a", 3], BAD_PARAMS),
        ("subscribe", ["DB", "a", {"since": 3}], BAD_PARAMS),
        ("subscribe", ["DB", "a", {"since": {"fork": "0", "version": 1}}], BAD_PARAMS),
        ("unsubscribe", [], BAD_PARAMS),
        ("unsubscribe", ["1"], BAD_PARAMS),
        ("recordPut", ["DB", "a", {}], NO_METHOD),
    ],
)
async def test_what_a_feed_does_not_take(world: World, method: str, params: list[Any], code: int) -> None:
    db = await a_database(world)
    feed = await world.notes.feed()
    with pytest.raises(RpcFailed) as caught:
        await feed(method, *(db if each == "DB" else each for each in params))
    assert caught.value.code == code


async def test_subscriptions_have_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MOST_SUBSCRIPTIONS", 2)
    db = await a_database(world)
    feed = await world.notes.feed()
    for _ in range(2):
        await feed("subscribe", db)
    with pytest.raises(RpcFailed, match="More than 2 subscriptions"):
        await feed("subscribe", db)
    await feed("unsubscribe", 1)
    assert await feed("subscribe", db) == {"subscription": 3}


async def test_requests_have_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are answered, though not at once."""
    monkeypatch.setattr(feed_module, "MOST_WAITING", 2)
    feed = await world.notes.feed()
    message = orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": "unsubscribe", "params": [1]})
    await feed.wire.send(frame(TEXT, message, masked=True) * 50)
    for _ in range(50):
        assert orjson.loads((await read_message(feed.wire))[1])["id"] == 7


async def test_messages_in_pieces_and_in_bytes(world: World) -> None:
    """The original's library sends everything as bytes."""
    db = await a_database(world)
    feed = await world.notes.feed()
    message = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": [db]})
    first = frame(BINARY, message[:10], masked=True, last=False)
    await feed.wire.send(first + frame(9, b"ping", masked=True) + frame(0, message[10:], masked=True))
    assert await read_message(feed.wire) == (10, b"ping")
    kind, data = await read_message(feed.wire)
    assert (kind, orjson.loads(data)["result"]) == (TEXT, {"subscription": 1})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"{}"), 1002),
        (frame(3, b"", masked=True), 1002),
        (frame(TEXT, b"x" * 70_000, masked=True), 1009),
        (frame(TEXT, b"x" * 40_000, masked=True, last=False) + frame(0, b"x" * 40_000, masked=True), 1009),
    ],
    # Masks are random, and no names.
    ids=["unmasked", "reserved", "large", "large in parts"],
)
async def test_what_is_no_message_ends_the_connection(world: World, data: bytes, code: int) -> None:
    feed = await world.notes.feed()
    await feed.wire.send(data)
    kind, payload = await read_message(feed.wire)
    assert (kind, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
    assert await feed.wire.rest() == b""


@pytest.mark.parametrize("message", [b"", b"{", b"[]", b"\xff"])
async def test_what_is_no_call_is_told(world: World, message: bytes) -> None:
    feed = await world.notes.feed()
    await feed.wire.send(frame(BINARY, message, masked=True))
    _, data = await read_message(feed.wire)
    assert orjson.loads(data)["error"]["code"] in (-32700, -32600)


async def test_a_bad_handshake(world: World) -> None:
    for fields in (UPGRADE[:2], UPGRADE[:3], (*UPGRADE[:2], "Sec-WebSocket-Version: 8", UPGRADE[3])):
        wire = await world.connect()
        await wire.send(request("GET", ADB_FEED_PATH, *fields))
        assert (await wire.answer()).status in (400, 426)
        assert await wire.rest() == b""
    wire = await world.connect()
    await wire.send(request("GET", "/elsewhere", *UPGRADE))
    assert (await wire.answer()).status == 404


async def test_nothing_stays_of_clients_that_left(world: World) -> None:
    db = await a_database(world)
    before = {id(copy) for copy in world.fake.copies.values()}
    for _ in range(5):
        feed = await world.notes.feed()
        await feed("subscribe", db)
        await feed.wire.close()
    assert {id(copy) for copy in world.fake.copies.values()} == before
    await world.notes("recordPut", db, "a", {})
    await until(lambda: not [task for task in _tasks() if "Feed" in repr(task.get_coro())])


def _tasks() -> set[Any]:
    import asyncio

    return asyncio.all_tasks()


async def test_at_the_end_feeds_are_told(world: World) -> None:
    feed = await world.notes.feed()
    world.stop.set()
    kind, payload = await read_message(feed.wire)
    assert (kind, payload[:2]) == (CLOSE, (1001).to_bytes(2, "big"))
    assert await feed.wire.rest() == b""
