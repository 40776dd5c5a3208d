"""The releases of a repository: which tags are versions, and which one a service gets. Pure.

A service stays at the release it got. It gets another one when its manifest asks for a range that its own is
not in, or when a person asks; a repository without releases is followed by its default branch instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from manifests.model.semver import Version, newest_release, parse_range, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TAG, _PEELED = "refs/tags/", "^{}"


@dataclass(frozen=True, slots=True)
class Release:
    """A tag that is a version, and the commit that it is on."""

    version: Version
    tag: str
    commit: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What a repository has: its releases by their versions."""

    releases: Mapping[Version, Release] = field(default_factory=dict)

    def newest(self, wanted: str = "") -> Release | None:
        """The newest release in a range; without a range one that is no prerelease, if there is any."""
        found = parse_range(wanted).newest(self.releases) if wanted else newest_release(self.releases)
        return None if found is None else self.releases[found]

    def of_commit(self, commit: str) -> Release | None:
        """The newest release that is this commit."""
        found = [version for version, release in self.releases.items() if release.commit == commit]
        newest = newest_release(found)
        return None if newest is None else self.releases[newest]


@dataclass(frozen=True, slots=True)
class Pin:
    """Where a service stays in a repository: at a `commit`, or, empty, with the default branch.

    `tag`: the release that it is. `kept`: it ran before releases were looked at, and stays where it was.
    """

    url: str
    own: bool
    commit: str = ""
    tag: str = ""
    kept: bool = False

    @property
    def version(self) -> Version | None:
        return parse_version(self.tag)

    @property
    def shown(self) -> str:
        """As a person is told which version is installed."""
        return str(self.version or self.tag) if self.tag else self.commit[:12]

    def is_in(self, wanted: str) -> bool:
        """Whether it is in a range; what has no version is in no range."""
        return not wanted or (self.version is not None and parse_range(wanted).allows(self.version))


def read_offer(listing: str) -> Offer:
    """What `git ls-remote` prints. An annotated tag is listed twice, the second time with its commit."""
    commits: dict[str, str] = {}
    for line in listing.splitlines():
        commit, _, name = line.partition("\t")
        if name.startswith(_TAG) and _COMMIT.fullmatch(commit):
            tag = name.removeprefix(_TAG).removesuffix(_PEELED)
            if name.endswith(_PEELED) or tag not in commits:
                commits[tag] = commit
    releases: dict[Version, Release] = {}
    for tag in sorted(commits):
        if (version := parse_version(tag)) is not None:
            releases[version] = Release(version, tag, commits[tag])
    return Offer(releases)
