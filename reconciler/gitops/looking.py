"""What a repository has now: one ls-remote, wherever its server says that it has moved to.

A web server that sends us to another place on itself is followed (repositories are renamed, http becomes
https), and the new place is told, so that somebody writes it down. To other hosts nobody is followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.gitops.credentials import read_token, with_place
from reconciler.gitops.git import ASK, git
from reconciler.gitops.probe import certificate_trouble, moved_to
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from reconciler.gitops.git import Access

_MOVES = 3
#: Servers of many people have a ref for each change that was ever proposed; those are nobody's source.
_WANTED = ("HEAD", "refs/heads/*", "refs/tags/*")


async def list_refs(
    source: GitSource, access: Access, home: Path, place: str, wanted: tuple[str, ...] = _WANTED
) -> tuple[str, str]:
    """What git prints, and where the repository is. Raises GitTrouble."""
    for _ in range(_MOVES):
        line = ("ls-remote", "--symref", "--", source.url, *wanted)
        try:
            said = await git(*line, url=source.url, access=with_place(access, source, place), seconds=ASK)
            return said.decode("utf-8", "replace"), place
        except GitTrouble as trouble:
            if trouble.reason == "CertificateNotTrusted":
                raise await certificate_trouble(place, access) or trouble from None
            if trouble.reason != "RepositoryMoved":
                raise
        token = read_token(source, home) if source.credentials and source.credentials.token_file else None
        place = await moved_to(source, place, token, access)
    raise GitTrouble("RepositoryMoved", f"{source.url}: its server sends us from place to place")
