"""Makes and starts one container, or leaves nothing of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio

from runtimes.base import Endpoint, Running, RuntimeFailure, RuntimeUnavailable
from runtimes.docker import labels, spec
from runtimes.docker.failures import EngineAnswer, start_failure
from runtimes.docker.gateway import UNREACHABLE, may_enter
from runtimes.docker.handles import Handle
from runtimes.docker.network import network_name
from runtimes.environment import TOKEN_VARIABLE
from runtimes.ports import free_port, require_free

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.base import Launch
    from runtimes.docker.engine import Engine
    from runtimes.docker.folders import Folders
    from runtimes.docker.handles import Handles
    from runtimes.docker.network import Networks
    from runtimes.docker.spec import Image

#: Seconds that the engine has to remove what could not be started.
REMOVAL = 20.0


class Starter:
    """Starts containers of one node."""

    def __init__(
        self, engine: Engine, networks: Networks, folders: Folders, handles: Handles, node: str
    ) -> None:
        self._engine = engine
        self._networks = networks
        self._folders = folders
        self._handles = handles
        self._node = node

    async def start(self, launch: Launch, image: Image) -> Handle:
        """Raises RuntimeFailure (RuntimeUnavailable when the engine went away in the middle)."""
        manifest = launch.service.manifest
        port = spec.service_port(manifest, image, free_port() if manifest.network == "host" else 0)
        if manifest.network == "host" and manifest.port != "auto" and port is not None:
            require_free(port)
        kind = await self._networks.kind(manifest)
        network = network_name(self._node, kind) if kind else manifest.network
        place = self._folders.make(launch.service, launch.instance, image, self._node, network)
        body = spec.container(launch, image, place, port)
        try:
            container = await self._create(launch, body, kind)
            handle = Handle(launch.instance, container)
            self._handles.add(handle)
            await self._engine.call("POST", f"/containers/{container}/start")
            found = await self._engine.call("GET", f"/containers/{container}/json")
        except BaseException as error:
            with anyio.CancelScope(shield=True), anyio.move_on_after(REMOVAL):
                await self._clear(launch)
            if isinstance(error, EngineAnswer):
                raise start_failure(launch.service.id, error) from error
            raise
        describe(handle, found, self._folders.socket(launch.instance))
        assert handle.running
        handle.running = replace(handle.running, token=launch.identity.get("token", ""))
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
        handle = self._handles.get(launch.instance)
        if handle is not None:
            self._handles.remove(handle)
        self._folders.remove(launch.instance)


async def remove_container(engine: Engine, container: str) -> None:
    """With whatever still runs in it, and its nameless volumes. One that is gone is no error."""
    try:
        await engine.call("DELETE", f"/containers/{container}", query={"force": True, "v": True})
    except EngineAnswer as answer:
        if not (answer.missing or answer.conflict):
            raise


def describe(handle: Handle, found: Mapping[str, Any], socket: str) -> None:
    """Takes over what the engine says of a container: where it listens, its process, its health.

    Raises RuntimeFailure when its labels are not of this version.
    """
    state, config = found["State"], found["Config"]
    said = labels.read_labels(config.get("Labels") or {})
    if said is None:
        raise RuntimeFailure("EngineError", f"container {handle.container[:12]} has lost its labels")
    handle.signal = config.get("StopSignal") or handle.signal
    handle.networks = tuple((found.get("NetworkSettings") or {}).get("Networks") or ())
    handle.health = handle.health or (state.get("Health") or {}).get("Status", "")
    handle.running = Running(
        instance=said.instance,
        service=said.service,
        slot=said.slot,
        pid=int(state.get("Pid") or 0),
        endpoint=_endpoint(said, found, socket),
        started_at=seconds(state.get("StartedAt", "")),
        unenforced=_unenforced(said, found),
        token=_token(config.get("Env") or []),
        container=str(found["Id"]),
        checked=handle.health not in ("", "none"),
    )
    if not state.get("Running"):
        handle.out_of_memory = handle.out_of_memory or bool(state.get("OOMKilled"))
        handle.end(int(state.get("ExitCode") or 0))


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


def _token(environment: list[str]) -> str:
    prefix = f"{TOKEN_VARIABLE}="
    return next((each.removeprefix(prefix) for each in environment if each.startswith(prefix)), "")


def seconds(moment: str) -> float:
    """RFC 3339 with nine digits behind the point, of which Python takes six."""
    whole, _, rest = moment.partition(".")
    try:
        return datetime.fromisoformat(whole.removesuffix("Z") + "+00:00").timestamp() + float(
            f"0.{rest[:6].rstrip('Z') or 0}"
        )
    except ValueError:
        return 0.0
