"""What of this machine a container gets to see, and who this node is among all that use the same engine."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.data.opening import open_beneath
from runtimes.docker.gateway import share_gateway
from runtimes.docker.spec import SOCKET_NAME, Image, Place, data_folders
from runtimes.memory_files import MemoryFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manifests.model.service import Service
    from runtimes.paths import Paths

#: The mark of this node's containers, in its state directory: a home that moves keeps its containers.
NODE_FILE = "engine-node"
#: The same for what it has on a swarm, which a home that never used one does not look for.
SWARM_NODE_FILE = "swarm-node"
_POSITIONS = "container-logs"


class Folders:
    """The folders of one node's containers. `binds`: what else of this machine services may have."""

    def __init__(self, paths: Paths, binds: Sequence[str] = (), mark: str = NODE_FILE) -> None:
        self.paths = paths
        self._mark = mark
        self._binds = tuple(os.path.realpath(os.path.expanduser(bind)) for bind in binds)
        self._state = paths.home / "state"
        self.memory = MemoryFiles(paths.home, "containers", paths.way)

    @property
    def credentials(self) -> Path:
        return self.paths.home / "registries.json"

    def is_marked(self) -> bool:
        """Whether an earlier life of this node ever had to do with an engine."""
        return (self._state / self._mark).exists()

    def node(self) -> str:
        """This node's mark, made the first time. Raises OSError."""
        file = self._state / self._mark
        try:
            return file.read_text().strip()
        except FileNotFoundError:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = file.with_suffix(f".{secrets.token_hex(4)}")
            new.write_text(secrets.token_hex(16))
            new.rename(file)
            return file.read_text()

    def positions(self) -> Path:
        """Where it is kept how far the output of each container was copied."""
        folder = self._state / _POSITIONS
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def sockets(self, instance: str) -> Path:
        return self.paths.run / instance

    def socket(self, instance: str) -> str:
        """Where an instance's socket is for this machine."""
        return os.fspath(self.sockets(instance) / SOCKET_NAME)

    def log(self, service_id: str) -> Path:
        """The file of a service's output; its folder is made."""
        folder = self.paths.logs(service_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / "service.log"

    def make(self, service: Service, instance: str, image: Image, node: str, network: str) -> Place:
        """Makes what has to exist before the container does, but for its volumes. Raises RuntimeFailure."""
        try:
            return self._make(service, instance, image, node, network)
        except OSError as error:
            message = f"{service.id} cannot be started: {error.filename}: {error.strerror}"
            raise RuntimeFailure("StartFailed", message) from error

    def _make(self, service: Service, instance: str, image: Image, node: str, network: str) -> Place:
        data, sockets = self.paths.data(service.id), self.sockets(instance)
        # Others than our own user may write here when the container runs as another; the folders above are
        # private, so that this opens them to nobody but the container. Where services' users may pass those,
        # containers have a group instead.
        group = self.paths.containers
        ours = _is_ours(service.manifest.user or image.user)
        mode = 0o700 if ours else 0o777 if group is None else 0o770
        below = [data / each for each in data_folders(service)]
        for folder in (data, sockets, *below):
            if folder in below:
                # Before anything is made or changed there: it may lead to any place of this machine.
                _require_inside(service.id, data, folder)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _open_up(data if folder in below else folder, folder, mode, group)
        return Place(
            node=node,
            host_port=self.paths.host_port,
            data=os.path.realpath(data),
            sockets=os.path.realpath(sockets),
            gateway=os.path.realpath(share_gateway(self.paths.run)),
            network=network,
            binds=self._binds,
            group=group,
            copies=str(self._state / "git"),
            user="" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}",
        )

    def remove(self, instance: str) -> None:
        """What an instance that is gone leaves behind."""
        self.memory.remove(instance)
        shutil.rmtree(self.sockets(instance), ignore_errors=True)


def _open_up(root: Path, folder: Path, mode: int, group: int | None) -> None:
    """This very folder: what a program puts in its place meanwhile is not opened to anybody."""
    root = root.resolve()
    inside = os.path.relpath(os.path.realpath(folder), root)
    descriptor = open_beneath(root, inside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if group is not None and mode & 0o070:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _is_ours(user: str) -> bool:
    """Whether programs of a container run as this process's own user; `""` is root, or made so."""
    name = user.partition(":")[0]
    return not name or name in (str(os.geteuid()), "root" if os.geteuid() == 0 else "")


def _require_inside(service_id: str, data: Path, folder: Path) -> None:
    """A program could have put a link to somewhere else where the folder is mounted from."""
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(data)):
        raise PermanentFailure(
            "BindForbidden", f"{folder} leads out of the data folder of {service_id}", hint="remove that link"
        )
