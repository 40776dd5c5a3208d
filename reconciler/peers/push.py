"""`atek push`: a package folder onto a drive, and a service that uses it into this node's own records.

Whoever follows this node finds the record, fetches that version of the drive, and runs it if its policy
lets it. The record is written when the drive is safe on the disk: nobody is told of what is not there. The
folder is read by the daemon (`hyper/daemon/lib/folder.js`), which is told its name and what to leave out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from manifests.documents.parse import parse_manifest
from manifests.documents.record import drive_url, parse_drive
from manifests.model.ignored import IGNORED
from manifests.model.nodes import Place, runs_on
from manifests.model.snapshot import Declared
from manifests.packages.resolve import ResolveError, read_atek_json, resolve
from reconciler.errors import UserError
from reconciler.peers.errors import for_people
from reconciler.peers.port import NODE_SELF, Change
from reconciler.peers.records import spec_source
from reconciler.state.mistakes import sentences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hyper.port import Drive
    from manifests.model.manifest import Manifest
    from reconciler.peers.port import Follow, Keys, Nodes

#: A manifest for pushing may lie in the package's own folder, under one of these names. It is no part of the
#: package: what it says stands in the record, and a change of it alone leaves the package as it is.
MANIFEST_FILES = ("atek.yaml", "atek.yml", "atek.toml")


@dataclass(frozen=True, slots=True)
class Pushed:
    """A record that was written, as version `version` of this node's records, and who runs it.

    `here`: this node does. `nodes` are the names of follows that do, if they follow this one. `unknown` is
    the name that was asked for, when no follow has it.
    """

    id: str
    version: int
    package: str = ""
    here: bool = False
    nodes: Sequence[str] = ()
    unknown: str = ""


async def push(nodes: Nodes, manifest: Mapping[str, Any], folder: str | None, to: str = "") -> Pushed:
    """Raises UserError, with no record written, when something is wrong with any of it.

    `manifest` is a plain value with its id; `folder` the absolute path of its package, None when it has none.
    `to` is the one node that is to run it: a follow's name, a node's, or this one's own.
    """
    keys = await nodes.keys()
    known = await _places(nodes)
    chosen = {"nodes": [_name(to, keys, known)]} if to else {}
    wanted = {**manifest, **chosen}
    checked = await _check(wanted, folder)
    if folder is not None:
        wanted["source"] = await _put_package(nodes, checked.id, folder)
    about = await _atek_json(folder)
    version = await nodes.services.declare(wanted, Change(keys.name, "push"), atek_json=about)
    here = await _own_place(nodes, keys)
    return Pushed(
        id=checked.id,
        version=version,
        package=wanted["source"] if folder is not None else "",
        here=runs_on(checked, here),
        nodes=_chosen(checked, known),
        unknown=to if to and not _is_known(to, keys, known) else "",
    )


# The manifest


async def _check(manifest: Mapping[str, Any], folder: str | None) -> Manifest:
    """As the node that runs it would understand it."""
    document = {key: value for key, value in manifest.items() if key != "source"}
    checked, problems = parse_manifest(document if folder is None else {**document, "source": folder})
    if checked is None:
        message, hint = sentences(problems)
        raise UserError(message, hint=hint)
    try:
        await anyio.to_thread.run_sync(resolve, Declared(checked, "/", ""), "push")
    except ResolveError as error:
        raise UserError(error.message, hint=error.hint) from error
    return checked


async def _put_package(nodes: Nodes, service_id: str, folder: str) -> str:
    named = await _named(nodes)
    with for_people():
        drive = await nodes.hyper.put_drive(
            drive_name(service_id), folder, ignore=[*IGNORED, *MANIFEST_FILES], named=named
        )
    return drive_url(drive)


async def _named(nodes: Nodes) -> list[Drive]:
    """The packages that this node's records name now: their content stays, however old it is."""
    records = (await nodes.services.read()).values()
    drives = (parse_drive(str(spec_source(record.value))) for record in records)
    return [drive for drive in drives if drive is not None]


async def _atek_json(folder: str | None) -> dict[str, Any]:
    """For other Atek software, which reads it in the record."""
    return {} if folder is None else await anyio.to_thread.run_sync(read_atek_json, folder)


def drive_name(service_id: str) -> str:
    """The name, in this node's store, of the drive with a service's package."""
    return f"package/{service_id}"


# Where it runs


async def _places(nodes: Nodes) -> Mapping[str, Place]:
    """Follow's name → what is known of that node."""
    return {follow.name: await _place(nodes, follow) for follow in nodes.follows()}


async def _place(nodes: Nodes, follow: Follow) -> Place:
    about = (await nodes.followed(follow.name)).node
    return Place(str(about.get("name") or follow.name), _labels(about))


async def _own_place(nodes: Nodes, keys: Keys) -> Place:
    with for_people():
        record = await nodes.hyper.get(keys.records, NODE_SELF)
    about = record.value if record and isinstance(record.value, dict) else {}
    return Place(keys.name, _labels(about))


def _labels(about: Mapping[str, Any]) -> frozenset[str]:
    labels = about.get("labels")
    return frozenset(map(str, labels)) if isinstance(labels, list) else frozenset()


def _name(to: str, keys: Keys, known: Mapping[str, Place]) -> str:
    """What the node calls itself, because that is what it looks for in `nodes:`."""
    return known[to].name if to in known and to != keys.name else to


def _is_known(to: str, keys: Keys, known: Mapping[str, Place]) -> bool:
    return to == keys.name or to in known or any(place.name == to for place in known.values())


def _chosen(manifest: Manifest, known: Mapping[str, Place]) -> Sequence[str]:
    """The follows that the manifest names or describes. Who runs what everybody may run is not known."""
    if manifest.nodes is None:
        return ()
    return [name for name, place in known.items() if runs_on(manifest, place)]
