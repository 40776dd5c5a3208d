"""`atek.cloud/services-api`: what runs on this node, and what should.

Params are positional. What changes something writes desired state, waits until the world is so or its
deadline has passed, and says which: `converged` and, in a sentence, `message`, beside what the original
answered. `install` answers with the service, so do `get` and `list`; the rest has nothing else to tell.

Callers see and touch the services of their own, `system` all of them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from manifests.model.snapshot import Declared
from reconciler.apis.caller import not_authorized
from reconciler.apis.convergence import Convergence, seconds_to_stop
from reconciler.apis.info import service_info, versions
from reconciler.apis.params import ConfigureOptions, InstallOptions, Params
from reconciler.apis.rename import rename
from reconciler.errors import UserError
from runtimes.router.decide.table import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from manifests.model.manifest import Manifest
    from reconciler.apis.caller import Caller
    from reconciler.apis.declare import Declarations
    from reconciler.apis.port import ApiNode

    Method = Callable[[Caller, Params], Awaitable[object]]

API = "atek.cloud/services-api"


class ServicesApi:
    """The methods by their names. They raise RpcError, UserError, or OSError when the disk is full.

    `patience`: seconds that a call may wait, see `Convergence`.
    """

    def __init__(self, node: ApiNode, declarations: Declarations, *, patience: float) -> None:
        self.patience = patience
        self._node = node
        self._declarations = declarations
        self._installed = declarations.installed
        self._repositories = declarations.repositories
        self.methods: dict[str, Method] = {
            "list": self._list,
            "get": self._get,
            "install": self._install,
            "uninstall": self._uninstall,
            "configure": self._configure,
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "checkForPackageUpdates": self._check_for_package_updates,
            "updatePackage": self._update_package,
        }

    # -- reading

    async def _list(self, caller: Caller, params: Params) -> object:
        ids = [each for each in sorted(self._node.declared()) if self._may_touch(caller, each)]
        return {"services": await self._infos([self._node.declared()[each] for each in ids])}

    async def _get(self, caller: Caller, params: Params) -> object:
        return await self._info(self._mine(caller, params.text(0)))

    async def _check_for_package_updates(self, caller: Caller, params: Params) -> object:
        """Folders and branches are followed: an update waits only while it is on its way, or was refused."""
        declared = self._mine(caller, params.text(0))
        await self._node.look_again(declared.manifest.id)
        if self._repositories.stays(declared):
            installed, latest = await self._repositories.offered(declared)
        else:
            installed, latest = versions(self._entry(declared))
        return {"hasUpdate": installed != latest, "installedVersion": installed, "latestVersion": latest}

    # -- what should be

    async def _install(self, caller: Caller, params: Params) -> object:
        options = params.options(0, InstallOptions)
        # What another node may run here is its follow's policy, which installing would lead around.
        if caller.followed or caller.guest:
            raise not_authorized()
        owner = self._owner(options.user, caller) if options.user else caller.user
        manifest = await self._declarations.install(options, owner, caller.user)
        outcome = await self._waits().serving(manifest.id, manifest)
        declared = self._node.declared().get(manifest.id) or Declared(manifest, "/", "")
        return await self._info(declared) | asdict(outcome)

    async def _configure(self, caller: Caller, params: Params) -> object:
        service_id = self._mine(caller, params.text(0)).manifest.id
        options = params.options(1, ConfigureOptions)
        if options.id is not None and options.id != service_id:
            _, outcome = await rename(
                self._node, self._declarations, self._waits(), service_id, options, caller.user
            )
        else:
            manifest = await self._declarations.configure(service_id, options, caller.user)
            outcome = await self._waits().serving(service_id, manifest)
        return asdict(outcome)

    async def _uninstall(self, caller: Caller, params: Params) -> object:
        """Its data folder stays where it is, for its owner."""
        declared = self._mine(caller, params.text(0))
        service_id = declared.manifest.id
        await self._declarations.remove(service_id, caller.user)
        outcome = await self._waits().gone(service_id, declared.manifest)
        # While something of it runs it acts for its owner, and must not act for the node.
        if outcome.converged:
            await self._installed.uninstall(service_id)
        return asdict(outcome)

    # -- orders

    async def _start(self, caller: Caller, params: Params) -> object:
        declared = self._settled(caller, params)
        manifest = declared.manifest
        if manifest.suspend:
            manifest = await self._unsuspend(manifest, caller.user)
        await self._node.start_service(manifest.id)
        return asdict(await self._waits().serving(manifest.id, manifest))

    async def _stop(self, caller: Caller, params: Params) -> object:
        manifest = self._settled(caller, params).manifest
        await self._node.stop_service(manifest.id)
        return asdict(await self._waits().stopped(manifest.id, manifest))

    async def _restart(self, caller: Caller, params: Params) -> object:
        declared = self._settled(caller, params)
        manifest = declared.manifest
        old = {instance["instance"] for instance in self._entry(declared)["instances"]}
        await self._node.restart_service(manifest.id)
        more = seconds_to_stop(manifest)
        return asdict(await self._waits().serving(manifest.id, manifest, without=old, more=more))

    async def _update_package(self, caller: Caller, params: Params) -> object:
        declared = self._settled(caller, params)
        before = self._version(declared)
        if self._repositories.stays(declared):
            await self._repositories.renew(declared)
        await self._node.look_again(declared.manifest.id)
        outcome = await self._waits().serving(declared.manifest.id, declared.manifest)
        after = self._version(declared)
        return {"installedVersion": after, "oldVersion": before, **asdict(outcome)}

    # -- inside

    def _waits(self) -> Convergence:
        return Convergence(self._node, self.patience)

    def _owner(self, username: str, caller: Caller) -> str:
        """The key of whoever is called that; the node's own is `system`. Others' names are not told.

        In a home without people whoever is named owns it, as in earlier versions.
        """
        if not self._node.people.private and (caller.admin or username == caller.user):
            return username
        person = self._node.people.named(username)
        if not caller.admin and (person is None or person.key != caller.user):
            raise not_authorized()
        if person is None and username != SYSTEM:
            hint = "`atek user list` names everybody"
            raise UserError(f"No user found with the username of {username}", hint=hint)
        return person.key if person else SYSTEM

    def _may_touch(self, caller: Caller, service_id: str) -> bool:
        return caller.admin or self._installed.owner(service_id) == caller.user

    def _mine(self, caller: Caller, service_id: str) -> Declared:
        declared = self._node.declared().get(service_id)
        if declared is None:
            hint = "`atek status` lists all services" if caller.admin else ""
            raise UserError(f"No service found with id {service_id}", hint=hint)
        if not self._may_touch(caller, service_id):
            raise not_authorized()
        return declared

    def _settled(self, caller: Caller, params: Params) -> Declared:
        """A service of the caller's own that is not about to get another id."""
        declared = self._mine(caller, params.text(0))
        self._declarations.require_settled(declared.manifest.id)
        return declared

    def _version(self, declared: Declared) -> str:
        """What is installed, as the original's clients compare it."""
        about = self._repositories.about(declared) if self._repositories.stays(declared) else None
        return about.version if about else versions(self._entry(declared))[0]

    def _entry(self, declared: Declared) -> dict[str, Any]:
        entry = self._node.service(declared.manifest.id)
        if entry is None:
            raise UserError(f"No service found with id {declared.manifest.id}")
        return entry

    async def _unsuspend(self, manifest: Manifest, by: str) -> Manifest:
        """The node starts nothing that its manifest suspends, so that goes first."""
        changed = await self._declarations.unsuspend(manifest.id, by)
        await self._waits().noticed(manifest.id, changed)
        return changed

    async def _info(self, declared: Declared) -> dict[str, Any]:
        (info,) = await self._infos([declared])
        return info

    async def _infos(self, many: Sequence[Declared]) -> list[dict[str, Any]]:
        facts = [
            (
                each,
                self._node.service(each.manifest.id),
                self._declarations.installed_as(each.manifest.id),
                self._repositories.about(each),
            )
            for each in many
        ]
        return await anyio.to_thread.run_sync(lambda: [service_info(*each) for each in facts])
