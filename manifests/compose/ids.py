"""What the services of a Compose file are called here, and their project. Pure.

The project is Compose's own: the file's `name`, else COMPOSE_PROJECT_NAME of the .env beside it, else the
name of its
folder, in small letters and without what Compose takes out. Ids begin with it, so that the `db` of one
file is not
that of another. An earlier version began ids with `name` only: services that it has started keep their
ids, and
the project whose network and volumes they have (`Around.kept`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.compose.values import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

#: By the name of a project: ids that an earlier version gave its services.
KeptIds = Mapping[str, Collection[str]]

_LONGEST = 63
_SERVICE_NAME = re.compile(r"[a-zA-Z0-9._-]+")
#: What the folder of a commit is called: once each was a project of its own.
_COMMIT = re.compile(r"[0-9a-f]{40}-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Names:
    """`ids` by the services' names; `kept` are those among them that another version has given."""

    project: str
    ids: Mapping[str, str]
    kept: Collection[str]
    prefix: str


def name_services(
    services: Collection[str], name: str | None, variable: str | None, folder: str, kept: KeptIds, root: str
) -> Names:
    """`name` and `variable` are what the file and its .env say. Raises Invalid.

    `root`: what the project is called where the folder's name says nothing; then it is a commit's.
    """
    prefix = _project(name, variable, root or folder)
    ids = dict(_ids(services, prefix, shorten=name is None))
    former = _label(name) if name is not None else ""
    project = former or _label(folder) or "compose"
    before = dict(_former_ids(services, former))
    if root and name is None:
        project = _of_commits(before.values(), kept) or project
    held = {each: old for each, old in before.items() if old in kept.get(project, ()) and old != ids[each]}
    ids |= held
    _refuse_equal(ids)
    # Also where the ids are the same: the network and the volumes have the project's name.
    is_old = any(old in kept.get(project, ()) for old in before.values())
    return Names(project if is_old else prefix, ids, tuple(held.values()), prefix)


def former_ids(services: Iterable[str], name: str | None, folder: str) -> tuple[str, list[str]]:
    """The project and the ids that an earlier version gave to these services. Raises nothing."""
    former = _label(name) if name is not None else ""
    return former or _label(folder) or "compose", [old for _, old in _former_ids(services, former)]


def of_earlier(service_id: str, project: str, aliases: Iterable[str]) -> bool:
    """Whether a service has an id by an earlier version's rule."""
    labels = {_label(alias) for alias in aliases}
    return service_id in labels or service_id in {f"{project}-{each}" for each in labels}


def _former_ids(services: Iterable[str], prefix: str) -> Iterable[tuple[str, str]]:
    for each in services:
        label = _label(each)
        yield each, label if prefix in ("", label) else f"{prefix}-{label}"


def _project(name: str | None, variable: str | None, folder: str) -> str:
    if name is not None:
        if not (found := _label(_normal(name))):
            raise Invalid(("name",), "has no letter and no digit")
        return found
    if variable:
        if _normal(variable) != variable:
            hint = "small letters, digits, - and _; it begins with a letter or a digit"
            raise Invalid((), f"COMPOSE_PROJECT_NAME in .env is no project's name: {variable}", hint)
        return _label(variable)
    return _label(_normal(folder)) or "compose"


def _ids(services: Iterable[str], prefix: str, *, shorten: bool) -> Iterable[tuple[str, str]]:
    for each in services:
        label = _label(each)
        if not _SERVICE_NAME.fullmatch(each) or not label:
            raise Invalid(("services", each), "is no name for a service")
        found = label if prefix == label else f"{prefix}-{label}"
        if len(found) > _LONGEST and shorten:
            # Nobody has chosen the folder's name for this.
            digest = hashlib.sha256(prefix.encode()).hexdigest()[:6]
            found = f"{prefix[: max(1, _LONGEST - len(label) - 8)].rstrip('-')}-{digest}-{label}"
        if len(found) > _LONGEST:
            raise Invalid(("services", each), f"its id would be {found}, which is longer than 63 characters")
        yield each, found


def _refuse_equal(ids: Mapping[str, str]) -> None:
    taken: dict[str, str] = {}
    for name, found in ids.items():
        if found in taken:
            raise Invalid(("services", name), f"its id would be {found}, like that of {taken[found]}")
        taken[found] = name


def _of_commits(ids: Iterable[str], kept: KeptIds) -> str:
    """The commit's folder under whose name most of these services run; empty without any."""
    wanted = set(ids)
    found = {each: len(wanted & set(kept[each])) for each in kept if _COMMIT.fullmatch(each)}
    best = max(found, key=lambda each: (found[each], each), default="")
    return best if found.get(best) else ""


def _normal(name: str) -> str:
    """compose-go's NormalizeProjectName."""
    return re.sub(r"[^-_a-z0-9]", "", name.lower()).lstrip("-_")


def _label(name: str) -> str:
    """A DNS label as near to the name as there is one; empty when nothing of it is left."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].rstrip("-")
