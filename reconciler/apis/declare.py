"""Install, configure and uninstall as desired state: for each service a record, or a file of the node's own.

A node that has Hypercore installs into its records, where its owner's other nodes see it; one that has not,
and what is in files already, into files. `config` is the manifest's `env`, with its keys in capitals. What
else stands in a manifest (probes, limits) is kept. Only files that declare nothing but the service are
written to; who else declares it is named.
"""

from __future__ import annotations

import os
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from manifests.documents.parse import parse_file
from manifests.model.git import is_git
from manifests.packages.resolve import PROGRAM_FILES, absolute_source
from reconciler.apis.caller import BAD_PARAMS
from reconciler.apis.manifest_store import ManifestFiles, ManifestRecords, record_file
from reconciler.apis.names import free_id, source_of
from reconciler.errors import UserError
from reconciler.http.jsonrpc import RpcError
from reconciler.peers.port import Change
from reconciler.state.installed import Installed
from reconciler.state.own_manifests import file_of, manifest_text
from runtimes.docker.volume_names import has_volumes
from runtimes.router.decide.table import SYSTEM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Container, Mapping
    from pathlib import Path

    from manifests.model.manifest import Manifest
    from reconciler.apis.manifest_store import ManifestStore
    from reconciler.apis.params import ConfigureOptions, ConfigValue, InstallOptions
    from reconciler.apis.port import ApiNode
    from reconciler.apis.repositories import GitRepositories
    from reconciler.state.installed import InstalledServices


class Declarations:
    """Writes what is to be. Everything raises UserError or RpcError with nothing changed, or OSError.

    `key_of` is the key that a service has now, installed or not.
    """

    def __init__(
        self,
        node: ApiNode,
        home: Path,
        installed: InstalledServices,
        key_of: Callable[[str], str],
        repositories: GitRepositories,
    ) -> None:
        self.repositories = repositories
        self.home = home
        self.installed = installed
        self._node = node
        self._key_of = key_of
        self._files, self._records = ManifestFiles(home), ManifestRecords(node.nodes.services)
        # Looking and writing are one step: two installs of one id must not both find it free.
        self._lock = anyio.Lock()
        self._reserved: set[str] = set()

    # -- what is there

    def taken(self, service_id: str) -> bool:
        """Whether the id is somebody's, also when that is about to end."""
        return (
            service_id in self._reserved
            or service_id in self._node.declared()
            or self._node.service(service_id) is not None
            or os.path.lexists(file_of(self.home, service_id))
        )

    def require_settled(self, service_id: str) -> None:
        """Raises UserError while the id is about to change."""
        if service_id in self._reserved:
            raise UserError(f"{service_id} is being renamed", hint="try again in a moment")

    def installed_as(self, service_id: str) -> Installed:
        """What is kept about a service, also when it was not installed through the API."""
        return self.installed.get(service_id) or Installed(self._key_of(service_id))

    # -- what is to be

    async def install(self, options: InstallOptions, owner: str, by: str) -> Manifest:
        """Declares a new service, with a key of its own. `by`: who did it, for the history."""
        source = await anyio.to_thread.run_sync(source_of, options.source_url)
        async with self._lock:
            value = await self._new(source, options, owner)
            manifest = checked(value)
            self._reserved.add(manifest.id)
        try:
            # Not under the lock: what is far away or large takes its time, and others install meanwhile.
            async with self.repositories.fetched(manifest, new=True), self._lock:
                await self._begin(manifest.id, value, options, owner, by)
        finally:
            self._reserved.discard(manifest.id)
        return manifest

    async def _new(self, source: str, options: InstallOptions, owner: str) -> dict[str, Any]:
        """The plain manifest of what is to be installed, under an id that is free."""
        # Also those that only other nodes run.
        recorded = await self._node.nodes.services.read()
        service_id = options.id or free_id(
            source, lambda each: each in recorded or self._occupied(each, owner)
        )
        value = {"id": service_id, "source": source, "env": with_config({}, options.config)}
        if await anyio.to_thread.run_sync(is_program_folder, source):
            # As the original: what an application writes beside its code is where its author looks for it.
            value["run"] = "inPlace"
        value = with_range(value, options.desired_version)
        checked(value)
        self._require_free(service_id, recorded)
        self._require_own_data(service_id, owner)
        return value

    async def _begin(
        self, service_id: str, value: Mapping[str, Any], options: InstallOptions, owner: str, by: str
    ) -> None:
        key = secrets.token_hex(32)
        await self.installed.put(service_id, Installed(key, owner, options.desired_version or ""))
        try:
            store = self._records if self._node.nodes.configured else self._files
            await store.write(service_id, value, Change(by, "install"), owner)
        except (OSError, UserError):
            await self.installed.uninstall(service_id)
            raise

    async def configure(self, service_id: str, options: ConfigureOptions, by: str) -> Manifest:
        """Changes all but the id."""
        wanted = checked(await self._changed(service_id, options))
        async with self.repositories.fetched(wanted, new=False), self._lock:
            value = await self._changed(service_id, options)
            manifest = checked(value)
            if options.desired_version is not None:
                kept = replace(self.installed_as(service_id), desired_version=options.desired_version)
                await self.installed.put(service_id, kept)
            await self._write(service_id, value, Change(by, "configure"))
            return manifest

    @asynccontextmanager
    async def renaming(self, service_id: str, options: ConfigureOptions) -> AsyncIterator[dict[str, Any]]:
        """The plain manifest under its new id; nobody else changes or takes either id meanwhile."""
        async with self._lock:
            value = await self._changed(service_id, options)
            new = checked(value).id
            # Also those that only other nodes run.
            recorded = await self._node.nodes.services.read() if self.is_recorded(service_id) else ()
            self._require_free(new, recorded)
            if has_data(self.home, new):
                hint = "choose another id, or move that folder away"
                raise UserError(f"data/{new} still holds the data of an earlier service", hint=hint)
            self._reserved |= {service_id, new}
        try:
            yield value
        finally:
            self._reserved -= {service_id, new}

    async def unsuspend(self, service_id: str, by: str) -> Manifest:
        """Takes `suspend` out of the service's own manifest."""
        async with self._lock:
            value = await self._value_of(service_id)
            value.pop("suspend", None)
            await self._write(service_id, value, Change(by, "start"))
            return checked(value)

    async def remove(self, service_id: str, by: str) -> None:
        """Declares the service no more."""
        async with self._lock:
            self._require_own(service_id)
            await self.store_of(service_id).remove(service_id, Change(by, "uninstall"))

    async def write(self, service_id: str, value: Mapping[str, Any], by: str) -> None:
        """Into the service's own file or record."""
        await self._write(service_id, value, Change(by, "rename"))

    def is_recorded(self, service_id: str) -> bool:
        """Whether it is kept in this node's records."""
        return self.store_of(service_id) is self._records

    def store_of(self, service_id: str) -> ManifestStore:
        """Where a service is kept that is there."""
        declared = self._node.declared().get(service_id)
        in_records = declared is not None and declared.file == record_file(service_id)
        return self._records if in_records else self._files

    # -- inside

    def _require_own(self, service_id: str) -> None:
        """Raises UserError naming the file when it is not the node's, or not the service's alone."""
        self.require_settled(service_id)
        self.store_of(service_id).require_own(service_id, self._node.declared())

    async def _value_of(self, service_id: str) -> dict[str, Any]:
        """The service's own plain manifest."""
        self._require_own(service_id)
        return await self.store_of(service_id).read(service_id)

    async def _write(self, service_id: str, value: Mapping[str, Any], change: Change) -> None:
        owner = self.installed.owner(service_id)
        await self.store_of(service_id).write(service_id, value, change, owner)

    async def _changed(self, service_id: str, options: ConfigureOptions) -> dict[str, Any]:
        """The plain manifest with these changes; writes nothing."""
        value = await self._value_of(service_id)
        if options.source_url is not None:
            value["source"] = await anyio.to_thread.run_sync(source_of, options.source_url)
            if is_git(value["source"]):
                value.pop("run", None)
        if options.desired_version is not None or options.source_url is not None:
            value = with_range(value, options.desired_version)
        if options.config is not None:
            value["env"] = with_config(value.get("env") or {}, options.config)
        if options.id is not None:
            value["id"] = options.id
        return value

    def _require_free(self, service_id: str, recorded: Container[str] = ()) -> None:
        if service_id in recorded or self.taken(service_id):
            raise UserError(f"App already exists under the ID: {service_id}")

    def _occupied(self, service_id: str, owner: str) -> bool:
        """Whether the id is not for this owner, unless somebody insists on it."""
        foreign = self.installed.data_owner(service_id) != owner
        return self.taken(service_id) or (foreign and has_data(self.home, service_id))

    def _require_own_data(self, service_id: str, owner: str) -> None:
        """Data that a service left behind is for nobody but its owner and the node itself."""
        if owner not in (SYSTEM, self.installed.data_owner(service_id)) and has_data(self.home, service_id):
            raise UserError(
                f"data/{service_id} still holds the data of an earlier service",
                hint="choose another id, or ask the administrator to move it away",
            )


