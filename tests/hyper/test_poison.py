"""Values that nobody can read, in databases of real daemons: each concerns its own record alone."""

from __future__ import annotations

import pytest

from hyper.port import Changes, Listing, Undecodable
from tests.hyper.daemons import Daemon, acquaint, ready, running, write_raw
from tests.hyper.pairs import Watched, until_database, values

pytestmark = pytest.mark.anyio

POISON = {
    "no JSON": b"{",
    "nothing": b"",
    "no UTF-8": b'"\xff"',
    "half a character": b'{"id": "a", "spec": {"source": "\\ud800"}}',
    "a bomb": b"[" * 5_000_000,
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_a_value_that_nobody_can_read_stops_neither_author_nor_follower(poison: bytes) -> None:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi):
            await acquaint(pi, laptop)
            db_id = (await laptop.client.create("records")).db_id
            await laptop.client.put(db_id, ("a", "1"), 1)
            await pi.client.open(db_id)
            before = await until_database(pi.client, db_id, lambda database: database.version == 2)
            watched = Watched(pi.client.watch(db_id, ("a",), before.position))

            assert laptop.stop() == 0
            write_raw(laptop.root / "store", "records", (("a", "2"), poison), (("a", "3"), b"3"))
            laptop.start()
            await ready(laptop)

            poisoned = await watched.changes(2)
            assert [change.path for change in poisoned] == [("a", "2"), ("a", "3")]
            assert isinstance(poisoned[0].value, Undecodable) and poisoned[0].value.why
            assert poisoned[1].value == 3
            for hyper in (laptop.client, pi.client):
                listed = values(await hyper.list(db_id))
                assert (listed["a", "1"], listed["a", "3"]) == (1, 3)
                assert isinstance(listed["a", "2"], Undecodable)
                record = await hyper.get(db_id, ("a", "2"))
                assert record is not None and isinstance(record.value, Undecodable)
                assert len(await hyper.history(db_id)) == 3 and len(await hyper.diff(db_id, 1)) == 3
            listing = await Watched(pi.client.watch(db_id)).next()
            assert isinstance(listing, Listing) and len(listing.records) == 3

            await laptop.client.put(db_id, ("a", "2"), "mended")
            (mended,) = await watched.changes(1)
            assert mended.value == "mended"


async def test_a_block_that_is_none_of_a_database_hides_nothing() -> None:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi):
            await acquaint(pi, laptop)
            db_id = (await laptop.client.create("records")).db_id
            await laptop.client.put(db_id, ("a",), 1)
            await pi.client.open(db_id)
            before = await until_database(pi.client, db_id, lambda database: database.version == 2)
            watched = Watched(pi.client.watch(db_id, (), before.position))
            assert laptop.stop() == 0
            write_raw(laptop.root / "store", "records", (("b",), b"2"), block=b"\xffwhat")
            laptop.start()
            await ready(laptop)
            (change,) = await watched.changes(1)
            assert (change.path, change.value) == (("b",), 2)
            for hyper in (laptop.client, pi.client):
                await until_database(hyper, db_id, lambda database: database.version == 4)
                assert values(await hyper.list(db_id)) == {("a",): 1, ("b",): 2}
                assert len(await hyper.history(db_id)) == 2


async def test_events_of_a_fake_tell_them_too() -> None:
    from hyper.encoding.keys import key_of
    from hyper.fake.log import Block, Copy

    copy = Copy("x", writable=True)
    copy.append([Block("", None), Block(key_of(("a",)), b"{")])
    event = copy.event((), None)
    assert isinstance(event, Listing) and isinstance(event.records[0].value, Undecodable)
    assert isinstance(next(copy.changes(1, None, ())).value, Undecodable)
    assert not isinstance(event, Changes)
