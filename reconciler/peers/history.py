"""A node's history: which services its records were about at each version, who changed them, and going back.

A log is never shortened: going back writes the old records once more, as a version of its own.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hyper.port import Record, Undecodable
from manifests.documents.record import SERVICES, parse_drive, read_record, service_of
from reconciler.errors import UserError
from reconciler.peers.differences import differences, flatten
from reconciler.peers.errors import for_people
from reconciler.peers.port import CHANGE, Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hyper.port import Change as Write
    from reconciler.peers.port import Nodes

_PAGE = 1000
_EVERYTHING = ("atek.cloud",)

What = Literal["created", "changed", "deleted", "unchanged"]


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What was done to one service; `details` are lines such as `env.LOG_LEVEL: info → debug`."""

    id: str
    what: What
    details: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of the records. At `version` it was done; `at` is RFC 3339, both empty where nobody said."""

    version: int
    at: str
    by: str
    what: str
    services: Sequence[ServiceChange]


# Looking back


async def history(nodes: Nodes, *, node: str = "", service_id: str = "") -> list[Entry]:
    """The oldest first, of this node's records or those of a followed node. Raises UserError.

    With a service's id, only the entries that are about it.
    """
    found = list(entries(await _writes(nodes, await _database(nodes, node))))
    if not service_id:
        return found
    about = [entry for entry in found if any(each.id == service_id for each in entry.services)]
    if not about:
        known = {each.id for entry in found for each in entry.services}
        raise UserError(
            f"the records never had a service {service_id}",
            hint=_nearest(service_id, known) or "`atek history` shows all changes",
        )
    return about


def entries(writes: Iterable[Write]) -> Iterator[Entry]:
    """Puts together what was written together: the change entry is the last block of its batch.

    What other software wrote has no such entry, and stands alone; so does what a backup brought back, also
    where the next batch is about the same service: a batch writes no record twice.
    """
    before: dict[str, Record] = {}
    waiting: list[tuple[Write, ServiceChange]] = []
    for write in writes:
        if write.path == CHANGE:
            value = write.value if isinstance(write.value, dict) else {}
            ids = value.get("ids")
            told = set(map(str, ids)) if isinstance(ids, list) else set()
            last = {each.path: each.seq for each, _ in waiting}
            together = [each for each in waiting if each[1].id in told and last[each[0].path] == each[0].seq]
            yield from (_alone(*each) for each in waiting if each not in together)
            services = [change for _, change in together]
            waiting = []
            yield Entry(write.seq + 1, _text(value, "at"), _text(value, "by"), _text(value, "what"), services)
        elif write.path[:-1] == SERVICES:
            waiting.append((write, _change(write, before)))
    yield from (_alone(*each) for each in waiting)


def _alone(write: Write, change: ServiceChange) -> Entry:
    value = write.value if isinstance(write.value, dict) else {}
    return Entry(write.seq + 1, _text(value, "updatedAt"), _text(value, "updatedBy"), "written", [change])


def _change(write: Write, before: dict[str, Record]) -> ServiceChange:
    """What this write did to the records so far, which it becomes part of."""
    key = write.path[-1]
    old = before.pop(key, None)
    if write.deleted:
        return ServiceChange(_id(old) if old else key, "deleted")
    new = before[key] = Record(write.path, write.seq, write.value)
    if old is None:
        return ServiceChange(_id(new), "created")
    details = tuple(_details(old, new))
    return ServiceChange(_id(new), "changed" if details else "unchanged", details)


def _details(old: Record, new: Record) -> Iterator[str]:
    before, after = flatten(_said(old)), flatten(_said(new))
    then, now = (parse_drive(each.get("source", "")) for each in (before, after))
    if then and now and then.key == now.key and then != now:
        yield f"package: version {then.version} → {now.version}"
        del before["source"], after["source"]
    yield from differences(before, after)


def _said(record: Record) -> Mapping[str, Any]:
    """The manifest that a record means; where it means none, the record itself."""
    recorded, _ = read_record(record, "records")
    if recorded is None:
        if isinstance(record.value, Undecodable):
            return {"undecodable": record.value.why}
        return record.value if isinstance(record.value, dict) else {"value": record.value}
    return recorded.manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _id(record: Record) -> str:
    return service_of(record) or record.path[-1]


# Going back


@dataclass(frozen=True, slots=True)
class RolledBack:
    """`ids` are the services that were written again; none when all was as it had been. `version` is new."""

    version: int
    ids: Sequence[str]


async def rollback(nodes: Nodes, *, to: int, service_id: str = "") -> RolledBack:
    """Writes a service's record, or all of them, as they were at version `to`. Raises UserError."""
    keys = await nodes.keys()
    with for_people():
        newest = (await nodes.hyper.info(keys.records)).version
    if not 0 < to <= newest:
        raise UserError(f"there is no version {to}: the newest is {newest}", hint="`atek history` shows them")
    old, now = await _records(nodes, keys.records, to), await _records(nodes, keys.records, newest)
    if service_id:
        old, now = await _only(nodes, service_id, to, old, now)
    differing = {
        key
        for key in old.keys() | now.keys()
        if key not in old or key not in now or old[key].value != now[key].value
    }
    # What could not be read then is nothing to go back to.
    differing -= {key for key, record in old.items() if isinstance(record.value, Undecodable)}
    if not differing:
        return RolledBack(newest, ())
    values = {key: old[key].value if key in old else None for key in differing}
    for key in sorted(differing & old.keys()):
        await _require_package(nodes, old[key], to)
    version = await nodes.services.write(values, Change(keys.name, f"rollback to {to}"))
    return RolledBack(version, sorted(_id(old.get(key) or now[key]) for key in differing))


