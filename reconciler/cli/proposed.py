"""A commit of a Git source that is not applied, for `atek diff` and `atek plan --git`.

A node that runs fetches it into its mirror. Without one it is fetched here, into a folder that goes again.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from reconciler.cli.client import Client
from reconciler.errors import UserError
from reconciler.gitops.kept import KeptFile
from reconciler.gitops.obtaining import Proposal, propose, seen_of
from reconciler.gitops.port import unknown
from reconciler.gitops.repository import Repositories
from reconciler.gitops.troubles import GitTrouble
from reconciler.state.home import holder
from reconciler.state.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.git_source import GitSource
    from manifests.model.nodes import Place

#: Seconds that a server may take to send a commit, with all that is before it.
_WITHIN = 1800.0


@contextmanager
def proposed(home: Path, wanted: str) -> Iterator[tuple[GitSource, Proposal]]:
    """`wanted`: NAME, or NAME@REF. The commit's folder is there until the context ends. Raises UserError."""
    settings = load_settings(home, {})
    name, _, ref = wanted.partition("@")
    sources = {each.name: each for each in settings.sources.git}
    if name not in sources:
        raise unknown(name, list(sources))
    source = sources[name]
    if holder(home) is not None:
        found = Client(home).call("propose", within=_WITHIN, name=name, ref=ref)
        yield source, Proposal(**found)
        return
    with tempfile.TemporaryDirectory(prefix="atek-git-", ignore_cleanup_errors=True) as folder:
        yield source, anyio.run(_fetch, home, Path(folder), source, settings.place, ref)


async def _fetch(home: Path, folder: Path, source: GitSource, place: Place, ref: str) -> Proposal:
    path = source.folder(place.name)
    repository = Repositories(home, folder).open(source)
    applied = KeptFile(home, source.name).peek().applied
    try:
        seen = await seen_of(repository, source, ref)
        return await propose(repository, source, path, seen, applied.commit if applied else None)
    except GitTrouble as trouble:
        raise UserError(trouble.message, hint=trouble.hint) from trouble
