"""Where a node's runtimes keep their things, and a run directory short enough for Unix sockets.

The kernel takes at most 107 bytes for a socket's path. Where the home's own `run` folder is too deep, a
private folder in the user's runtime directory (or /tmp) is used instead, and `run` is a link to it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from runtimes.base import RuntimeFailure

#: sockaddr_un.sun_path holds 108 bytes with the terminating zero (unix(7)).
LONGEST_SOCKET_PATH = 107
#: Room for the name of an instance's socket or the control socket below the run directory.
LONGEST_SOCKET_NAME = 24
#: In the home: the versions of repositories that were fetched.
REPOSITORIES = "packages/.repositories"
#: What the file is called, beside the record, that says how an instance's sandbox ended.
EXIT_STATUS = ".exit"


@dataclass(frozen=True, slots=True)
class Way:
    """Who may pass through a folder besides its owner: nobody, or a group, which still cannot look around."""

    group: int | None = None

    def open(self, folder: Path) -> None:
        """Raises OSError."""
        if self.group is not None:
            os.chown(folder, -1, self.group)
        folder.chmod(0o700 if self.group is None else 0o710)


PRIVATE = Way()


@dataclass(frozen=True, slots=True)
class Paths:
    """A node's folders. `run` holds sockets; `host_port` is the node's own port, told to services.

    `way` is for services' users, where they have their own; `containers` the group of all containers then.
    """

    home: Path
    run: Path
    host_port: int
    way: Way = PRIVATE
    containers: int | None = None

    def packages(self, service_id: str) -> Path:
        return self.home / "packages" / service_id

    @property
    def repositories(self) -> Path:
        return self.home / REPOSITORIES

    def data(self, service_id: str) -> Path:
        return self.home / "data" / service_id

    def kept(self, service_id: str) -> Path:
        """For what its program wrote beside its code and nothing has a place for now."""
        return self.home / "kept" / service_id

    def logs(self, service_id: str) -> Path:
        return self.home / "logs" / service_id

    @property
    def log_root(self) -> Path:
        return self.home / "logs"

    @property
    def cache(self) -> Path:
        return self.home / "packages" / ".cache"

    @property
    def trash(self) -> Path:
        """What nobody needs any more."""
        return self.home / "packages" / ".trash"

    @property
    def records(self) -> Path:
        return self.home / "state" / "instances"

    def socket(self, instance: str) -> Path:
        """The Unix socket that an instance is told to listen on."""
        return self.run / f"{instance}.sock"

    def sockets(self, instance: str) -> Path:
        """The folder of an instance in a sandbox, which sees no other's."""
        return self.run / instance

    def gateway(self, instance: str) -> Path:
        """In there: where an instance in a strict sandbox reaches the gateway."""
        return self.sockets(instance) / "gateway"

    def exit_status(self, instance: str) -> Path:
        """Where bubblewrap writes how it ended."""
        return self.records / f"{instance}{EXIT_STATUS}"

    def own_socket(self, instance: str) -> Path:
        """In there; as long as the other."""
        return self.sockets(instance) / "sock"


def make_run_directory(home: Path, way: Way = PRIVATE) -> Path:
    """The folder for this home's sockets, which nobody else may write. Raises RuntimeFailure."""
    own = home / "run"
    if len(os.fsencode(own)) + 1 + LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH:
        if own.is_symlink():
            own.unlink()
        make_private(own, way)
        return own
    short = _short_directory(home)
    make_private(short, way)
    _link(own, short)
    return short


def run_directory(home: Path) -> Path:
    """Where `make_run_directory` put it; makes nothing."""
    own = home / "run"
    return Path(os.readlink(own)) if own.is_symlink() else own


def _short_directory(home: Path) -> Path:
    uid = os.geteuid()
    name = f"atek-{uid}-{hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:10]}"
    for base in (Path(f"/run/user/{uid}"), Path("/run")):
        if base.is_dir() and os.access(base, os.W_OK):
            return base / name
    return Path("/tmp") / name


def make_private(folder: Path, way: Way = PRIVATE) -> None:
    """Others may be able to write where it lies, so what is found there has to be ours alone.

    Raises RuntimeFailure.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise RuntimeFailure(
            "RunDirectory", f"cannot make {folder}: {error.strerror}", hint="choose another --home"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise RuntimeFailure(
            "RunDirectory", f"{folder} belongs to someone else", hint="remove it or choose another --home"
        )
    way.open(folder)


def _link(own: Path, short: Path) -> None:
    if own.is_symlink() and os.readlink(own) == str(short):
        return
    if own.is_symlink():
        own.unlink()
    elif own.is_dir():
        own.rmdir()
    own.symlink_to(short)
