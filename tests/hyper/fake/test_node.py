"""What only the fake can do: trouble on demand, on a virtual clock."""

from __future__ import annotations

import anyio
import pytest
from trio.testing import MockClock

from hyper.fake import FakeHyper, FakeNetwork
from hyper.port import Changes, Forked, HyperError, Listing, Peer, Position, Write

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, MockClock]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


@pytest.fixture
def laptop(network: FakeNetwork) -> FakeHyper:
    return FakeHyper(network, "laptop")


@pytest.fixture
def pi(network: FakeNetwork) -> FakeHyper:
    return FakeHyper(network, "pi")


async def test_followers_see_versions_only_while_connected(
    network: FakeNetwork, laptop: FakeHyper, pi: FakeHyper
) -> None:
    db = (await laptop.create("records")).db_id
    await pi.open(db)
    network.connect(laptop, pi)
    await laptop.put(db, ("a",), 1)
    network.cut(laptop, pi)
    await laptop.put(db, ("a",), 2)
    record = await pi.get(db, ("a",))
    assert record is not None and record.value == 1
    network.heal(laptop, pi)
    record = await pi.get(db, ("a",))
    assert record is not None and record.value == 2


async def test_what_is_followed_goes_on_through_others(
    network: FakeNetwork, laptop: FakeHyper, pi: FakeHyper
) -> None:
    third = FakeHyper(network, "third")
    network.connect(laptop, pi)
    network.connect(pi, third)
    db = (await laptop.create("records")).db_id
    await pi.open(db)
    await third.open(db)
    await laptop.put(db, ("a",), 1)
    assert (await third.info(db)).version == 2


async def test_a_peer_is_reached_at_its_address_when_it_lets_us_in(laptop: FakeHyper, pi: FakeHyper) -> None:
    host, port = laptop.address.split(":")
    await pi.add_peer(Peer(host, int(port), laptop.noise_key))
    assert not (await pi.status()).peers
    await laptop.allow([pi.noise_key])
    assert (await pi.status()).peers == [laptop.noise_key]
    await pi.add_peer(Peer(host, int(port) + 5, laptop.noise_key))
    assert not (await laptop.status()).peers


async def test_calls_fail_while_the_daemon_is_away_and_watches_go_on(pi: FakeHyper) -> None:
    db = (await pi.create("records")).db_id
    events = pi.watch(db)
    assert isinstance(await anext(events), Listing)
    pi.go_away()
    with pytest.raises(HyperError) as error:
        await pi.get(db, ("a",))
    assert error.value.code == "AWAY"
    with anyio.move_on_after(3600) as scope:
        await anext(pi.watch(db))
    assert scope.cancelled_caught
    pi.come_back()
    await pi.put(db, ("a",), 1)
    event = await anext(events)
    assert isinstance(event, Changes) and event.changes[0].value == 1


async def test_a_failing_write_does_nothing_and_a_lost_answer_does(pi: FakeHyper) -> None:
    db = (await pi.create("records")).db_id
    pi.fails = "NO_SPACE"
    with pytest.raises(HyperError, match="NO_SPACE"):
        await pi.put(db, ("a",), 1)
    assert await pi.get(db, ("a",)) is None
    pi.fails, pi.loses_answers = None, True
    with pytest.raises(HyperError) as error:
        await pi.batch(db, [Write(("a",), 1)])
    assert error.value.code == "AWAY" and await pi.get(db, ("a",)) is not None


async def test_a_follower_that_lags_knows_how_far(
    network: FakeNetwork, laptop: FakeHyper, pi: FakeHyper
) -> None:
    network.connect(laptop, pi)
    db = (await laptop.create("records")).db_id
    await pi.open(db)
    pi.lag(db)
    await laptop.put(db, ("a",), 1)
    seen = await pi.info(db)
    assert (seen.version, seen.known) == (1, 2)
    with pytest.raises(HyperError) as error:
        await pi.sync(db, timeout=60)
    assert error.value.code == "TIMEOUT"
    pi.lag(db, lagging=False)
    assert (await pi.sync(db, timeout=60)).version == 2


async def test_who_lost_blocks_gets_them_back_from_a_follower(
    network: FakeNetwork, laptop: FakeHyper, pi: FakeHyper
) -> None:
    network.connect(laptop, pi)
    db = (await laptop.create("records")).db_id
    await pi.open(db)
    await laptop.put(db, ("a",), 1)
    network.cut(laptop, pi)
    laptop.lose(db)
    assert await laptop.get(db, ("a",)) is None
    network.heal(laptop, pi)
    assert await laptop.get(db, ("a",)) is not None and not (await laptop.info(db)).conflict


async def test_a_forked_log_stops_both_until_it_is_repaired(
    network: FakeNetwork, laptop: FakeHyper, pi: FakeHyper
) -> None:
    network.connect(laptop, pi)
    db = (await laptop.create("records")).db_id
    await laptop.put(db, ("a",), 1)
    await pi.open(db)
    events = pi.watch(db, since=Position(0, 2))
    laptop.fork_log(db)
    assert isinstance(await anext(events), Forked)
    assert (await pi.info(db)).conflict and (await laptop.info(db)).conflict
    with pytest.raises(HyperError) as error:
        await laptop.put(db, ("b",), 1)
    assert error.value.code == "CONFLICT"
    await laptop.repair(db)
    event = await anext(events)
    assert isinstance(event, Listing) and event.position == Position(1, 1)
    await laptop.put(db, ("b",), 1)
    assert await pi.get(db, ("b",)) is not None


async def test_a_restored_store_has_its_keys_and_its_followers_data(
    network: FakeNetwork, laptop: FakeHyper, pi: FakeHyper
) -> None:
    network.connect(laptop, pi)
    db = (await laptop.create("records")).db_id
    await pi.open(db)
    await laptop.put(db, ("a",), 1)
    keys = await laptop.export_keys()
    laptop.go_away()
    restored = FakeHyper(network, "new laptop", primary_key=keys["primaryKey"])
    network.connect(restored, pi)
    assert (await restored.create("records")).db_id == db
    assert await restored.get(db, ("a",)) is not None
