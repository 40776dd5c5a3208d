"""A service as a record in a Hypercore database, and the manifest that it stands for. Pure.

The record is what Atek has always written ({id, owningUserKey, sourceUrl, desiredVersion, package, manifest,
config}), so that other Atek software can read it, and beside that our `spec`: the manifest as its author
wrote it, complete. Where there is a spec it holds; a record of other software is translated. A package that
was pushed is a version of a drive: `hyper://<64 hex digits>?version=N`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyper.port import Drive, RecordPath, Undecodable
from manifests.documents.parse import parse_manifest
from manifests.model.expansion import literal
from manifests.model.git import is_git, parse_git
from manifests.model.snapshot import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyper.port import Record
    from manifests.model.manifest import Manifest

#: Where services are in a node's database; the last part of the path is the service's key.
SERVICES: RecordPath = ("atek.cloud", "service")

BROKEN = "BrokenRecord"

_DRIVE = re.compile(r"hyper://([0-9a-f]{64})/?\?version=([1-9][0-9]{0,14})")
_SERVICE_ID = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
#: The node's own variables, which the original let nobody set either.
_RESERVED = "ATEK_"
#: What others wrote is shown to a person only up to here, and only what can be printed.
_SHOWN = 200
#: No service needs tables in tables in tables; what reads and writes them has its limits.
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record that was understood. `manifest.source` is as written; `drive` is what it means, if it is one.

    All of it is what the database's author says: `key` and `owner` too.
    """

    key: str
    seq: int
    manifest: Manifest
    drive: Drive | None = None
    owner: str = ""
    updated_at: str = ""
    updated_by: str = ""

    @property
    def id(self) -> str:
        return self.manifest.id


def record_path(key: str) -> RecordPath:
    """Where the record of the service with this key is."""
    return (*SERVICES, key)


def drive_url(drive: Drive) -> str:
    return f"hyper://{drive.key}?version={drive.version}"


def parse_drive(source: str) -> Drive | None:
    """The drive that a manifest's `source:` means; None when it is something else."""
    found = _DRIVE.fullmatch(source)
    return Drive(found[1], int(found[2])) if found else None


def make_record(
    spec: Mapping[str, Any],
    *,
    owner: str,
    updated_at: str,
    updated_by: str,
    source_url: str | None = None,
    desired_version: str | None = None,
    package: Mapping[str, Any] | None = None,
    atek_json: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The value of a record. `spec` is the plain manifest (camelCase), with its `id` and its `source`.

    `source_url` and `package` follow from the spec's source, `config` from its env, where they are left out.
    """
    source = str(spec.get("source") or "")
    return {
        "id": spec["id"],
        "owningUserKey": owner,
        "sourceUrl": _url(source) if source_url is None else source_url,
        "desiredVersion": desired_version or spec.get("version"),
        "package": dict(_package(source) if package is None else package),
        "manifest": dict(atek_json or {}),
        "config": dict(spec.get("env") or {}) if config is None else dict(config),
        "spec": dict(spec),
        "updatedAt": updated_at,
        "updatedBy": updated_by,
    }


def read_record(record: Record, source: str) -> tuple[Recorded | None, Problem | None]:
    """What a record says, or why it says nothing; exactly one of the two is there.

    `source` is the name of the source, for the problem.
    """
    value = record.value
    key = record.path[-1]
    if isinstance(value, Undecodable):
        message, service = f"its value cannot be read: {value.why}", key if _SERVICE_ID.fullmatch(key) else ""
        return None, _broken(message, source, _printable(key), "write it anew", service)
    if len(record.path) != len(SERVICES) + 1 or not isinstance(value, dict):
        return None, _broken("it is not the record of a service", source, _printable(key))
    if _is_deeper(value, _DEEPEST):
        return None, _broken("it is nested too deeply", source, _printable(key))
    document = value["spec"] if isinstance(value.get("spec"), dict) else _translated(value)
    drive, document = _without_drive(document)
    manifest, problems = parse_manifest(document)
    if manifest is None:
        return None, _located(problems[0], source, document, key)
    manifest = literal(manifest)
    if drive is not None:
        manifest = manifest.model_copy(update={"source": drive_url(drive)})
    return _recorded(record, manifest, drive), None


def service_of(record: Record) -> str:
    """The id that a record is for, as far as it can be one; else empty."""
    value = record.value if isinstance(record.value, dict) else {}
    spec = value.get("spec")
    found = (spec if isinstance(spec, dict) else value).get("id")
    return found if isinstance(found, str) and _SERVICE_ID.fullmatch(found) else ""


def _recorded(record: Record, manifest: Manifest, drive: Drive | None) -> Recorded:
    value = record.value
    return Recorded(
        key=record.path[-1],
        seq=record.seq,
        manifest=manifest,
        drive=drive,
        owner=_text(value.get("owningUserKey")),
        updated_at=_text(value.get("updatedAt")),
        updated_by=_text(value.get("updatedBy")),
    )


def _translated(value: Mapping[str, Any]) -> dict[str, Any]:
    """A record of other software as a plain manifest."""
    document: dict[str, Any] = {"id": value.get("id")}
    if value.get("sourceUrl"):
        document["source"] = value["sourceUrl"]
    source = value.get("sourceUrl")
    if value.get("desiredVersion") and isinstance(source, str) and is_git(source) and "#" not in source:
        document["version"] = value["desiredVersion"]
    config = value.get("config")
    if isinstance(config, dict):
        env = {str(name).upper(): item for name, item in config.items() if item is not None}
        document["env"] = {name: item for name, item in env.items() if not name.startswith(_RESERVED)}
    elif config is not None:
        document["env"] = config
    return document


def _without_drive(document: Mapping[str, Any]) -> tuple[Drive | None, dict[str, Any]]:
    """The drive, and the manifest as a file may say it; files know no drives."""
    source = document.get("source")
    drive = parse_drive(source) if isinstance(source, str) else None
    return drive, {**document, "source": "."} if drive else dict(document)


def _located(problem: Problem, source: str, document: Mapping[str, Any], key: str) -> Problem:
    found = document.get("id")
    service = found if isinstance(found, str) and _SERVICE_ID.fullmatch(found) else ""
    message = f"{problem.key}: {problem.message}" if problem.key else problem.message
    return _broken(message, source, service or _printable(key), problem.hint, service)


def _broken(message: str, source: str, what: str, hint: str = "", service: str = "") -> Problem:
    where = f"{source}:{what}"
    return Problem(_printable(message), where, hint=_printable(hint), service=service, reason=BROKEN)


def _printable(text: str) -> str:
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:_SHOWN]
    )
    return f"{shown}…" if len(text) > _SHOWN else shown


def _is_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_is_deeper(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_is_deeper(item, levels - 1) for item in value)
    return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _url(source: str) -> str:
    """As Atek writes packages: a folder is a file URL."""
    return f"file://{source}" if source.startswith("/") and not is_git(source) else source


def _package(source: str) -> dict[str, Any]:
    drive = parse_drive(source)
    if drive is not None:
        return {"sourceType": "hyper", "installedVersion": str(drive.version)}
    if is_git(source):
        return {"sourceType": "git", "installedVersion": parse_git(source).ref}
    return {"sourceType": "file", "installedVersion": ""}
