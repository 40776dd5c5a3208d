"""`atek push`: packages to other nodes, by this node's records."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.compose import NAMES as COMPOSE_NAMES
from manifests.documents.document import BrokenText
from manifests.documents.parse import parse_manifest
from manifests.documents.scalars import coerce
from manifests.documents.text import read_documents
from manifests.model.manifest import Manifest
from manifests.packages.resolve import PROGRAM_FILES, absolute_source
from reconciler.cli.apply import read_manifests
from reconciler.cli.client import Client
from reconciler.cli.delivery import Delivery
from reconciler.errors import UserError
from reconciler.peers.push import MANIFEST_FILES
from reconciler.state.compose_ids import kept_ids
from reconciler.state.mistakes import sentences

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from manifests.compose.ids import KeptIds

#: Seconds. A large package takes a while to be put on a drive.
_ANSWER_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service's plain manifest, and the folder of its package if it has one."""

    manifest: dict[str, Any]
    folder: str | None

    @property
    def id(self) -> str:
        return str(self.manifest["id"])


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError, with nothing pushed, when one of the manifests is wrong."""
    client = Client(arguments.home)
    wanted = read(arguments.path, arguments.id, kept_ids(arguments.home))
    waits = [_Wait(client, arguments, each.id) for each in wanted] if arguments.wait is not None else []
    pushed = [_push(client, each, arguments.to) for each in wanted]
    for one, wait in zip(pushed, waits, strict=False):
        wait.finish(one)
    return 0


def _push(client: Client, wanted: Wanted, to: str | None) -> dict[str, Any]:
    done: dict[str, Any] = client.call(
        "push", within=_ANSWER_SECONDS, manifest=wanted.manifest, folder=wanted.folder, to=to
    )
    print(f"{done['id']} pushed as version {done['version']}: {_where(done, wanted, to)}", flush=True)
    if done["unknown"]:
        print(
            f"atek: this node follows no {done['unknown']}, so it cannot tell how it fares there\n"
            "hint: `atek follow` lists those that it follows",
            file=sys.stderr,
        )
    return done


def _where(done: dict[str, Any], wanted: Wanted, to: str | None) -> str:
    nodes = [*(["this node"] if done["here"] else []), *done["nodes"]]
    if done["unknown"]:
        return f"for {done['unknown']}"
    if to is None and wanted.manifest.get("nodes") is None:
        return "for this node and all that follow it"
    return f"for {', '.join(nodes)}" if nodes else "for nodes that this one does not know"


class _Wait:
    """For one service, here and on the nodes that are to run it; made before the push."""

    def __init__(self, client: Client, arguments: argparse.Namespace, service_id: str) -> None:
        from reconciler.cli.rollout import Rollout

        self._seconds: float = arguments.wait
        own_key = client.call("keys")["key"]
        names = [follow["name"] for follow in client.call("follows")]
        self._here = Rollout(arguments.home)
        self._there = {name: Delivery(client, name, service_id, own_key) for name in names}

    def finish(self, done: dict[str, Any]) -> None:
        if not done["here"] and not done["nodes"]:
            raise UserError(
                f"how {done['id']} fares cannot be seen from here",
                hint="follow the node that runs it, with --status-only if nothing of it is to run here",
            )
        if done["here"]:
            self._here.wait({done["id"]: "configured"}, seconds=self._seconds)
        for name in done["nodes"]:
            self._there[name].wait(done["version"], seconds=self._seconds)


# What is to be pushed


def read(path: Path, service_id: str | None, ids: KeptIds) -> Sequence[Wanted]:
    """The services that a package's folder or a manifest file means. Raises UserError."""
    if path.is_dir():
        compose = _compose_file(path)
        if compose is None:
            return [_of_folder(path.absolute(), service_id)]
        path = compose
    found = list(read_manifests(str(path), ids))
    if service_id is not None and len(found) > 1:
        raise UserError(f"{path} declares {len(found)} services", hint="leave --id out")
    return [_of_value(each.value | ({"id": service_id} if service_id else {})) for each in found]


def _compose_file(folder: Path) -> Path | None:
    """The Compose file that says how a folder is run, unless it is a package that needs none."""
    if any((folder / name).is_file() for name in (*MANIFEST_FILES, *PROGRAM_FILES)):
        return None
    return next((folder / name for name in sorted(COMPOSE_NAMES) if (folder / name).is_file()), None)


def _of_folder(folder: Path, service_id: str | None) -> Wanted:
    """Its own manifest says what the folder alone does not."""
    file = next((folder / name for name in MANIFEST_FILES if (folder / name).is_file()), None)
    said = _manifest(file, folder, service_id) if file else {}
    base = {"id": service_id or said.get("id") or _id_of(folder), "source": str(folder)}
    return _of_value({**base, **said, "id": base["id"]})


def _manifest(file: Path, folder: Path, service_id: str | None) -> dict[str, Any]:
    """Raises UserError with file, line and key."""
    try:
        documents = read_documents(file.read_text("utf-8"), file.suffix, spelled=True)
    except (BrokenText, UnicodeDecodeError) as error:
        where = f"{file}:{error.line}" if isinstance(error, BrokenText) and error.line else str(file)
        raise UserError(f"{where}: {error}", hint=getattr(error, "hint", "")) from error
    documents = [document for document in documents if document.value is not None]
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise UserError(f"{file} has to be the manifest of one service", hint="id: notes")
    value: dict[str, Any] = coerce(documents[0].value, Manifest)
    filled = {"id": service_id or _id_of(folder), "source": ".", **value}
    _, problems = parse_manifest(filled, str(file), documents[0].line_of)
    if problems:
        message, hint = sentences(problems)
        raise UserError(message, hint=hint)
    source = value.get("source")
    return value if source is None else value | {"source": absolute_source(source, str(folder))}


def _of_value(value: dict[str, Any]) -> Wanted:
    manifest = {key: item for key, item in value.items() if key != "source"}
    return Wanted(manifest, value.get("source"))


def _id_of(folder: Path) -> str:
    """The folder's name, as far as it can be an id. Raises UserError."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower())[:63].strip("-")
    if not name:
        raise UserError(f"{folder} has no name that could be an id", hint="--id says one")
    return name
