"""Who runs a service: its own user, one that its manifest names, or the node's own."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.users.ending import end_user
from runtimes.users.handing_over import Left, hand_over, is_handed_over, own_folder
from runtimes.users.numbers import Numbers
from runtimes.users.ways import open_package_folder, open_tools, open_ways

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths
    from runtimes.users.ranges import UserRange

#: The source of the node's own core services, and how their ids begin: they are parts of the node.
_CONFIG, _CORE = "config", "core."
#: What follows a service's id in the name of the user that builds it; no id has it.
_BUILDER = "/build"


@dataclass(frozen=True, slots=True)
class User:
    """Who a program runs as. `own`: nobody else's programs run as this user."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    name: str = ""
    own: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """For `subprocess.Popen`."""
        return {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}

    @property
    def variables(self) -> dict[str, str]:
        """What programs ask for who have no entry in /etc/passwd."""
        return {"USER": self.name, "LOGNAME": self.name}


class ServiceUsers:
    """Of one node's services. Without `users` they run as the node's own user, unless they say otherwise."""

    def __init__(self, paths: Paths, users: UserRange | None = None) -> None:
        self._paths = paths
        self._numbers = Numbers(paths.home, users) if users is not None else None
        #: Services in whose folders something may have been made that is not their user's.
        self._again: set[str] = set()
        if users is not None:
            open_ways(paths.home, paths.run, paths.way)

    @property
    def on(self) -> bool:
        return self._numbers is not None

    @property
    def problems(self) -> Sequence[str]:
        return self._numbers.problems if self._numbers is not None else ()

    def of(self, service: Service) -> User | None:
        """None for the node's own. Raises RuntimeFailure or OSError."""
        passing = () if self._paths.way.group is None else (self._paths.way.group,)
        if service.manifest.run_as is not None:
            return named_user(service.manifest.run_as, passing)
        if self._numbers is None or (service.source == _CONFIG and service.id.startswith(_CORE)):
            return None
        number = self._numbers.of(service.id)
        return User(number, number, passing, service.id, own=True)

    def builder(self, service: Service) -> User | None:
        """Who runs the tools that build its package, and nothing else; None for the node's own user.

        Nobody's program runs as that one, so whatever a tool leaves behind can be ended; and what its service
        runs as cannot change what is being built. Raises RuntimeFailure or OSError.
        """
        if self._numbers is None:
            return None
        runs, number = self.of(service), self._numbers.of(f"{service.id}{_BUILDER}")
        # Where the copies lie passes who is of the service's own group.
        groups = [self._paths.way.group, runs.gid if runs is not None and runs.own else None]
        return User(number, number, tuple(each for each in groups if each is not None), service.id, own=True)

    def let_pass(self, service: Service, builder: User) -> None:
        """To the copies of its package, and to the tools. Raises RuntimeFailure or OSError."""
        runs = self.of(service)
        gid = builder.gid if runs is None else runs.gid
        open_package_folder(self._paths.packages(service.id), gid, others=runs is not None and not runs.own)
        open_tools(self._paths.cache, self._paths.way)

    def number(self, service_id: str) -> int | None:
        """Of the user that a service has for itself, if it ever had one."""
        return self._numbers.known().get(service_id) if self._numbers is not None else None

    def awaited(self, service: Service, pid: int) -> bool:
        """Whether a process of an earlier life runs as another user than its service will from now on."""
        try:
            user = self.of(service)
            return os.stat(f"/proc/{pid}").st_uid != (os.geteuid() if user is None else user.uid)
        except (OSError, RuntimeFailure):
            return False

    async def take(self, service: Service, user: User, copy: Path | None, *, beside: bool) -> Left:
        """Its folders are the user's own. `beside`: somebody else still runs there.

        Returns what stays somebody else's. Raises OSError.
        """
        return await anyio.to_thread.run_sync(self._take, service, user, copy, beside)

    def _take(self, service: Service, user: User, copy: Path | None, beside: bool) -> Left:
        place = self._paths.data(service.id)
        place.mkdir(mode=0o700, exist_ok=True)
        # The folder of all data is the node's: who puts a link there is the one who put it on another disk.
        data = place.resolve()
        with suppress(FileExistsError):
            if not is_handed_over(data, user.uid):
                (data / "tmp").mkdir(mode=0o700)
        open_package_folder(self._paths.packages(service.id), user.gid, others=not user.own)
        open_tools(self._paths.cache, self._paths.way)
        again, left = beside or service.id in self._again, Left()
        for folder in (data, *([copy] if copy is not None and not copy.is_symlink() else [])):
            if again or not is_handed_over(folder, user.uid):
                left += hand_over(folder, user.uid, user.gid, self._formers(service))
        # What somebody else writes meanwhile is given away with the next start.
        (self._again.add if beside else self._again.discard)(service.id)
        return left

    def _formers(self, service: Service) -> set[int]:
        """Who may have run it before: the node's own user, and its own."""
        known = self._numbers.known() if self._numbers is not None else {}
        return {os.geteuid(), *([known[service.id]] if service.id in known else [])}

    def own_folder(self, folder: Path, user: User) -> None:
        """Raises OSError."""
        own_folder(folder, user.uid, user.gid)

    async def end(self, service: Service) -> None:
        """Nothing is left of a service's own user, when none of its instances is."""
        known = self._numbers.known() if self._numbers is not None else {}
        if service.id in known:
            await end_user(known[service.id])


def named_user(name: str, more: tuple[int, ...] = ()) -> User | None:
    """A user of this machine; None for the node's own. Raises RuntimeFailure."""
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise PermanentFailure("NoSuchUser", f"this machine has no user {name}") from error
    if found.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise RuntimeFailure(
            "UserUnavailable",
            f"only root could run it as {name}",
            hint="leave runAs out, or run the node as root",
        )
    groups = (*os.getgrouplist(name, found.pw_gid), *more)
    return User(found.pw_uid, found.pw_gid, groups, name)


def user_of_process(pid: int) -> User | None:
    """Who a process runs as; None for the node's own user. Raises OSError."""
    found = os.stat(f"/proc/{pid}")
    if found.st_uid == os.geteuid():
        return None
    with open(f"/proc/{pid}/status") as file:
        line = next((line for line in file if line.startswith("Groups:")), "Groups:")
    return User(found.st_uid, found.st_gid, tuple(map(int, line.split()[1:])))
