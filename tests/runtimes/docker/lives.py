"""The docker runtime behind the words of the contract: each life runs until the next one begins."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio

from runtimes.base import RuntimeUnavailable
from runtimes.docker import labels
from runtimes.docker.engine import Engine
from runtimes.docker.network import Networks
from runtimes.docker.runtime import DockerRuntime
from runtimes.docker.starting import remove_container
from tests.runtimes.docker.engines import IMAGE
from tests.runtimes.factories import Lives, Unwatched, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from manifests.model.service import Service

PROGRAMS = {
    "waits": ["sh", "-c", "trap 'exit 143' TERM; while :; do sleep 0.05; done"],
    "fails": ["/no/such/program"],
    "exits": ["sh", "-c", "sleep 0.05; exit 3"],
    "deaf": ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"],
    "serves": ["serve"],
}


class DockerLives:
    """One engine and the lives of a node that uses it. Implements `factories.Lives`' words."""

    def __init__(self, socket: str, tasks: anyio.abc.TaskGroup) -> None:
        self.home = make_home()
        self.paths = make_paths(self.home)
        self.engine = Engine(lambda: socket)
        self.socket = socket
        self._tasks = tasks
        self._life = anyio.CancelScope()
        self._ended = anyio.Event()
        self._engines = [self.engine]

    def next_life(self, **settings: Any) -> DockerRuntime:
        """The last one ends as by kill -9: it gets to do nothing more."""
        self._life.cancel()
        self._life, self._ended = anyio.CancelScope(), anyio.Event()
        self._engines.append(Engine(lambda: self.socket))
        runtime = DockerRuntime(self.paths, engine=self._engines[-1], **settings)
        self._tasks.start_soon(self._live, runtime, self._life, self._ended)
        return runtime

    async def _live(self, runtime: DockerRuntime, life: anyio.CancelScope, ended: anyio.Event) -> None:
        with life:
            await runtime.run(Unwatched())
        ended.set()

    async def end_life(self) -> None:
        """The node ends; returns when it has."""
        self._life.cancel()
        await self._ended.wait()

    async def containers(self, *, running: bool = True) -> list[dict[str, Any]]:
        """What the engine has of this node, by its own words."""
        query = {"all": not running, "filters": labels.of_node(self.node)}
        found: list[dict[str, Any]] = await self.engine.call("GET", "/containers/json", query=query)
        return found

    async def volumes(self) -> set[str]:
        """The names of those that are this node's."""
        found = await self.engine.call("GET", "/volumes", query={"filters": labels.of_node(self.node)})
        return {each["Name"] for each in (found or {}).get("Volumes") or ()}

    async def runs(self) -> set[str]:
        return {container["Labels"][labels.INSTANCE] for container in await self.containers()}

    @property
    def node(self) -> str:
        return (self.home / "state" / "engine-node").read_text()

    def make(self, service_id: str = "app", *, acts: str = "waits", **manifest: Any) -> Service:
        settings = {"command": PROGRAMS[acts], "image": IMAGE, **manifest}
        return service(service_id, runtime="docker", **settings)

    def as_lives(self) -> Lives:
        """For tests that ask the same of every runtime."""
        return Lives(self.next_life, self.runs, self.make)

    async def close(self) -> None:
        self._life.cancel()
        with suppress(RuntimeUnavailable, FileNotFoundError):
            for container in await self.containers(running=False):
                await remove_container(self.engine, container["Id"])
            await Networks(self.engine, self.node).remove()
            for name in await self.volumes():
                await self.engine.call("DELETE", f"/volumes/{name}")
        # Also those of lives that were asked something after their end.
        for engine in self._engines:
            await engine.aclose()
        shutil.rmtree(self.paths.run, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)


@asynccontextmanager
async def docker_lives(socket: str) -> AsyncIterator[DockerLives]:
    async with anyio.create_task_group() as tasks:
        lives = DockerLives(socket, tasks)
        try:
            yield lives
        finally:
            with anyio.CancelScope(shield=True):
                await lives.close()
            tasks.cancel_scope.cancel()
