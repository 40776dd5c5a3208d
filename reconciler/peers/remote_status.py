"""`atek status --node`: what a followed node published of itself, and how fresh that is.

It lies in this node's store, so it can be read while that node is away.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio

from hyper.port import HyperError, Position
from reconciler.peers.errors import for_people
from reconciler.peers.port import NODE_SELF, STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyper.port import Database, Hyper, Record
    from reconciler.peers.port import Followed, Nodes


async def remote_status(
    nodes: Nodes, name: str, *, since: Position | None = None, seconds: float = 0.0
) -> dict[str, Any]:
    """The shape of `status`, with `known`, `connected`, `publishedAt`, `position` and `follow` beside it.

    With `since`, it waits up to `seconds` for something newer. Nothing is `known` until something of that
    node has arrived. `position` is what `since` takes. Raises UserError.
    """
    followed = await nodes.followed(name)
    with for_people():
        found = await _found(nodes.hyper, followed, since, seconds)
    if found["position"] is None and since is None and seconds:
        await anyio.sleep(min(seconds, _LOOK_AGAIN))
    return found


async def _found(hyper: Hyper, followed: Followed, since: Position | None, seconds: float) -> dict[str, Any]:
    if not followed.status or followed.database is None:
        return _nothing_yet(followed)
    database = await hyper.open(followed.status)
    if since is not None and database.position == since:
        await _next_change(hyper, followed.status, since, seconds)
    return await _read(hyper, followed)


#: Seconds. Before anything of a node is known there is nothing to watch.
_LOOK_AGAIN = 0.3


async def _next_change(hyper: Hyper, db_id: str, since: Position, seconds: float) -> None:
    """Returns when something newer is there, or the time is over."""
    with anyio.move_on_after(seconds):
        async with aclosing(hyper.watch(db_id, (), since)) as events:  # type: ignore[type-var]
            async for _ in events:
                return


async def _read(hyper: Hyper, followed: Followed) -> dict[str, Any]:
    database = await hyper.info(followed.status)
    try:
        version = database.version
        records = await hyper.list(followed.status, STATUSES, version=version)
        about = await hyper.get(followed.status, NODE_SELF, version=version)
    except HyperError as error:
        if error.code != "NOT_SYNCED":
            raise
        return _nothing_yet(followed)
    node = about.value if about and isinstance(about.value, dict) else {}
    return {
        **_beside(followed, database),
        "known": about is not None,
        "publishedAt": _newest(node, records),
        "position": list(database.position),
        "node": {**followed.node, **node},
        "services": [record.value for record in records if isinstance(record.value, dict)],
        "sources": [],
    }


def _nothing_yet(followed: Followed) -> dict[str, Any]:
    return {
        **_beside(followed, followed.database),
        "known": False,
        "publishedAt": None,
        "position": None,
        "node": dict(followed.node),
        "services": [],
        "sources": [],
    }


def _beside(followed: Followed, database: Database | None) -> dict[str, Any]:
    return {
        "follow": followed.follow.name,
        "connected": bool(database and database.peers),
        "behind": max(0, database.known - database.version) if database else 0,
    }


def _newest(node: Mapping[str, Any], records: list[Record] | Any) -> str | None:
    """The latest time that stands in what was published (RFC 3339, UTC, so the text sorts)."""
    times = [node.get("publishedAt"), *(_published(record.value) for record in records)]
    return max((time for time in times if isinstance(time, str)), default=None)


def _published(entry: Any) -> str | None:
    conditions = entry.get("conditions") if isinstance(entry, dict) else None
    found = [each.get("lastTransitionTime") for each in conditions or () if isinstance(each, dict)]
    return max((time for time in found if isinstance(time, str)), default=None)
