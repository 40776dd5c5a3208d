"""Packages in Git repositories: what `source:` and `version:` say of one. Pure.

    https://example.com/notes.git              its newest release (a tag like v1.2.3), else the default branch
    https://example.com/apps.git#v2:notes      a branch, tag or commit, and a folder in it
    ssh://git@example.com/notes.git            with the node's own keys; git@example.com:notes.git is the same
    /srv/git/notes.git                         a repository of this machine, by a path or a file URL

The part behind # is written as Docker does for what it builds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

_LOCAL = re.compile(r"(git\+)?file:\S+\.git/?|git\+file:\S+|[^\s#:]+\.git/?")
_REMOTE = re.compile(r"(git\+)?(https?|ssh|git)://\S+", re.IGNORECASE)
# git's short form of ssh; a slash before the colon would make it a path.
_SHORT = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>(?!//)\S+)")
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*")
_REF = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class GitPackage:
    """A folder of a repository at one of its versions.

    `url` is what git understands, or a path as it was written. `ref` is a branch, a tag or a whole
    commit id; empty: the default branch, or for a `service` the release that it stays at, in the range
    `range` where there is one. `tag` is one that leads to the commit `ref`, which not every server gives by
    its id. `folder` is relative, empty for all of it. `own`: this node's own sources name it, so it is
    fetched with what the node's user is allowed; otherwise as anybody. `stranger`: nor may it lead anywhere
    but to the public network.
    """

    url: str
    ref: str = ""
    folder: str = ""
    own: bool = True
    range: str = ""
    service: str = ""
    tag: str = field(default="", compare=False)
    stranger: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether it names a commit, which is never another one later."""
        return _COMMIT.fullmatch(self.ref) is not None

    @property
    def is_release(self) -> bool:
        """Whether the service stays at what it was at first, until somebody asks for another."""
        return bool(self.service) and not self.ref

    @property
    def is_local(self) -> bool:
        """Whether the repository is on this machine."""
        return "://" not in self.url

    @property
    def is_public(self) -> bool:
        """Whether a stranger may ask for it: nothing of this machine, and no key of its user."""
        return self.url.startswith("https://")

    def __str__(self) -> str:
        url = self.url if is_git(self.url) else f"git+file://{quote(self.url)}"
        version = f"#{self.ref}" if self.ref or self.folder else ""
        return f"{url}{version}:{self.folder}" if self.folder else f"{url}{version}"


def is_git(source: str) -> bool:
    """Whether a manifest's `source:` means a repository, rightly written or not."""
    place = source.partition("#")[0]
    return any(kind.fullmatch(place) for kind in (_REMOTE, _SHORT, _LOCAL))


def parse_git(source: str) -> GitPackage:
    """Of a source that `is_git`. Raises ValueError with what is wrong, for a person."""
    place, _, version = source.partition("#")
    ref, _, folder = version.partition(":")
    if ref and not _REF.fullmatch(ref):
        raise ValueError(f"{ref!r} is no branch, tag or commit")
    return GitPackage(_url(place), ref, _inside(folder))


def _url(place: str) -> str:
    if _LOCAL.fullmatch(place) and not _REMOTE.fullmatch(place):
        return unquote(re.sub(r"^(git\+)?file:(//(localhost)?(?=/))?", "", place))
    if short := _SHORT.fullmatch(place):
        place = f"ssh://{short['user']}@{short['host']}/{short['path'].lstrip('/')}"
    return _checked(re.sub(r"^git\+", "", place))


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if not _HOST.fullmatch(parts.netloc.rpartition("@")[2]):
        raise ValueError(f"{parts.hostname or 'its host'} is no name of a host")
    # A token is often written as the user; git would show both to everybody in its command line.
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise ValueError(
            "a URL here has no password and no token, because manifests are shown; "
            "let git know it: git config --global credential.helper store"
        )
    if (parts.username or "").startswith("-"):
        raise ValueError("no user's name begins with -")
    return parts._replace(scheme=parts.scheme.lower()).geturl()


def _inside(folder: str) -> str:
    parts = [part for part in folder.split("/") if part not in ("", ".")]
    if ".." in parts or ".git" in parts:
        raise ValueError(f"{folder!r} is no folder of a repository")
    return "/".join(parts)
