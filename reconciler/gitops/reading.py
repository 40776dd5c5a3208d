"""The manifests in a folder of a commit, read as a whole: with one thing wrong in it, nothing of it counts.

What lies there is a folder of manifests like any other (`manifests.sources.listing` says which names count),
and so are the folders below it, but for those that are something else: the package of a service, and whatever
lies around a Compose file. Reads files, so it is for threads.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from manifests.compose import is_compose
from manifests.documents.document import BrokenText
from manifests.model.git import is_git
from manifests.model.ignored import is_ignored
from manifests.model.judgement import judge, judge_package, narrow
from manifests.model.nodes import runs_on
from manifests.model.snapshot import Declared, Problem
from manifests.packages.resolve import (
    DOCKERFILE,
    PROGRAM_FILES,
    ResolveError,
    absolute_source,
    infer_runtime,
    package_exports,
    secret_paths,
)  # fmt: skip
from manifests.sources.formats import is_within, parse_manifests
from manifests.sources.listing import is_manifest, read_text
from reconciler.gitops.copies import seeing, with_copies
from reconciler.gitops.decide import FORBIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from manifests.compose.ids import KeptIds
    from manifests.model.git_source import GitSource
    from manifests.model.manifest import Manifest
    from manifests.model.nodes import Place
    from reconciler.gitops.copies import Copy

#: Folders below each other that are looked into: a commit cannot hold more than its limits anyway.
_DEEPEST = 32
_PACKAGE = frozenset({*PROGRAM_FILES, DOCKERFILE, "atek.json"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What a commit says here: all services of it, or all that is wrong with it."""

    services: tuple[Declared, ...] = ()
    problems: tuple[Problem, ...] = ()
    #: Of its own folder, what has to be there before they are declared.
    copies: tuple[Copy, ...] = ()


def read_folder(
    folder: str,
    source: GitSource,
    place: Place,
    *,
    trees: Path,
    closed: bool = False,
    ids: KeptIds = MappingProxyType({}),
) -> Reading:
    """Reads every manifest below `folder`. Raises OSError when it cannot be listed.

    `trees`: where copies of what containers mount are; none is made here. `closed`: nothing outside is read
    for it, as for a foreign source. `ids`: see `compose.Around`.
    """
    copies: list[Copy] = []
    declared: list[Declared] = []
    problems: list[Problem] = []
    broken: dict[str, tuple[Problem, ...]] = {}
    for path in _manifests(folder):
        file = f"{source.name}:{os.path.relpath(path, folder)}"
        within = folder if closed or source.trust == "foreign" else ""
        found, wrong = _read(path, file, within, ids, root_name(source, path, folder))
        broken[path] = wrong
        for manifest in found:
            if runs_on(manifest, place):
                one = Declared(manifest, os.path.dirname(path), file, folder)
                one, made = with_copies(one, trees)
                copies += made
                kept, why = _judged(one, source, folder, made)
                declared += [_asking(kept, source)] if kept else []
                problems += [why] if why else []
    # What a service names for its secrets is no manifest, and no broken one.
    secret = {path for each in declared for path in secret_paths(each, "git").values()}
    problems += [one for path, wrong in broken.items() if path not in secret for one in wrong]
    problems += _twice(declared)
    return Reading((), tuple(problems)) if problems else Reading(tuple(declared), (), tuple(copies))


def root_name(source: GitSource, path: str, folder: str) -> str:
    """What the project of a file is called that lies in the folder of the commit, whose name is no name."""
    return source.name if os.path.dirname(path) == folder else ""


def _manifests(folder: str, depth: int = 0) -> Iterator[str]:
    """Paths of files, in the order of their names; those of a folder before those below it."""
    entries = sorted(os.scandir(folder), key=lambda each: each.name)
    files = [each.path for each in entries if each.is_file() and is_manifest(each.name)]
    composed = [path for path in files if is_compose(path, "")]
    # Beside a Compose file lie the files of its services, which are no manifests.
    yield from composed if composed and depth else files
    if composed or depth == _DEEPEST:
        return
    for entry in entries:
        hidden = entry.name.startswith((".", "#", "~")) or is_ignored(entry.name)
        if entry.is_dir(follow_symlinks=False) and not hidden and not _is_package(entry.path):
            yield from _manifests(entry.path, depth + 1)