def is_program_folder(source: str) -> bool:
    """Whether it is a folder of this machine with a Node or Python program in it."""
    folder = absolute_source(source, "/")
    return not is_git(source) and any(os.path.exists(os.path.join(folder, name)) for name in PROGRAM_FILES)


def has_data(home: Path, service_id: str) -> bool:
    """Whether the id's data folder holds anything, or anything else is kept with it."""
    folders = (home / "data" / service_id, home / "kept" / service_id)
    return has_volumes(home, service_id) or any(map(holds_anything, folders))


def holds_anything(folder: Path) -> bool:
    """Beside `tmp`, which every service gets, and nobody misses."""
    try:
        return any(name != "tmp" for name in os.listdir(folder))
    except FileNotFoundError:
        return False


def with_config(env: Mapping[str, Any], config: Mapping[str, ConfigValue] | None) -> dict[str, Any]:
    """`env` with the config's keys, in capitals; a value of None takes one out."""
    merged = {**env, **{name.upper(): value for name, value in (config or {}).items()}}
    return {name: value for name, value in merged.items() if value is not None}


def with_range(value: dict[str, Any], desired_version: str | None) -> dict[str, Any]:
    """`version` says which releases of a repository; for a folder a desired version never meant anything."""
    others = {name: item for name, item in value.items() if name != "version"}
    if desired_version and is_git(str(value.get("source") or "")):
        return {**others, "version": desired_version}
    return others


def checked(value: Mapping[str, Any]) -> Manifest:
    """The manifest as the node will read it. Raises RpcError for what may not stand in one."""
    parsed = parse_file(manifest_text(value), "", ".yaml")
    if parsed.problems:
        problem = parsed.problems[0]
        where = f"{problem.key}: " if problem.key else ""
        hint = {"hint": problem.hint} if problem.hint else None
        raise RpcError(BAD_PARAMS, f"{where}{problem.message}", hint)
    return parsed.manifests[0]
