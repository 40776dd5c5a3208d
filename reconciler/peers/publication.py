"""What a node tells of itself in its status database, and what of it has to be written. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hyper.port import Write
from reconciler.peers.port import NODE_SELF, STATUSES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from hyper.port import Record
    from reconciler.peers.port import Follow

#: Of a service's entry and of its instances, what means anything on another machine.
_SERVICE_KEYS = (
    "id", "source", "runtime", "desiredRevision", "observedRevision", "suspended", "restarts", "conditions",
)  # fmt: skip
_FOLLOW_KEYS = ("position", "lag", "peers", "conditions")
_INSTANCE_KEYS = ("state", "revision", "slot", "startedAt")

#: Before what a repository's server said, and what is told instead of it.
_OF_A_SERVER, _NOT_FETCHED = "GitFetchFailed: ", "its package could not be fetched"
_AT = "publishedAt"

Published = dict[tuple[str, ...], Any]


def public_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A service's entry in `status` without what is this machine's own: processes, paths, sockets."""
    instances = [{key: each[key] for key in _INSTANCE_KEYS} for each in entry["instances"]]
    conditions = [_public_condition(each) for each in entry["conditions"]]
    return {key: entry[key] for key in _SERVICE_KEYS} | {"conditions": conditions, "instances": instances}


def _public_condition(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a server of this network said, or that there is none, is not for whoever had it asked."""
    before, found, _ = f"{condition['reason']}: {condition['message']}".partition(_OF_A_SERVER)
    if not found or not condition["message"]:
        return condition
    message = f"{before}{found}".removeprefix(f"{condition['reason']}: ") + _NOT_FETCHED
    return {**condition, "message": message}


def mark_of(key: str) -> str:
    """By what a node finds itself among the follows of another, whose readers must not learn its key."""
    return sha256(f"follow {key}".encode()).hexdigest()[:32]


def public_follow(follow: Follow, status: Mapping[str, Any]) -> dict[str, Any]:
    """How a follow fares: `status` is what the node's own status says about its source."""
    shown = {key: status[key] for key in _FOLLOW_KEYS if key in status}
    return {"name": follow.name, "mark": mark_of(follow.key), **shown}


def entry_path(service_id: str) -> tuple[str, ...]:
    return (*STATUSES, service_id)


def published(records: Iterable[Record]) -> Published:
    """What stands in the database, as far as this module writes it."""
    return {record.path: record.value for record in records if _is_ours(record.path)}


def updates(
    before: Published,
    about: Mapping[str, Any],
    entries: Mapping[str, Mapping[str, Any] | None],
    *,
    now: str,
) -> list[Write]:
    """What has to be written. An entry of None is no more; services that are not named stay as they are.

    What the node says about itself comes last, with the time: who reads that has all that it is about.
    """
    wanted = {entry_path(service_id): entry for service_id, entry in sorted(entries.items())}
    writes = [
        Write(path, value, deleted=value is None)
        for path, value in wanted.items()
        if before.get(path) != value
    ]
    written = before.get(NODE_SELF)
    if not writes and isinstance(written, dict) and {**written, _AT: None} == {**about, _AT: None}:
        return []
    return [*writes, Write(NODE_SELF, {**about, _AT: now})]


def gone(before: Published, services: Collection[str]) -> set[str]:
    """Ids that are published and that the node has no more."""
    return {path[-1] for path in before if path != NODE_SELF} - set(services)


def _is_ours(path: tuple[str, ...]) -> bool:
    return path == NODE_SELF or (path[:-1] == STATUSES and len(path) == len(STATUSES) + 1)