def _is_package(folder: str) -> bool:
    return not _PACKAGE.isdisjoint(os.listdir(folder))


def _read(
    path: str, file: str, within: str, ids: KeptIds, root: str
) -> tuple[tuple[Manifest, ...], tuple[Problem, ...]]:
    try:
        text, _ = read_text(path)
    except BrokenText as error:
        return (), (Problem(error.message, file, error.line, error.key, error.hint),)
    parsed = parse_manifests(text, path, os.path.splitext(path)[1].lower(), within=within, ids=ids, root=root)
    # Also of what overrides it, which lies beside it.
    folder, shown = os.path.dirname(path), file.removesuffix(os.path.basename(path))
    problems = tuple(replace(each, file=each.file.replace(f"{folder}/", shown)) for each in parsed.problems)
    return parsed.manifests, problems


def _twice(declared: list[Declared]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for each in declared:
        service_id = each.manifest.id
        if service_id in first:
            message = f"{service_id} is in {first[service_id]} too"
            yield Problem(
                message, each.file, key="id", service=service_id, hint="give one of them another id"
            )
        first.setdefault(service_id, each.file)


def _judged(
    declared: Declared, source: GitSource, folder: str, copies: Sequence[Copy]
) -> tuple[Declared | None, Problem | None]:
    """A foreign repository's service as it may be here; one's own as it is."""
    if source.trust == "own":
        return declared, None
    manifest, package = declared.manifest, None
    if manifest.source is not None and not is_git(manifest.source):
        package = absolute_source(manifest.source, declared.base)
        if not is_within(package, folder):
            return None, _forbidden(declared, "its package is no folder of the repository's own")
    policy = seeing(source.terms, copies)
    # A folder of the repository came with it; everything else is judged as any node's.
    shown = manifest.model_copy(update={"source": None}) if package else manifest
    if why := judge(policy, shown):
        return None, _forbidden(declared, why)
    try:
        runtime = infer_runtime(manifest, package)
        exports = (
            manifest.exports if manifest.exports is not None else package_exports(package) if package else ()
        )
    except ResolveError as error:
        return None, Problem(error.message, declared.file, service=manifest.id, hint=error.hint)
    if why := judge_package(policy, shown, runtime, exports):
        return None, _forbidden(declared, why)
    narrowed = narrow(policy, manifest, runtime, exports, source.name)
    return replace(declared, manifest=narrowed, policy=policy), None


def _asking(declared: Declared, source: GitSource) -> Declared:
    """What goes back as a whole goes back with data only if somebody says so; unless its manifest does."""
    manifest, update = declared.manifest, declared.manifest.update
    if source.on_failure != "revert" or "on_failure" in update.model_fields_set:
        return declared
    asking = manifest.model_copy(update={"update": update.model_copy(update={"on_failure": "ask"})})
    return replace(declared, manifest=asking)


def _forbidden(declared: Declared, why: str) -> Problem:
    message = f"the policy of the source does not allow it: {why}"
    return Problem(message, declared.file, service=declared.manifest.id, reason=FORBIDDEN)


def same(before: Declared | None, declared: Declared) -> Declared:
    """The very object that was there before, where nothing about it is another: nobody has to look again."""
    now = declared.manifest, declared.file, declared.policy
    if before is None or (before.manifest, before.file, before.policy) != now:
        return declared
    source = declared.manifest.source
    # What is beside the manifest may be another, although it is called the same.
    relative = source is not None and "://" not in source and not source.startswith("/")
    relative = relative or any(each.file is not None for each in declared.manifest.secrets.values())
    return declared if relative and before.base != declared.base else before
