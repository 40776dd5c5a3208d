"""One `[[sources.git]]` of the config: which repository, which of its commits, who must have signed it. Pure.

    [[sources.git]]
    name = "home"
    url = "https://git.example.com/me/home.git"
    ref = "main"                         # or { tag = "v2" }, { semver = "^1.2" }, { commit = "…" }
    path = "nodes/${node}"
    interval = "30s"
    verify = { mode = "every", allowedSigners = "signers" }
    credentials = { tokenFile = "token" }

Files are paths, relative ones from the node's home. A URL is shown to people, and so has no secret in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from manifests.model.base import DNS_LABEL, Model, Text, Written
from manifests.model.policy import Policy
from manifests.model.semver import parse_range
from manifests.model.spec import Duration, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: Names that other sources of a node have.
RESERVED = frozenset({"config", "manifests", "records", "follows"})
#: What stands for the node's own name in `path`.
NODE = "${node}"

_SCHEMES = ("https", "http", "ssh", "git", "file")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# git's short form of ssh; a slash before the colon would make it a path.
_SHORT = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>(?!//)\S+)")
# git check-ref-format, and nothing that its command line takes for something else.
_NAME = re.compile(
    r"(?!.*(?:\.\.|@\{|//|/\.|\.lock(?:/|$)|[/.]$))[^\s\x00-\x20\x7f~^:?*\[\\.\-/][^\s\x00-\x20\x7f~^:?*\[\\]*"
)
#: Git takes these out of a name; what is empty is the node's own.
_AUTHOR = Written(
    r"([^<>\s\x00-\x1f][^<>\x00-\x1f]* <[^<>\s\x00-\x1f]+>)?", "an author", "one like Home <home@example.com>"
)
_USERNAME = Written(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*", "the name of a user", "one like git")
_RANGE = re.compile(r"[\^~<>=*| ]|\.x\b")
_NO_SECRETS = (
    "a URL is shown to everybody; write the token into a file of mode 0600: credentials = { tokenFile = … }"
)


def _ref_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a branch or tag")
    return name


def _range(text: str) -> str:
    parse_range(text)
    return text


def _commit(text: str) -> str:
    if not COMMIT.fullmatch(text):
        raise ValueError("a commit is written whole: 40 or 64 hex digits")
    return text


RefName = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(_ref_name)]


class Ref(Model):
    """Which commit: one of these; none of them is the remote's default branch, whichever that is."""

    branch: RefName | None = None
    tag: RefName | None = None
    semver: Annotated[Text, AfterValidator(_range)] | None = None
    commit: Annotated[Text, AfterValidator(_commit)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Ref:
        if len(self.model_fields_set) > 1:
            raise ValueError("it is one of branch, tag, semver and commit")
        return self

    @property
    def is_tag(self) -> bool:
        """Whether it is a tag in the end, which has a signature of its own."""
        return bool(self.tag or self.semver)

    def __str__(self) -> str:
        """As people are told."""
        for what in ("branch", "tag", "semver", "commit"):
            if value := getattr(self, what):
                return f"{'version' if what == 'semver' else what} {value}"
        return "the default branch"


def read_ref(text: str) -> dict[str, str]:
    """A ref that is one text: a whole commit, a range like ^1.2, or else a branch."""
    if COMMIT.fullmatch(text):
        return {"commit": text}
    if text.startswith("refs/tags/"):
        return {"tag": text.removeprefix("refs/tags/")}
    if _RANGE.search(text):
        return {"semver": text}
    return {"branch": text.removeprefix("refs/heads/")} if text else {}


def _as_ref(value: Any) -> Any:
    return read_ref(value) if isinstance(value, str) else value


class Verify(Model):
    """Who must have signed. Files: allowed signers as ssh-keygen(1) has them, armored keys of GPG.

    `head`: the commit that is applied. `every`: also all others since the one that was applied last. Where
    the ref is a tag, the tag is to be signed as well; `tag`: it alone is, which names its commit.
    `revoked`: SSH keys that are no longer good, or a list of revoked ones (KRL).
    """

    mode: Literal["head", "every", "tag"] = "head"
    allowed_signers: Text | None = None
    revoked: Text | None = None
    gpg_keys: Annotated[tuple[Text, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _has_keys(self) -> Verify:
        if not (self.allowed_signers or self.gpg_keys):
            raise ValueError("it needs allowedSigners (of SSH keys) or gpgKeys")
        return self


class Credentials(Model):
    """An SSH key with the hosts it may be used at, or a token. All are files, private ones 0600.

    `username` goes with a token; most servers take any.
    """

    ssh_key: Text | None = None
    known_hosts: Text | None = None
    token_file: Text | None = None
    username: Annotated[Text, _USERNAME, Field(max_length=255)] = "git"

    @model_validator(mode="after")
    def _fit(self) -> Credentials:
        if bool(self.ssh_key) != bool(self.known_hosts):
            raise ValueError(
                "sshKey and knownHosts go together: a key is used at no server that was not seen before; "
                "`ssh-keyscan HOST` tells its keys, which you compare with what its owner says"
            )
        if bool(self.ssh_key) == bool(self.token_file):
            raise ValueError("it is either sshKey with knownHosts, or tokenFile")
        return self


class Limits(Model):
    """What a commit may be at most: `files` of `path`, their `bytes`, and bytes on the way here (`pack`)."""

    files: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    bytes: Size = 512 * 2**20
    pack: Size = 2**30


class GitSource(Model):
    """A folder of manifests that is in a repository.

    `trust`: the repository of a config's owner is his own; of a `foreign` one only what a foreign follow's
    may be is run, but for what `policy` says. `on_failure`: what is done when a commit's services do not
    become ready. `hook_secret_file`: with what the server's hook is signed. `author`: as whom the node
    commits what it writes back.
    """

    name: Text
    url: Text
    ref: Annotated[Ref, BeforeValidator(_as_ref)] = Ref()
    path: Text = ""
    interval: Annotated[Duration, Field(ge=1)] = 30.0
    suspend: bool = False
    prune: bool = True
    allow_empty: bool = False
    trust: Literal["own", "foreign"] = "own"
    policy: Policy = Policy()
    verify: Verify | None = None
    credentials: Credentials | None = None
    ca_file: Text | None = None
    submodules: bool = False
    on_failure: Literal["keep", "revert"] = "keep"
    hook_secret_file: Text | None = None
    author: Annotated[Text, _AUTHOR, Field(max_length=200)] = ""
    limits: Limits = Limits()

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not DNS_LABEL.fullmatch(name) or name in RESERVED:
            raise ValueError("a source's name has small letters, digits and -, at most 63 characters")
        return name

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("path")
    @classmethod
    def _is_inside(cls, path: str) -> str:
        return inside(path)

    @model_validator(mode="after")
    def _fits(self) -> GitSource:
        scheme, credentials = self.scheme, self.credentials
        if scheme == "ssh" and (credentials is None or credentials.ssh_key is None):
            raise ValueError("by ssh a source needs credentials = { sshKey = …, knownHosts = … }")
        if credentials is not None and credentials.ssh_key and scheme != "ssh":
            raise ValueError("an SSH key is for URLs that begin with ssh://")
        if credentials is not None and credentials.token_file and scheme != "https":
            raise ValueError("a token goes by https only: everybody on the way could read it otherwise")
        if self.ca_file and scheme != "https":
            raise ValueError("caFile is for https")
        if self.verify and self.verify.mode == "tag" and not self.ref.is_tag:
            raise ValueError("verify.mode = tag is for a ref that is a tag or semver")
        return self

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0] if "://" in self.url else "file"

    @property
    def host(self) -> str:
        """The server, which is asked one thing at a time; empty for a repository of this machine."""
        return (urlsplit(self.url).hostname or "") if "://" in self.url else ""

    @property
    def terms(self) -> Policy:
        """On what its services run, of a repository that is not the owner's: `policy`, and else `FOREIGN`."""
        return self.policy.model_copy(update={"trust": self.policy.trust or "foreign"})

    @property
    def public_only(self) -> bool:
        """Whether nothing of this machine's own network may be asked for it: its owner wrote this URL."""
        return False

    @property
    def _seen_by(self) -> tuple[str, ...]:
        return ()

    def folder(self, node: str) -> str:
        """`path` as it is for this node; relative, empty for the whole repository."""
        return self.path.replace(NODE, node)

    @property
    def mirror(self) -> str:
        """Names what is kept of the repository: the same for all sources that see the same of it."""
        credentials = self.credentials.model_dump() if self.credentials else None
        seen: Sequence[Any] = (self.url, credentials, self.ca_file, *self._seen_by)
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]


class Submodule(GitSource):
    """What a repository names as a part of it; a stranger's is asked on the public network, or not at all."""

    is_strangers: bool = False

    @property
    def public_only(self) -> bool:
        return self.is_strangers

    @property
    def _seen_by(self) -> tuple[str, ...]:
        # What this node's owner may see is not for a stranger who guesses its name.
        return ("stranger",) if self.is_strangers else ()


def inside(path: str) -> str:
    """A folder of a repository, as it is kept. Raises ValueError for what leads out of it."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or any(part.lower() == ".git" for part in parts):
        raise ValueError(f"{path!r} is no folder of a repository")
    rest = "".join(parts).replace(NODE, "")
    if "$" in rest:
        raise ValueError("the only variable in it is ${node}, the node's name")
    return "/".join(parts)


def checked_url(url: str) -> str:
    """The URL as git is told. Raises ValueError, for a person, who is not told a secret again."""
    if url.startswith("/") and "\\" not in url:
        return url.rstrip("/") or "/"
    if short := _SHORT.fullmatch(url):
        url = f"ssh://{short['user']}@{short['host']}/{short['path'].lstrip('/')}"
    scheme, there, rest = url.partition("://")
    if not there or scheme.lower() not in _SCHEMES or any(each.isspace() for each in rest):
        raise ValueError(
            "it begins with https://, ssh://, git:// or http://, or is a path that begins with /"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("its host or port is none") from None
    scheme = scheme.lower()
    if parts.password is not None or parts.query or parts.fragment or (parts.username and scheme != "ssh"):
        raise ValueError(_NO_SECRETS)
    if parts.username and not _USER.fullmatch(parts.username):
        raise ValueError("its user is none")
    if scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ValueError("a file URL has three slashes: file:///srv/git/home.git")
    elif not _HOST.fullmatch(parts.netloc.rpartition("@")[2].removesuffix(f":{parts.port}")):
        raise ValueError("its host is none")
    return parts._replace(scheme=scheme).geturl()
