"""A new id for a service that is in this node's records: what it keeps goes with it, and so does its history.

The record keeps its key, so it is one change of one record. Records are read only once the node runs; until
all is moved the record says `suspend`, so that nothing of the service starts beside what is being moved.

    stop ─► note ─► record: new id, suspended ─► note that ─► move what the id names ─► record: as it is to be
              └─ unknown after a kill, until records are read   └─ the next start moves the rest at once
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from reconciler.apis.moving import move_back, move_what_it_names
from reconciler.errors import UserError
from reconciler.peers.port import Change
from reconciler.state.installed import Renaming

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.apis.declare import Declarations
    from reconciler.apis.port import ApiNode
    from reconciler.peers.port import ServiceRecords
    from reconciler.state.installed import Installed, InstalledServices

#: Seconds until records that cannot be read yet are looked at again.
AGAIN = 1.0
#: What the history says.
_WHAT, _START = "rename", "start"


async def move_recorded(
    declarations: Declarations,
    records: ServiceRecords,
    old: str,
    value: dict[str, Any],
    kept: Installed,
    *,
    runs: bool,
    by: str,
) -> None:
    """From the note on, to its end. Afterwards the record is suspended unless the service is to run.

    Raises UserError or OSError with everything as it was.
    """
    installed = declarations.installed
    renaming = Renaming(old, value["id"], value, recorded=True, runs=runs, by=by)
    with anyio.CancelScope(shield=True):
        await installed.begin_rename(renaming, kept)
        try:
            await records.rename(old, _suspended(value), Change(by, _WHAT))
        except BaseException:
            await installed.take_back_rename()
            raise
        try:
            await _move(declarations, renaming)
        except OSError:
            await _take_back(declarations, records, renaming)
            raise
        await _settle(installed, records, renaming)


async def finish_recorded(node: ApiNode, installed: InstalledServices) -> None:
    """What an earlier life of the node left undone, once its records can be read. Raises OSError."""
    renaming, records = installed.renaming, node.nodes.services
    if renaming is None or not renaming.recorded:
        return
    if renaming.new not in await _ids(records):
        if renaming.runs:
            # It was stopped for this.
            await records.suspend(renaming.old, Change(renaming.by, _START), suspended=False)
        await installed.take_back_rename()
        return
    await installed.note_written()
    await anyio.to_thread.run_sync(move_what_it_names, installed.home, renaming.old, renaming.new)
    await _settle(installed, records, renaming)


async def _ids(records: ServiceRecords) -> Mapping[str, object]:
    """Once the daemon is there."""
    while True:
        try:
            return await records.read()
        except UserError:
            await anyio.sleep(AGAIN)


async def _move(declarations: Declarations, renaming: Renaming) -> None:
    await declarations.installed.note_written()
    declarations.repositories.rename(renaming.old, renaming.new)
    await anyio.to_thread.run_sync(move_what_it_names, declarations.home, renaming.old, renaming.new)


async def _take_back(declarations: Declarations, records: ServiceRecords, renaming: Renaming) -> None:
    """Where that does not work either, the next start goes on to the new id."""
    await anyio.to_thread.run_sync(move_back, declarations.home, renaming.old, renaming.new)
    await records.rename(renaming.new, {**renaming.manifest, "id": renaming.old}, Change(renaming.by, _WHAT))
    await declarations.installed.take_back_rename()


async def _settle(installed: InstalledServices, records: ServiceRecords, renaming: Renaming) -> None:
    if renaming.runs:
        await records.rename(renaming.new, renaming.manifest, Change(renaming.by, _START))
    await installed.end_rename()


def _suspended(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**value, "suspend": True}


def with_version(kept: Installed, desired_version: str | None) -> Installed:
    """What is kept about a service, with the version that somebody wants from now on."""
    return kept if desired_version is None else replace(kept, desired_version=desired_version)