async def _require_package(nodes: Nodes, record: Record, to: int) -> None:
    """Raises UserError for a record whose package this node has no longer: nobody could run it."""
    recorded, _ = read_record(record, "rollback")
    if recorded is None or recorded.drive is None:
        return
    with for_people():
        cleared = await nodes.hyper.is_cleared(recorded.drive)
    if cleared:
        raise UserError(
            f"the package that {recorded.manifest.id} had at version {to} is no longer kept",
            hint="of each package the last three pushed stay, and those in use: push that one's folder again",
        )


async def _only(
    nodes: Nodes, service_id: str, to: int, old: Mapping[str, Record], now: Mapping[str, Record]
) -> tuple[dict[str, Record], dict[str, Record]]:
    """The records of one service, then and now. Raises UserError when there was none then."""
    then = {key: record for key, record in old.items() if _id(record) == service_id}
    if not then:
        past = await history(nodes, service_id=service_id)
        hint = f"it was first written at version {past[0].version}"
        if past[0].version <= to:
            hint = f"it was deleted then; `atek history {service_id}` shows its versions"
        raise UserError(f"there was no service {service_id} at version {to}", hint=hint)
    current = {key: record for key, record in now.items() if key in then or _id(record) == service_id}
    return then, current


# Reading


async def records_at(nodes: Nodes, version: int, node: str = "") -> list[Record]:
    """The records of services as of a version, of this node or a followed one. Raises UserError."""
    database = await _database(nodes, node)
    with for_people():
        newest = (await nodes.hyper.info(database)).version
    if not 0 < version <= newest:
        whose = f" of {node}" if node else ""
        again = f" --node {node}" if node else ""
        raise UserError(
            f"there is no version {version}{whose} here: the newest is {newest}",
            hint=f"`atek history{again}` shows them",
        )
    return list((await _records(nodes, database, version)).values())


async def _records(nodes: Nodes, database: str, version: int) -> dict[str, Record]:
    with for_people():
        found = await nodes.hyper.list(database, SERVICES, version=version)
    return {record.path[-1]: record for record in found if record.path[:-1] == SERVICES}


async def _database(nodes: Nodes, node: str) -> str:
    if node:
        followed = await nodes.followed(node)
        return followed.follow.key
    return (await nodes.keys()).records


async def _writes(nodes: Nodes, database: str) -> list[Write]:
    """Everything that was ever written there."""
    found: list[Write] = []
    with for_people():
        while True:
            since = found[-1].seq + 1 if found else 0
            page = await nodes.hyper.history(database, since=since, prefix=_EVERYTHING, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {near[0]}?" if near else ""
