"""What a repository says that it has (`git ls-remote`), and which commit a ref of a source is in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from manifests.model.git_source import COMMIT
from manifests.model.releases import read_offer
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.git_source import Ref

#: How the full names of branches begin.
BRANCH = "refs/heads/"
_TAG, _PEELED = "refs/tags/", "^{}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The commit that a source's ref is. `ref`: the full name that led there, empty for a commit's own id.

    `object`: what that name is itself, another than the commit for a tag with a message. `refs`: all that
    the repository has, by their full names.
    """

    commit: str
    ref: str = ""
    object: str = ""
    refs: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kept_as(self) -> str:
        """Its name in a mirror: by the commit, and by what else leads there and may be signed."""
        return self.commit if self.object in ("", self.commit) else f"{self.commit}-{self.object}"

    @property
    def shown(self) -> str:
        """As people know it: `main@sha1:ab12…`."""
        name = self.ref.removeprefix(BRANCH).removeprefix(_TAG)
        return f"{name}@{self.commit[:12]}" if name else self.commit[:12]


@dataclass(frozen=True, slots=True)
class Listing:
    """`refs`: object ids by names; `head`: the name of the default branch, empty where it is not told."""

    refs: Mapping[str, str]
    head: str = ""
    text: str = field(default="", compare=False, repr=False)
    _found: dict[Ref, Seen] = field(default_factory=dict, compare=False, repr=False)

    def resolve(self, ref: Ref) -> Seen:
        """Raises GitTrouble: EmptyRepository, RefMissing. Looked for once: most polls find nothing new."""
        if ref not in self._found:
            self._found[ref] = self._resolve(ref)
        return self._found[ref]

    def _resolve(self, ref: Ref) -> Seen:
        if ref.commit is not None:
            return Seen(ref.commit, "", ref.commit, self.refs)
        if not any(name.startswith((BRANCH, _TAG)) or name == "HEAD" for name in self.refs):
            raise GitTrouble(
                "EmptyRepository",
                "the repository has no commit yet",
                hint="push one; nothing else is to be done",
            )
        name = self._name_of(ref)
        if (named := self.refs.get(name)) is None:
            raise self._missing(ref)
        return Seen(self.refs.get(f"{name}{_PEELED}", named), name, named, self.refs)

    def _name_of(self, ref: Ref) -> str:
        if ref.branch is not None:
            return f"{BRANCH}{ref.branch}"
        if ref.tag is not None:
            return f"{_TAG}{ref.tag}"
        if ref.semver is not None:
            newest = read_offer(self.text).newest(ref.semver)
            return f"{_TAG}{newest.tag}" if newest else ""
        # A server of the first protocol does not say which branch HEAD is; what it is, it says.
        return self.head if self.head in self.refs else "HEAD"

    def _missing(self, ref: Ref) -> GitTrouble:
        hint = "see ref in [[sources.git]]"
        if ref.branch and f"{_TAG}{ref.branch}" in self.refs:
            hint = f'{ref.branch} is a tag: write ref = {{ tag = "{ref.branch}" }}'
        elif ref.tag and f"{BRANCH}{ref.tag}" in self.refs:
            hint = f'{ref.tag} is a branch: write ref = "{ref.tag}"'
        elif ref.branch and self.head:
            hint = f"it was renamed or deleted; the default branch is {self.head.removeprefix(BRANCH)}"
        elif ref.semver:
            hint = "no tag like v1.2.3 is in that range"
        return GitTrouble("RefMissing", f"the repository has no {ref}", hint=hint)


def read_listing(text: str) -> Listing:
    """What `git ls-remote --symref` prints."""
    refs, head = {}, ""
    for line in text.splitlines():
        what, _, name = line.partition("\t")
        if what.startswith("ref: ") and name == "HEAD":
            head = what.removeprefix("ref: ")
        elif COMMIT.fullmatch(what):
            refs[name] = what
    return Listing(refs, head, text)
