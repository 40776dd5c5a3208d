"""Which repositories the submodules of a commit are, where a source wants them.

Their URLs come from the repository: a remote one brings no repository of this machine in, and the source's
credentials go to the source's own server only. Those of a foreign one are fetched from public addresses.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio.to_thread
from pydantic import ValidationError

from manifests.model.git_source import Ref, Submodule, checked_url
from reconciler.gitops.mirror import stdin_of
from reconciler.gitops.objects import Missing, objects
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from manifests.model.git_source import GitSource
    from reconciler.gitops.mirror import Mirror

_FILE = b".gitmodules"
_REASON = "SubmoduleRefused"
#: Submodules of submodules, and how many a commit may have.
DEEPEST, MOST = 5, 100


async def urls_of(mirror: Mirror, commit: str) -> dict[str, str]:
    """URLs by the paths of submodules, both as they are written. Raises GitTrouble."""
    name = await anyio.to_thread.run_sync(_find, mirror, commit)
    if not name:
        return {}
    try:
        text = await anyio.to_thread.run_sync(_read, mirror, name)
    except Missing:
        await mirror.fetch("--filter=blob:none", objects=(name,))
        text = await anyio.to_thread.run_sync(_read, mirror, name)
    descriptor = stdin_of(text.decode("utf-8", "replace"))
    try:
        printed = await mirror.here("config", "--file", "-", "--null", "--list", stdin=descriptor)
    finally:
        os.close(descriptor)
    found: dict[str, dict[str, str]] = {}
    for key, _, value in (line.partition("\n") for line in printed.split("\0") if line):
        section, _, rest = key.partition(".")
        module, _, what = rest.rpartition(".")
        if section == "submodule":
            found.setdefault(module, {})[what] = value
    return {each["path"]: each["url"] for each in found.values() if "path" in each and "url" in each}


def source_of(source: GitSource, url: str, commit: str) -> Submodule:
    """What a submodule is as a source. Raises GitTrouble.

    On the server that the owner of this node has named, also a stranger's may lie; elsewhere in public only.
    """
    try:
        place = checked_url(_absolute(source.url, url))
        same = _origin(place) == _origin(source.url)
        given = {
            "name": source.name, "url": place, "ref": Ref(commit=commit), "trust": source.trust,
            "submodules": True, "limits": source.limits,
            "is_strangers": source.public_only or (source.trust != "own" and not same),
            **({"credentials": source.credentials, "ca_file": source.ca_file} if same else {}),
        }  # fmt: skip
        found = Submodule.model_validate(given)
    except (ValueError, ValidationError) as error:
        raise GitTrouble(_REASON, f"{source.url} has the submodule {url}, which is not fetched") from error
    if found.scheme == "file" and source.scheme != "file":
        raise GitTrouble(_REASON, f"{source.url} has the submodule {url}, which is of this machine")
    if source.trust != "own" and not same and found.scheme != "https":
        raise GitTrouble(_REASON, f"{source.url} has the submodule {url}, which is not fetched by https")
    return found


def _absolute(base: str, url: str) -> str:
    """As git does: a relative one starts from where the repository is."""
    if not url.startswith(("./", "../")):
        return url
    base = base.rstrip("/")
    while url.startswith(("./", "../")):
        step, _, url = url.partition("/")
        if step == "..":
            base = base.rpartition("/")[0]
    return f"{base}/{url}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _find(mirror: Mirror, commit: str) -> str:
    with objects(mirror.path) as found:
        entries = next(found.trees([found.folder(commit, "")]))
    return next((each.object for each in entries if each.name == _FILE and stat.S_ISREG(each.mode)), "")


def _read(mirror: Mirror, name: str) -> bytes:
    with objects(mirror.path) as found:
        size, chunks = next(found.blobs([name]))
        if size > 2**20:
            raise GitTrouble("RepositoryTooLarge", f"{mirror.url}: .gitmodules is larger than 1 MiB")
        return b"".join(chunks())
