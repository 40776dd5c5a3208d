"""What a node, its command line and its hooks may ask of its Git sources; `sources` is the real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.model.snapshot import Source
    from reconciler.decide.updating import Edit


#: Owners begin with it that are other people's repositories.
GIT = "git:"
#: What became of a hook: Rung, or why not.
Hooked = Literal["Rung", "Repeated", "TooOften", "Unsigned", "Unknown"]


@dataclass(slots=True)
class Counts:
    """What became of commits of a source in this life of the node."""

    applied: int = 0
    held: int = 0
    reverted: int = 0


class GitHost(Protocol):
    """The node, as its Git sources see it."""

    def standing(self, service_id: str) -> dict[str, Any] | None:
        """Of the service's entry in `status`, what says how it fares; None when there is nothing of it."""
        ...

    def packages_in_use(self) -> Collection[str]:
        """The folders of packages that something runs from, or will."""
        ...


class Git(Protocol):
    """All Git sources of a node."""

    def sources(self) -> Sequence[Source]:
        """In the order of the config file."""
        ...

    async def run(self, node: GitHost) -> None:
        """What they need besides being watched, until cancelled."""
        ...

    def status(self, name: str) -> Mapping[str, Any]:
        """What `status` says about one beside what it says about all sources; empty for others."""
        ...

    def owner_of(self, name: str) -> str:
        """As whom the services of a foreign one act: `git:` and its URL; empty of all other sources."""
        ...

    def counts(self) -> Mapping[str, Counts]:
        """By their names."""
        ...

    def hook(self, name: str, headers: Mapping[str, str], body: bytes) -> Hooked:
        """Somebody's server says, and signs, that there is something new. `headers` in small letters."""
        ...

    async def sync(self, name: str | None) -> Sequence[str]:
        """Looks at one, or at all, also for a commit that is held; returns their names once that is done.

        Raises UserError for a name that is none, and for a source that is suspended.
        """
        ...

    async def propose(self, name: str, ref: str) -> Mapping[str, Any]:
        """A commit of one that is not applied, see `obtaining.Proposal`; an empty ref is the source's own.

        Raises UserError.
        """
        ...

    async def write_back(self, name: str, service_id: str, change: Edit) -> str:
        """Commits a change of a service's manifest to the branch of a source, and pushes that; its id.

        Empty where the branch does not say any more what is to be changed. Raises UserError.
        """
        ...


class NoGit:
    """A node without Git sources."""

    def sources(self) -> Sequence[Source]:
        """None."""
        return ()

    async def run(self, node: GitHost) -> None:
        """Nothing to do."""

    def status(self, name: str) -> Mapping[str, Any]:
        """Of no source."""
        return {}

    def owner_of(self, name: str) -> str:
        """Of no source."""
        return ""

    def counts(self) -> Mapping[str, Counts]:
        """Of no source."""
        return {}

    def hook(self, name: str, headers: Mapping[str, str], body: bytes) -> Hooked:
        """There is none."""
        return "Unknown"

    async def sync(self, name: str | None) -> Sequence[str]:
        """See `Git`."""
        if name is not None:
            raise unknown(name, ())
        return ()

    async def propose(self, name: str, ref: str) -> Mapping[str, Any]:
        """See `Git`."""
        raise unknown(name, ())

    async def write_back(self, name: str, service_id: str, change: Edit) -> str:
        """See `Git`."""
        raise unwritable(name)


def unwritable(name: str) -> UserError:
    """The source is no repository that a commit could be pushed to."""
    return UserError(f"{name} is no Git source", hint="writeBack is for manifests in [[sources.git]]")


def unknown(name: str, there: Sequence[str]) -> UserError:
    """There is no source of that name."""
    known = f"there is {', '.join(there)}" if there else "[[sources.git]] in config.toml adds one"
    return UserError(f"there is no Git source {name}", hint=known)
