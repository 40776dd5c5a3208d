"""Makes and starts one container, or leaves nothing of it; or starts one again that has ended."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio

from runtimes.base import Endpoint, Running, RuntimeFailure, RuntimeUnavailable
from runtimes.docker import labels, spec
from runtimes.docker.ended import is_same
from runtimes.docker.failures import EngineAnswer, start_failure
from runtimes.docker.gateway import UNREACHABLE, may_enter
from runtimes.docker.handles import Handle
from runtimes.docker.network import network_name
from runtimes.docker.tokens import as_files, as_made, tokens_of
from runtimes.processes.ports import free_port, is_free, require_free

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.base import Launch
    from runtimes.docker.ended import Ended, EndedContainers
    from runtimes.docker.engine import Engine
    from runtimes.docker.folders import Folders
    from runtimes.docker.handles import Handles
    from runtimes.docker.logs import LogCopier
    from runtimes.docker.network import Networks
    from runtimes.docker.spec import Image
    from runtimes.docker.volumes import Volumes

#: Seconds that the engine has to remove what could not be started.
REMOVAL = 20.0
#: Seconds that the last output of a container has to arrive before the container is removed.
LAST_WORDS = 10.0
#: Of a file with a secret: who the program is inside is the image's affair.
_SECRET_MODE = 0o444
#: Why a container does not start, where another one would not either.
_NO_BETTER = (
    "PortInUse",
    "CommandNotFound",
    "NotExecutable",
    "WrongProcessor",
    "OutOfDisk",
    "IsolationUnavailable",
)


class Starter:
    """Starts containers of one node."""

    def __init__(
        self,
        engine: Engine,
        networks: Networks,
        volumes: Volumes,
        folders: Folders,
        handles: Handles,
        ended: EndedContainers,
        logs: LogCopier,
        node: str,
    ) -> None:
        self._engine = engine
        self._networks = networks
        self._volumes = volumes
        self._folders = folders
        self._handles = handles
        self._ended = ended
        self._logs = logs
        self._node = node

    async def start(self, launch: Launch, image: Image) -> Handle:
        """In the container that it had, where that has ended and can run again, or else in a new one.

        Raises RuntimeFailure (RuntimeUnavailable when the engine went away meanwhile).
        """
        ended = self._ended.find(launch)
        if ended is None:
            return await self._start_new(launch, image)
        # Whoever copies its output goes on where this stops.
        with anyio.move_on_after(LAST_WORDS):
            if ended.logged is not None:
                await ended.logged.wait()
        if handle := await self._start_again(launch, image, ended):
            self._ended.remove(ended)
            return handle
        handle = await self._start_new(launch, image)
        await self.remove(ended)
        return handle

    async def keep(self, ended: Ended) -> None:
        """It may run again."""
        if before := self._ended.keep(ended):
            await self.remove(before)

    async def remove(self, ended: Ended) -> None:
        """What cannot be removed now is found when everything is looked at."""
        if self._ended.find(ended) is ended:
            self._ended.remove(ended)
        with suppress(RuntimeUnavailable):
            await self.discard(ended.container, ended.instance)

    async def discard(self, container: str, instance: str) -> None:
        """With all that is beside it. Raises RuntimeUnavailable."""
        with suppress(EngineAnswer):
            await remove_container(self._engine, container)
        if instance:
            self._folders.remove(instance)
            self._logs.forget(instance)

    async def _start_new(self, launch: Launch, image: Image) -> Handle:
        manifest = launch.service.manifest
        port = spec.service_port(manifest, image, free_port() if manifest.network == "host" else 0)
        if manifest.network == "host" and manifest.port != "auto" and port is not None:
            require_free(port)
        kind = await self._networks.kind(manifest)
        try:
            body = await self._body(as_files(launch), image, kind, port)
            container = await self._create(launch, body, kind)
            return await self._run(Handle(launch.instance, container, hidden=launch.secrets.words))
        except BaseException as error:
            with anyio.CancelScope(shield=True), anyio.move_on_after(REMOVAL):
                await self._clear(launch)
            if isinstance(error, EngineAnswer):
                raise start_failure(launch.service.id, error) from error
            raise

    async def _start_again(self, launch: Launch, image: Image, ended: Ended) -> Handle | None:
        """The container keeps its instance; None if it cannot be had.

        Raises RuntimeFailure for what would be no better in a new one.
        """
        try:
            found = await self._engine.call("GET", f"/containers/{ended.container}/json")
            if not await self._can_run_again(launch, image, ended, found):
                return None
            return await self._run(
                Handle(ended.instance, ended.container, since=None, hidden=launch.secrets.words)
            )
        except EngineAnswer as answer:
            failure = start_failure(launch.service.id, answer)
            if failure.reason in _NO_BETTER:
                raise failure from answer
            return None

    async def _can_run_again(
        self, launch: Launch, image: Image, ended: Ended, found: Mapping[str, Any]
    ) -> bool:
        """Whether it is what would be made now; then all that it needs beside it is made."""
        said = labels.read_labels(found["Config"].get("Labels") or {})
        manifest = launch.service.manifest
        if said is None or (manifest.network == "host" and said.port is not None and not is_free(said.port)):
            return False
        once = as_made(replace(launch, instance=ended.instance), found["Config"].get("Env") or [])
        kind = await self._networks.kind(manifest)
        return is_same(found, await self._body(once, image, kind, said.port))

    async def _body(self, launch: Launch, image: Image, kind: str, port: int | None) -> dict[str, Any]:
        """What the engine is asked for; the folders and volumes in it are there by then."""
        network = network_name(self._node, kind) if kind else launch.service.manifest.network
        place = self._folders.make(launch.service, launch.instance, image, self._node, network)
        # Nobody but the container comes to them: the folder above is private.
        secrets = self._folders.memory.write(launch.instance, launch.secrets.files, _SECRET_MODE)
        place = replace(place, volumes=await self._volumes.ensure(launch, image), secrets=secrets)
        return spec.container(launch, image, place, port)

    async def _run(self, handle: Handle) -> Handle:
        """Raises EngineAnswer; then nothing is known of it any more."""
        self._handles.add(handle)
        try:
            await self._engine.call("POST", f"/containers/{handle.container}/start")
            found = await self._engine.call("GET", f"/containers/{handle.container}/json")
            describe(handle, found, self._folders)
        except BaseException:
            self._handles.remove(handle)
            raise
        return handle

    async def _create(self, launch: Launch, body: Mapping[str, Any], kind: str) -> str:
        """Networks that somebody removed are made once more."""
        name = spec.container_name(self._node, launch.service.id, launch.instance)
        for attempt in range(2):
            if kind:
                await self._networks.ensure(kind)
            try:
                found = await self._engine.call("POST", "/containers/create", query={"name": name}, body=body)
                return str(found["Id"])
            except EngineAnswer as answer:
                if attempt or not (answer.missing and "network" in answer.message):
                    raise
                self._networks.forget()
        raise AssertionError("unreachable")

    async def _clear(self, launch: Launch) -> None:
        """By name: the answer to its creation may never have arrived."""
        name = spec.container_name(self._node, launch.service.id, launch.instance)
        with suppress(EngineAnswer, RuntimeUnavailable):
            await remove_container(self._engine, name)
        self._folders.remove(launch.instance)


async def remove_container(engine: Engine, container: str) -> None:
    """With whatever still runs in it, but without its volumes. One that is gone is no error."""
    try:
        await engine.call("DELETE", f"/containers/{container}", query={"force": True})
    except EngineAnswer as answer:
        if not (answer.missing or answer.conflict):
            raise


def describe(handle: Handle, found: Mapping[str, Any], folders: Folders) -> None:
    """Takes over what the engine says of a container: where it listens, its process, its health.

    Raises RuntimeFailure when its labels are not of this version.
    """
    state, config = found["State"], found["Config"]
    environment = config.get("Env") or []
    said = labels.read_labels(config.get("Labels") or {})
    if said is None:
        raise RuntimeFailure("EngineError", f"container {handle.container[:12]} has lost its labels")
    handle.signal = config.get("StopSignal") or handle.signal
    handle.networks = networks_of(found)
    handle.health = handle.health or (state.get("Health") or {}).get("Status", "")
    tokens = tokens_of(said.instance, environment, folders.memory)
    handle.running = Running(
        instance=said.instance,
        service=said.service,
        slot=said.slot,
        pid=int(state.get("Pid") or 0),
        endpoint=_endpoint(said, found, folders.socket(handle.instance)),
        started_at=seconds(state.get("StartedAt", "")),
        unenforced=_unenforced(said, found),
        token=tokens["token"],
        router_token=tokens["routerToken"],
        container=str(found["Id"]),
        checked=handle.health not in ("", "none"),
    )
    handle.begin(handle.running.started_at)
    if not state.get("Running"):
        handle.out_of_memory = handle.out_of_memory or bool(state.get("OOMKilled"))
        handle.end(int(state.get("ExitCode") or 0))


def networks_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of those that it is on."""
    return tuple((found.get("NetworkSettings") or {}).get("Networks") or ())


def _endpoint(said: labels.Labelled, found: Mapping[str, Any], socket: str) -> Endpoint:
    if said.port is None:
        return Endpoint(socket=socket)
    if said.service.manifest.network == "host":
        return Endpoint(port=said.port)
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    address = next((each["IPAddress"] for each in networks.values() if each.get("IPAddress")), "")
    # One that has ended already has no address, and nobody must be led to another program's.
    return Endpoint(host=address, port=said.port) if address else Endpoint(socket=socket)


def _unenforced(said: labels.Labelled, found: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [] if said.service.manifest.network == "host" or may_enter() else [UNREACHABLE]
    return (*notes, *(str(warning) for warning in found.get("Warnings") or ()))


def seconds(moment: str) -> float:
    """RFC 3339 with nine digits behind the point, of which Python takes six."""
    whole, _, rest = moment.partition(".")
    try:
        return datetime.fromisoformat(whole.removesuffix("Z") + "+00:00").timestamp() + float(
            f"0.{rest[:6].rstrip('Z') or 0}"
        )
    except ValueError:
        return 0.0
