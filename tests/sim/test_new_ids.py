"""Who gives a service another id in its manifest is told where its data is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.sim.members import reason
from tests.sim.nodes import Home, eventually, manifest, ready, service

if TYPE_CHECKING:
    from reconciler.node import Node

pytestmark = pytest.mark.anyio

TOLD = ("False", "DataUnderOldId")
NOTHING = ("", "")


def told(node: Node) -> tuple[str, str]:
    return reason(service(node, "diary"), "DataFound")


def home_of(*service_ids: str, marker: str = "a") -> Home:
    home = Home()
    home.source.declare(*(manifest(each, marker, source="/app") for each in service_ids))
    return home


def rename(home: Home, old: str, new: str, marker: str = "a") -> None:
    home.source.undeclare(old)
    home.source.declare(manifest(new, marker, source="/app", env={"EDITED": "too"}))


async def test_the_new_id_tells_where_the_data_is() -> None:
    home = home_of("notes")
    async with home.node() as node:
        await eventually(lambda: ready(node, "notes"))
        home.data.held.add("notes")
        rename(home, "notes", "diary")
        await eventually(lambda: ready(node, "diary") and told(node) == TOLD)
        (event,) = [each for each in node.events.recent() if each.reason == "DataUnderOldId"]
        assert event.service == "diary"
        assert all(part in event.message for part in ("data/notes", "data/diary", "kept/diary", "id: notes"))
        await anyio.sleep(120)
        assert told(node) == TOLD, "as long as it is so"
        home.data.held = {"diary"}
        await eventually(lambda: told(node) == NOTHING, what="it was moved")


async def test_it_is_told_too_when_that_happened_while_the_node_was_away() -> None:
    home = home_of("notes")
    async with home.node() as node:
        await eventually(lambda: ready(node, "notes"))
        home.data.held.add("notes")
        await anyio.sleep(10)
    rename(home, "notes", "diary")
    async with home.node() as node:
        await eventually(lambda: ready(node, "diary") and told(node) == TOLD)


async def test_it_is_over_when_the_former_id_is_back() -> None:
    home = home_of("notes")
    async with home.node() as node:
        await eventually(lambda: ready(node, "notes"))
        home.data.held.add("notes")
        rename(home, "notes", "diary")
        await eventually(lambda: ready(node, "diary") and told(node) == TOLD)
        home.source.declare(manifest("notes", source="/app"))
        await eventually(lambda: ready(node, "notes"))
        await anyio.sleep(60)
        assert told(node) == NOTHING


@pytest.mark.parametrize("what", ["no data", "another program", "nothing went", "two went", "two came"])
async def test_where_it_is_not_beyond_doubt_nothing_is_told(what: str) -> None:
    home = home_of("notes", "wiki")
    async with home.node() as node:
        await eventually(lambda: ready(node, "notes") and ready(node, "wiki"))
        if what != "no data":
            home.data.held |= {"notes", "wiki"}
        if what != "nothing went":
            home.source.undeclare("notes")
        if what == "two went":
            home.source.undeclare("wiki")
        marker = "other" if what == "another program" else "a"
        home.source.declare(manifest("diary", marker, source="/app"))
        if what == "two came":
            home.source.declare(manifest("blog", source="/app"))
        await eventually(lambda: ready(node, "diary"))
        await anyio.sleep(60)
        assert told(node) == NOTHING
