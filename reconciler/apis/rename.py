"""A new id for a service that keeps everything else: its key, its owner, its data, its being stopped.

Two ids are two services to the node, so this one is stopped first, then its folders and its manifest move.

    stop ─► note what is going to happen ─► move data and logs ─► new manifest, old one gone ─► serve
                └─ a node that dies from here on does the rest when it starts again (`finish`)
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from reconciler.apis.declare import checked
from reconciler.apis.moving import move_back, move_what_it_names
from reconciler.apis.rename_recorded import move_recorded, with_version
from reconciler.errors import UserError
from reconciler.state.installed import InstalledServices, Renaming
from reconciler.state.own_manifests import file_of, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.manifest import Manifest
    from reconciler.apis.convergence import Convergence, Outcome
    from reconciler.apis.declare import Declarations
    from reconciler.apis.params import ConfigureOptions
    from reconciler.apis.port import ApiNode
    from reconciler.state.installed import Installed


async def rename(
    node: ApiNode,
    declarations: Declarations,
    until: Convergence,
    service_id: str,
    options: ConfigureOptions,
    by: str,
) -> tuple[Manifest, Outcome]:
    """Carries out changes that include a new id: what is declared then, and how it fares.

    Raises UserError, RpcError or OSError with nothing changed.
    """
    async with declarations.renaming(service_id, options) as value:
        manifest = checked(value)
        entry = node.service(service_id)
        runs = entry is not None and not entry["suspended"]
        await _halt(node, until, service_id, manifest, runs=runs)
        try:
            # Nobody can stop a service that does not exist yet, so at first its manifest does.
            at_first = value if runs else value | {"suspend": True}
            kept = with_version(declarations.installed_as(service_id), options.desired_version)
            if declarations.is_recorded(service_id):
                await move_recorded(
                    declarations, node.nodes.services, service_id, at_first, kept, runs=runs, by=by
                )
            else:
                await _move(declarations, service_id, at_first, kept)
        except BaseException:
            if runs:
                await _start_again(node, service_id)
            raise
        if not runs and not manifest.suspend:
            await _keep_stopped(node, declarations, until, value, by)
    return manifest, await until.serving(manifest.id, manifest)


async def open_installed(home: Path) -> InstalledServices:
    """What is kept about installed services, once a rename that was begun is finished.

    Call it before the manifests are read.
    """
    installed = InstalledServices(home)
    if installed.renaming is not None:
        await finish(installed)
    return installed


async def finish(installed: InstalledServices) -> None:
    """Does what an earlier life of the node left undone. Raises nothing: see `installed.problems`."""
    assert installed.renaming is not None
    if installed.renaming.recorded:
        await _finish_moving(installed, installed.renaming)
        return
    try:
        await anyio.to_thread.run_sync(_carry_out, installed.home, installed.renaming)
    except OSError as error:
        old, new = installed.renaming.old, installed.renaming.new
        installed.problems.append(f"{old} could not be renamed to {new}: {error.strerror or error}")
    else:
        await installed.end_rename()


async def _finish_moving(installed: InstalledServices, renaming: Renaming) -> None:
    """Before anything of the service can start; the record is looked at later, see `rename_recorded`."""
    if renaming.written:
        try:
            await anyio.to_thread.run_sync(move_what_it_names, installed.home, renaming.old, renaming.new)
        except OSError as error:
            why = error.strerror or error
            installed.problems.append(f"what {renaming.old} kept could not be moved to {renaming.new}: {why}")


async def _halt(
    node: ApiNode, until: Convergence, service_id: str, manifest: Manifest, *, runs: bool
) -> None:
    """Stops the service; it runs again when that takes too long, or is given up."""
    try:
        if runs:
            await node.stop_service(service_id)
        outcome = await until.stopped(service_id, manifest)
        if not outcome.converged:
            raise UserError(f"{service_id} keeps its id: {outcome.message}")
    except BaseException:
        if runs:
            await _start_again(node, service_id)
        raise


async def _start_again(node: ApiNode, service_id: str) -> None:
    with anyio.CancelScope(shield=True), suppress(UserError):
        await node.start_service(service_id)


async def _keep_stopped(
    node: ApiNode, declarations: Declarations, until: Convergence, value: dict[str, Any], by: str
) -> None:
    """A person's stop goes with the service; until the node has it, the manifest has `suspend`."""
    service_id = value["id"]
    noticed = await until.noticed(service_id, checked(value | {"suspend": True}))
    if noticed.converged:
        await node.stop_service(service_id)
        await declarations.write(service_id, value, by)


async def _move(declarations: Declarations, old: str, value: dict[str, Any], kept: Installed) -> None:
    """From the note on, to the end of the note. Raises OSError with everything as it was."""
    home, installed = declarations.home, declarations.installed
    renaming = Renaming(old, value["id"], value)
    # Whoever gives up waiting, or ends the node, does not leave it half done.
    with anyio.CancelScope(shield=True):
        await installed.begin_rename(renaming, kept)
        try:
            declarations.repositories.rename(renaming.old, renaming.new)
            await anyio.to_thread.run_sync(_carry_out, home, renaming)
        except OSError:
            await anyio.to_thread.run_sync(_take_back, home, renaming)
            await installed.take_back_rename()
            raise
        await installed.end_rename()


def _carry_out(home: Path, renaming: Renaming) -> None:
    """Does what is not done yet. Raises OSError."""
    if not os.path.lexists(file_of(home, renaming.old)):
        return
    move_what_it_names(home, renaming.old, renaming.new)
    write_manifest(home, renaming.new, renaming.manifest)
    file_of(home, renaming.old).unlink()


def _take_back(home: Path, renaming: Renaming) -> None:
    with suppress(OSError):
        file_of(home, renaming.new).unlink(missing_ok=True)
        move_back(home, renaming.old, renaming.new)
