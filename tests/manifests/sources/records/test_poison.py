"""Records that nobody can read, among those that are fine: through the source, its journal and its judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hyper.encoding.keys import key_of
from hyper.fake.log import Block
from hyper.port import Record, Undecodable
from manifests.documents.record import read_record, record_path
from manifests.sources import judging
from tests.manifests.sources.records.worlds import World, spec, watching

if TYPE_CHECKING:
    from hyper.port import RecordPath
    from manifests.documents.record import Recorded
    from manifests.model.snapshot import Problem

pytestmark = pytest.mark.anyio


def poison(world: World, path: RecordPath, value: bytes = b"{") -> None:
    """What no daemon would write."""
    world.laptop._write(world.laptop._copy(world.db), [Block(key_of(path), value)])


async def test_a_value_that_cannot_be_read_keeps_what_the_service_was(world: World) -> None:
    await world.write(spec("a"), spec("b"))
    async with watching(world.follow()) as pi:
        await pi.until_ids("a", "b")
        a = pi.find("a")
        poison(world, record_path("key-a"))
        await world.write(spec("c"))
        await pi.until_ids("a", "b", "c")
        await pi.until_reason("a", "BrokenRecord")
        assert pi.find("a") is a
        assert "its value cannot be read: it is no JSON" in str(pi.problem("a"))
    # It is in the journal too, and what was good before it.
    async with watching(world.follow()) as pi:
        await pi.until_ids("a", "b", "c")
        assert pi.reasons == {"a": "BrokenRecord"} and pi.source.snapshot.known
        await world.write(spec("a", port=80))
        await pi.until(lambda: pi.find("a").manifest.port == 80 and not pi.source.snapshot.problems)


async def test_one_that_was_never_anything_is_told_by_its_key(world: World) -> None:
    await world.write(spec("a"))
    poison(world, record_path("odd"))
    async with watching(world.follow()) as pi:
        await pi.until_ids("a")
        assert pi.reasons == {"odd": "BrokenRecord"}
    async with watching(world.own()) as laptop:
        await laptop.until_ids("a")
        assert laptop.reasons == {"odd": "BrokenRecord"}


async def test_a_defect_in_judging_one_record_is_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(record: Record, source: str) -> tuple[Recorded | None, Problem | None]:
        if "odd" in record.path[-1]:
            raise RecursionError("too deep")
        return read_record(record, source)

    monkeypatch.setattr(judging, "read_record", odd)
    await world.write(spec("a"), spec("odd"))
    async with watching(world.follow()) as pi:
        await world.write(spec("b"))
        await pi.until_ids("a", "b")
        assert pi.reasons == {"odd": "InternalError"}


@pytest.mark.parametrize(
    "value",
    [Undecodable("it is no JSON"), None, 1, "\ud800", [], {}, {"spec": {"id": "a\ud800"}}, {"spec": []},
     {"id": "a", "sourceUrl": "a\0b"}, {"id": "a", "config": [1]}, {"id": "a", "config": {"A": "\ud800"}},
     {"spec": {"id": "a", "command": ["\0"]}}, {"spec": {"id": "a", "env": {"\ud800": "1"}}}],
)  # fmt: skip
def test_whatever_a_record_is_there_is_a_sentence_that_can_be_shown(value: Any) -> None:
    recorded, problem = read_record(Record(record_path("k\x1b"), 1, value), "laptop")
    assert recorded is None and problem is not None
    assert str(problem).isprintable()
