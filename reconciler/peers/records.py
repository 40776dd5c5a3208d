"""The services in this node's own records: desired state that others can read, written by this node alone.

Each write has in its batch who did what, which is what a history tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from hyper.port import Record, Write
from manifests.documents.record import SERVICES, make_record, read_record, record_path, service_of
from reconciler.errors import UserError
from reconciler.peers.errors import for_people
from reconciler.peers.port import CHANGE, ServiceRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from hyper.port import Hyper
    from reconciler.peers.port import Change


class OwnRecords:
    """Implements `port.ServiceRecords`.

    `database` is the id of this node's records, `seen` returns once the loop was told of a version; `key_of`
    is a service's key by its id, `now` the time as it is written (RFC 3339). All three raise UserError.
    """

    def __init__(
        self,
        hyper: Hyper,
        database: Callable[[], Awaitable[str]],
        seen: Callable[[int], Awaitable[None]],
        key_of: Callable[[str], str],
        now: Callable[[], str],
    ) -> None:
        self._hyper = hyper
        self._database = database
        self._seen = seen
        self._key_of = key_of
        self._now = now
        # Reading, changing and writing are one step.
        self._lock = anyio.Lock()

    async def read(self) -> Mapping[str, ServiceRecord]:
        """See `ServiceRecords`."""
        db_id = await self._database()
        with for_people():
            records = await self._hyper.list(db_id, SERVICES)
        return _by_id(records)

    async def declare(
        self, manifest: Mapping[str, Any], change: Change, *, owner: str = "system", **more: Any
    ) -> int:
        """See `ServiceRecords`."""
        async with self._lock:
            old = (await self.read()).get(manifest["id"])
            key = old.key if old else self._key_of(manifest["id"])
            owner = str(old.value.get("owningUserKey") or owner) if old else owner
            value = make_record(
                manifest,
                owner=owner,
                updated_at=self._now(),
                updated_by=change.by,
                **_kept(old, manifest) | more,
            )
            version = await self._write({key: value}, change, [manifest["id"]])
        await self._seen(version)
        return version

    async def suspend(self, service_id: str, change: Change, *, suspended: bool) -> int:
        """See `ServiceRecords`."""
        async with self._lock:
            record = await self._found(service_id)
            spec = {key: item for key, item in spec_of(record).items() if key != "suspend"}
            spec |= {"suspend": True} if suspended else {}
            written = {"spec": spec, "updatedAt": self._now(), "updatedBy": change.by}
            version = await self._write({record.key: {**record.value, **written}}, change, [service_id])
        await self._seen(version)
        return version

    async def rename(self, service_id: str, manifest: Mapping[str, Any], change: Change) -> int:
        """See `ServiceRecords`."""
        async with self._lock:
            old = await self._found(service_id)
            value = make_record(
                manifest,
                owner=str(old.value.get("owningUserKey") or "system"),
                updated_at=self._now(),
                updated_by=change.by,
                **_kept(old, manifest),
            )
            version = await self._write({old.key: value}, change, [service_id, manifest["id"]])
        await self._seen(version)
        return version

    async def remove(self, service_id: str, change: Change) -> int:
        """See `ServiceRecords`."""
        async with self._lock:
            record = await self._found(service_id)
            version = await self._write({record.key: None}, change, [service_id])
        await self._seen(version)
        return version

    async def write(self, values: Mapping[str, Mapping[str, Any] | None], change: Change) -> int:
        """See `ServiceRecords`."""
        async with self._lock:
            before = {record.key: service_id for service_id, record in (await self.read()).items()}
            ids = [
                str(value.get("id", "")) if value else before.get(key, "") for key, value in values.items()
            ]
            version = await self._write(values, change, ids)
        await self._seen(version)
        return version

    async def _found(self, service_id: str) -> ServiceRecord:
        record = (await self.read()).get(service_id)
        if record is None:
            raise UserError(f"this node's records have no service {service_id}")
        return record

    async def _write(
        self, values: Mapping[str, Mapping[str, Any] | None], change: Change, ids: Sequence[str]
    ) -> int:
        entry = {"at": self._now(), "by": change.by, "what": change.what, "ids": sorted(filter(None, ids))}
        writes = [
            Write(record_path(key), value and dict(value), deleted=value is None)
            for key, value in values.items()
        ]
        db_id = await self._database()
        with for_people():
            return await self._hyper.batch(db_id, [*writes, Write(CHANGE, entry)])


def spec_of(record: ServiceRecord) -> dict[str, Any]:
    """A record's manifest as a plain value, also where other software wrote it. Raises UserError."""
    spec = record.value.get("spec")
    if isinstance(spec, dict):
        return dict(spec)
    recorded, problem = read_record(_as_record(record), "records")
    if recorded is None:
        raise UserError(f"the record cannot be changed: {problem}", hint="write it anew with `atek apply`")
    return recorded.manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _by_id(records: Sequence[Record]) -> dict[str, ServiceRecord]:
    """The later record of an id holds, as it does for the source."""
    found: dict[str, ServiceRecord] = {}
    for record in sorted(records, key=lambda record: record.seq):
        if service_id := service_of(record):
            found[service_id] = ServiceRecord(record.path[-1], record.seq, record.value)
    return found


def _as_record(record: ServiceRecord) -> Record:
    return Record(record_path(record.key), record.seq, record.value)


def _kept(old: ServiceRecord | None, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a new state of a record takes over from the old one when its package is the same."""
    if old is None or spec_source(old.value) != manifest.get("source"):
        return {}
    kept = {"desired_version": old.value.get("desiredVersion"), "atek_json": old.value.get("manifest")}
    return {name: value for name, value in kept.items() if isinstance(value, (str, dict))}


def spec_source(value: Mapping[str, Any]) -> object:
    spec = value.get("spec")
    return spec.get("source") if isinstance(spec, dict) else value.get("sourceUrl")
