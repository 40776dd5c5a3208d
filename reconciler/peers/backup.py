"""`atek backup` and `atek restore`: who this node is, what it wrote, and what it runs, in one secret file.

The store itself cannot be copied (two copies of one writer would fork its logs). So a backup has the keys,
and the records as they are; a restored node asks those who follow it for its log before it writes anything,
and takes the records from the backup only when nobody has it.

    {"format": "atek-backup", "version": 1, "createdAt": …, "name": …,
     "keys": what the daemon exports, "databases": [{name, dbId, fork, version, records: [{path, value}]}],
     "files": {"config.toml": text, "manifests/notes.yaml": text, "state/follows.json": text, …},
     "secret": the node's own, in hexadecimal digits, "suspended": ids of services that a person stopped}

Packages and the data of services are not in it: neither `data/` nor what programs wrote beside their code,
which lies in `packages/` and `kept/`.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hyper.port import Undecodable
from manifests.documents.text import SUFFIXES
from manifests.files import read_json, write_atomically
from manifests.sources.config import CONFIG_FILES
from reconciler.errors import UserError
from reconciler.peers.errors import for_people
from reconciler.state.age_key import FILE as AGE_KEY
from reconciler.state.store import FileStore, Remembered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hyper.port import Database, Hyper
    from reconciler.peers.port import Nodes

FORMAT, VERSION = "atek-backup", 1
_SECRET = "state/node.secret"
#: Where the daemon looks for it (`core_services.restore_file`).
_STORE = "state/restore.json"
_STATE = (
    "state/follows.json",
    "state/installed.json",
    "state/releases.json",
    "state/updates.json",
    "state/images.json",
    AGE_KEY,
)
_SERVICES = "state/services"
_SERVICE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


# Making one


async def store_backup(nodes: Nodes) -> dict[str, Any]:
    """What only the daemon knows: keys, and the records of all databases that this node writes."""
    await nodes.keys()
    hyper = nodes.hyper
    with for_people():
        own = [each for each in (await hyper.status()).databases if each.writable and each.name]
        databases = [await _dump(hyper, each) for each in own]
        return {"keys": dict(await hyper.export_keys()), "databases": databases}


async def _dump(hyper: Hyper, database: Database) -> dict[str, Any]:
    records = await hyper.list(database.db_id, version=database.version)
    return {
        "name": database.name,
        "dbId": database.db_id,
        "fork": database.fork,
        "version": database.version,
        "records": [
            {"path": list(record.path), "value": record.value}
            for record in records
            if not isinstance(record.value, Undecodable)
        ],
    }


def home_backup(home: Path) -> dict[str, Any]:
    """What lies in the home. Raises OSError, and UserError for what is no text."""
    return {
        "files": {name: _text(home / name) for name in _kept(home)},
        "secret": (home / _SECRET).read_bytes().hex(),
        "suspended": sorted(_suspended(home)),
    }


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text", hint="save it as UTF-8, or move it away") from error


def _kept(home: Path) -> Iterator[str]:
    for name in (*CONFIG_FILES, *_STATE):
        if (home / name).is_file():
            yield name
    folder = home / "manifests"
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.is_file() and _is_manifest(file.name):
            yield f"manifests/{file.name}"


def _suspended(home: Path) -> Iterator[str]:
    memories, _ = FileStore(home / _SERVICES).load()
    return (service_id for service_id, memory in memories.items() if memory.suspended)


def write_backup(file: Path, backup: Mapping[str, Any]) -> None:
    """Whole or not at all, for the owner alone. Raises UserError."""
    try:
        write_atomically(file, json.dumps(backup, ensure_ascii=False, indent=1).encode() + b"\n")
    except OSError as error:
        raise UserError(
            f"{file} cannot be written: {error.strerror or error}", hint="name a file in a folder of yours"
        ) from error


# Bringing it back


def read_backup(file: Path) -> dict[str, Any]:
    """Raises UserError for what no backup is."""
    try:
        value = read_json(file)
    except ValueError as error:
        raise UserError(str(error), hint="is it a file that `atek backup` made?") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
    if value is None:
        raise UserError(f"there is no {file}", hint="name the file that `atek backup` made")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UserError(f"{file} is no backup of a node", hint="name the file that `atek backup` made")
    if value.get("version") != VERSION:
        raise UserError(f"{file} was made by a newer atek", hint="restore it with that version")
    _check(value, file)
    return value


def restore(home: Path, backup: Mapping[str, Any]) -> None:
    """Puts it into an empty home; the store follows when the node starts. Raises UserError.

    Nothing is left of it when it fails.
    """
    _require_empty(home)
    made: list[Path] = []
    try:
        for name, data in _contents(backup):
            _make_folders(home, home / name, made)
            made.append(home / name)
            write_atomically(home / name, data)
        _stop(home, backup["suspended"], made)
    except OSError as error:
        _undo(made)
        raise UserError(
            f"{home} cannot be written: {error.strerror or error}", hint="choose another with --home"
        ) from error


def _contents(backup: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The daemon's file comes last: without it, there is nothing that looks like a node."""
    yield _SECRET, bytes.fromhex(backup["secret"])
    for name, text in backup["files"].items():
        yield name, text.encode()
    store = {key: backup[key] for key in ("format", "version", "keys", "databases")}
    yield _STORE, json.dumps(store, ensure_ascii=False).encode()


def _check(value: Mapping[str, Any], file: Path) -> None:
    """What it says is written into a home, so nothing of it is believed unseen. Raises UserError."""
    files, suspended = value.get("files"), value.get("suspended")
    good = (
        isinstance(value.get("keys"), dict)
        and isinstance(value.get("databases"), list)
        and isinstance(files, dict)
        and all(_may_be_restored(name) and isinstance(text, str) for name, text in files.items())
        and isinstance(suspended, list)
        and all(isinstance(each, str) and _SERVICE_ID.fullmatch(each) for each in suspended)
        and re.fullmatch(r"[0-9a-f]{64}", str(value.get("secret")))
    )
    if not good:
        raise UserError(f"{file} is damaged: a part of it is missing or wrong", hint="use another backup")


def _may_be_restored(name: str) -> bool:
    if name in (*CONFIG_FILES, *_STATE):
        return True
    folder, _, file = name.partition("/")
    return folder == "manifests" and "/" not in file and _is_manifest(file)


def _is_manifest(name: str) -> bool:
    return not name.startswith(".") and any(name.lower().endswith(suffix) for suffix in SUFFIXES)


def _require_empty(home: Path) -> None:
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise UserError(
            f"{home} is not empty: a backup would be mixed with what is there",
            hint="restore into a new home, --home names it; the old one may stay where it is",
        )


def _make_folders(home: Path, file: Path, made: list[Path]) -> None:
    """Those that are missing, noted down."""
    missing = [parent for parent in file.parents if not parent.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700)
        made.append(folder)
    home.chmod(0o700)


def _stop(home: Path, ids: list[str], made: list[Path]) -> None:
    for service_id in ids:
        file = home / _SERVICES / f"{service_id}.json"
        _make_folders(home, file, made)
        made.append(file)
        write_atomically(file, json.dumps(Remembered(suspended=True).to_json()).encode())


def _undo(made: list[Path]) -> None:
    for path in reversed(made):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
