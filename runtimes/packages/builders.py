"""Where the tools run of a node of root's that gives services users: as one that only builds this package.

To install a package is to run what its authors wrote, and the authors of what it depends on: npm's hooks, the
back ends of PEP 517. None of it is to be root. So each tool has the copy for as long as it runs:

    packages/.cache/builds/<id>/     the node's own; the user may pass
      cache/                         the user's: what npm and uv have fetched, for this service alone
      history/                       a copy of the repository, for a build that asks git (`git_history`)
      home/                          anew for each tool: its HOME, with the owner's settings for registries

When the tool has ended, nobody of this user is left, and all that it made becomes the node's own: nothing of
what is built next can change it, and no setuid bit outlives that (chown(2)). The user never is who runs the
service, so that a service cannot meddle with what its next revision is built of.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from runtimes.packages.environment import tool_environment
from runtimes.packages.git_history import copy_history, repository_of
from runtimes.processes.children import TABLE
from runtimes.users.ending import end_user
from runtimes.users.handing_over import hand_over, own_folder
from runtimes.users.ways import BUILDS, require_reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from manifests.model.service import Service
    from runtimes.network.rules import Refusal
    from runtimes.paths import Paths
    from runtimes.users.service_users import ServiceUsers, User

#: What tells tools of the owner's registries, and how to log in there, below a HOME.
_SETTINGS = (".npmrc", ".yarnrc.yml", ".netrc", ".config/uv/uv.toml", ".config/pip/pip.conf", ".pip/pip.conf")
_LARGEST_SETTINGS = 2**20
#: Whose variables are another's home.
_NOT_ITS_OWN = ("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


class BuildersWorkshop:
    """Implements `Workshop` for one service: as `user`."""

    def __init__(self, paths: Paths, users: ServiceUsers, service: Service, user: User) -> None:
        self._users = users
        self._service = service
        self._packages = paths.packages(service.id)
        self._place = paths.cache / BUILDS / service.id
        self._home = self._place / "home"
        self._user = user
        self._history = self._place / "history"
        self._has_history = False
        self.cache = self._place / "cache"
        own = {"HOME": os.fspath(self._home), **user.variables}
        inherited = tool_environment(**own)
        self.inherited: Mapping[str, str] = {
            name: value for name, value in inherited.items() if name not in _NOT_ITS_OWN
        }
        self.refused: Sequence[Refusal] = ()

    async def execute(
        self,
        line: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_errors: Callable[[bytes], None] | None = None,
    ) -> int:
        """As `Workshop.execute`. Raises PermanentFailure where the user cannot get to the tools."""
        user, copy = self._user, self._packages / cwd.relative_to(self._packages).parts[0]
        programs = [word for word in line if word.startswith("/") and os.path.isfile(word)]
        require_reachable(programs, user.uid, self._service.id)
        await end_user(user.uid)
        try:
            await anyio.to_thread.run_sync(self._lend, copy)
            return await TABLE.execute(
                line, cwd=cwd, env=environment, on_output=on_output, on_errors=on_errors,
                unprivileged=True, **user.options,
            )  # fmt: skip
        finally:
            with anyio.CancelScope(shield=True):
                await end_user(user.uid)
                await anyio.to_thread.run_sync(self._take_back, copy)

    def _lend(self, copy: Path) -> None:
        """Raises OSError."""
        user = self._user
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._users.let_pass(self._service, user)
        os.chown(self._place, os.geteuid(), user.gid)
        self._place.chmod(0o710)
        own_folder(self.cache, user.uid, user.gid)
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(mode=0o700)
        for name in _SETTINGS:
            _copy_settings(Path.home() / name, self._home / name)
        self._lend_history(copy)
        for folder in (self._home, copy):
            hand_over(folder, user.uid, user.gid, {os.geteuid()})

    def _lend_history(self, copy: Path) -> None:
        """Once for a copy, and before anything ran in it: where it leads is the node's to say."""
        assert self._service.package is not None
        if self._has_history:
            return
        self._has_history = True
        shutil.rmtree(self._history, ignore_errors=True)
        repository = repository_of(Path(self._service.package.path))
        if repository is None or not os.path.lexists(copy / ".git"):
            return
        copy_history(repository, self._history)
        (copy / ".git").write_text(f"gitdir: {self._history}\n")
        hand_over(self._history, self._user.uid, self._user.gid, {os.geteuid()})

    def _take_back(self, copy: Path) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        with suppress(FileNotFoundError):
            hand_over(copy, os.geteuid(), os.getegid(), {self._user.uid})


def _copy_settings(source: Path, target: Path) -> None:
    """Nothing where there are none."""
    try:
        with open(source, "rb") as file:
            content = file.read(_LARGEST_SETTINGS)
    except OSError:
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
