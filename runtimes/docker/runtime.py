"""The docker runtime: containers as instances.

What is ours is known by labels. `run` listens to the engine's events and, whenever the stream is opened anew,
compares what it knows with what there is; so no end of a container is missed, and none is found by polling.
While the engine is away nothing is known and nothing is decided: containers that outlive it are as they were.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from runtimes.base import Exit, Kept, RuntimeUnavailable, known_secrets, no_secrets
from runtimes.data.stateful import keeps
from runtimes.docker import labels
from runtimes.docker.adoption import inspect_all, read_container
from runtimes.docker.ended import Ended, EndedContainers, is_worth_keeping
from runtimes.docker.engine import Engine
from runtimes.docker.failures import EngineAnswer, other_failure, start_failure
from runtimes.docker.folders import Folders
from runtimes.docker.gateway import may_enter, reach_from_inside, share_gateway
from runtimes.docker.handles import Handle, Handles
from runtimes.docker.inside import run_inside
from runtimes.docker.logs import LogCopier
from runtimes.docker.network import Networks
from runtimes.docker.service_images import ServiceImages
from runtimes.docker.starting import LAST_WORDS, REMOVAL, Starter, describe, networks_of, remove_container
from runtimes.docker.stateful import kept_outside
from runtimes.docker.streams import json_lines
from runtimes.docker.volumes import Volumes
from runtimes.processes.termination_message import FROM_OUTSIDE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence

    from anyio.abc import TaskGroup

    from manifests.model.service import Service
    from runtimes.base import Launch, OpenSecrets, Progress, Running, Watch
    from runtimes.paths import Paths

#: First and longest pause until an engine that is away is looked for again, seconds.
FIRST_LOOK, LONGEST_LOOK = 0.1, 2.0
#: Seconds between two looks at everything, which repair what no event announced.
RESYNC = 30.0
#: Seconds that the last output of a container has to arrive before it is told how it ended.
SAID = 0.25


class DockerRuntime:
    """Implements `runtimes.base.Engine`."""

    def __init__(
        self,
        paths: Paths,
        *,
        engine: Engine | None = None,
        binds: Sequence[str] = (),
        open_secrets: OpenSecrets = no_secrets,
    ) -> None:
        self._open_secrets = open_secrets
        self._paths = paths
        self._engine = engine or Engine()
        self._folders = Folders(paths, binds)
        # A node that has no mark yet never had a container.
        self._adopted = not self._folders.is_marked()
        self._node = self._folders.node()
        self._handles = Handles()
        self._ended = EndedContainers()
        self.images = ServiceImages(self._engine, self._folders, self._node)
        self._networks = Networks(self._engine, self._node)
        self._volumes = Volumes(self._engine, paths.home, self._node)
        self._logs = LogCopier(self._engine, self._folders.positions())
        self._starter = Starter(
            self._engine, self._networks, self._volumes, self._folders, self._handles, self._ended,
            self._logs, self._node,
        )  # fmt: skip
        self._starting: set[str] = set()
        # Container → the service it was of.
        self._burying: dict[str, str] = {}
        self._buried = anyio.Event()
        self._tasks: TaskGroup | None = None

    @property
    def name(self) -> str:
        return "docker"

    # -- runtimes.base.Runtime

    async def observe(self) -> Sequence[Running]:
        try:
            await (self._look() if self._adopted else self._adopt())
        except EngineAnswer as answer:
            raise other_failure(answer, "the engine cannot say what runs") from answer
        return [each.running for each in self._handles if each.running and not each.died.is_set()]

    async def prepare(self, service: Service, progress: Progress) -> None:
        await self.images.prepare(service, progress)

    async def start(self, launch: Launch) -> Running:
        self._starting.add(launch.instance)
        try:
            image = await self.images.image(launch.service)
            handle = await self._starter.start(launch, image)
        finally:
            self._starting.discard(launch.instance)
        self._keep(handle)
        assert handle.running
        return handle.running

    async def stop(self, running: Running, *, force: bool = False) -> None:
        handle = self._handles.get(running.instance)
        if handle is None or handle.died.is_set():
            return
        query = {"signal": "SIGKILL" if force else handle.signal}
        try:
            await self._engine.call("POST", f"/containers/{handle.container}/kill", query=query)
        except EngineAnswer as answer:
            if not (answer.missing or answer.conflict):
                raise other_failure(answer, f"{running.service.id} cannot be stopped") from answer

    async def wait(self, running: Running) -> Exit:
        handle = self._handles.get(running.instance)
        if handle is None:
            return Exit()
        await handle.died.wait()
        # The engine has finished with a container once it answers about it: its ports are free then.
        # Not waiting for it gains a replacement nothing: its start waits for the same cleaning up.
        is_there = await self._is_there(handle)
        if is_there and is_worth_keeping(running.service):
            self._folders.remove(handle.instance)
            networks, logged = handle.networks, handle.logged
            await self._starter.keep(
                Ended(handle.container, handle.instance, running.service, running.slot, networks, logged)
            )
        else:
            self._burying[handle.container] = running.service.id
            self._spawn(self._bury, handle)
        self._handles.remove(handle)
        return await self._how_it_ended(handle)

    async def _how_it_ended(self, handle: Handle) -> Exit:
        exit = handle.exit()
        if exit.success or exit.signal in FROM_OUTSIDE:
            return exit
        with anyio.move_on_after(SAID):
            await handle.logged.wait()
        return replace(exit, said=handle.termination_message())

    async def _is_there(self, handle: Handle) -> bool:
        """Whether the container is there still, or may be. Asks whether it ran out of memory."""
        try:
            found = await self._engine.call("GET", f"/containers/{handle.container}/json")
        except RuntimeUnavailable:
            return True
        except EngineAnswer as answer:
            return not answer.missing
        handle.out_of_memory = handle.out_of_memory or bool(found["State"].get("OOMKilled"))
        return True

    async def kept(self, service: Service) -> Kept:
        found = await anyio.to_thread.run_sync(keeps, self._paths, service) or self._volumes.kept(service.id)
        if found:
            return Kept(found)
        containers = [
            each.container for each in self._handles if each.running and each.running.service.id == service.id
        ]
        return Kept(await kept_outside(self._engine, containers, self._paths.data(service.id)))

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """Nothing is written in what is prepared."""
        return ()

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        if not self._adopted:
            return
        try:
            # The engine keeps the image of a container, also of one that has ended.
            with anyio.move_on_after(REMOVAL):
                while service_id in self._burying.values():
                    await self._buried.wait()
            for each in self._ended.unneeded(service_id, keep):
                await self._starter.remove(each)
            await self.images.collect(service_id, keep)
            if not keep:
                await self._networks.remove(self._needed_networks)
                await self._volumes.collect([service_id])
        except EngineAnswer as answer:
            raise other_failure(answer, f"what {service_id} left cannot be removed") from answer

    async def purge(self) -> None:
        """Nothing waits to be deleted."""

    async def prewarm(self, service: Service) -> None:
        """Nothing that would help."""

    def _needed_networks(self) -> set[str] | None:
        if self._starting:
            return None
        return {name for each in (*self._handles, *self._ended) for name in each.networks}

    # -- what probes ask

    def health(self, running: Running) -> str | None:
        """What is wrong by the image's own HEALTHCHECK; None when nothing is, "" when it has none."""
        handle = self._handles.get(running.instance)
        if handle is None or not handle.health or handle.health == "none":
            return ""
        return None if handle.health == "healthy" else f"its HEALTHCHECK says {handle.health}"

    async def execute(self, running: Running, command: Sequence[str]) -> int:
        """Runs a command beside the program; its status. Raises RuntimeFailure."""
        try:
            return await run_inside(self._engine, running.container, command)
        except EngineAnswer as answer:
            raise start_failure(running.service.id, answer) from answer

    # -- what it does all the time

    async def run(self, watch: Watch) -> None:
        """Listens to the engine, copies output, and clears up, until cancelled."""
        try:
            await self._run(watch)
        finally:
            with anyio.CancelScope(shield=True):
                await self._engine.aclose()

    async def _run(self, watch: Watch) -> None:
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for handle in self._handles:
                    self._keep(handle)
                tasks.start_soon(self._resync)
                await self._listen_always(watch)
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    async def _listen_always(self, watch: Watch) -> None:
        pause = FIRST_LOOK
        while True:
            try:
                async with aclosing(self._listen()) as news:
                    async for _ in news:
                        pause = FIRST_LOOK
            except RuntimeUnavailable as failure:
                watch.lost(self.name, failure)
            except (EngineAnswer, ValueError):
                # It answers, but not as it should; perhaps it is about to end.
                pass
            self._engine.forget()
            self._networks.forget()
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_LOOK)

    async def _listen(self) -> AsyncGenerator[None, None]:
        """Yields after each event, and once when all that happened before is known."""
        query = {"filters": {**labels.of_node(self._node), "type": ["container"]}}
        async with self._engine.stream("GET", "/events", query=query) as chunks:
            await self._look()
            yield
            async for event in json_lines(chunks):
                if self._handles.hear(event) == "pause":
                    self._spawn(self._unpause, str(event["Actor"]["ID"]))
                yield

    async def _resync(self) -> None:
        while True:
            await anyio.sleep(RESYNC)
            with suppress(RuntimeUnavailable, EngineAnswer):
                await self._look()

    def _spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *of: Any) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(work, *of)

    def _keep(self, handle: Handle) -> None:
        """Everything that goes on beside a container as long as it runs."""
        self._spawn(self._copy_output, handle)
        running = handle.running
        if running and running.service.manifest.network != "host" and may_enter() and running.pid:
            self._spawn(self._let_reach_us, handle)

    async def _copy_output(self, handle: Handle) -> None:
        assert handle.running
        await self._logs.copy(handle, self._folders.log(handle.running.service.id))

    async def _let_reach_us(self, handle: Handle) -> None:
        assert handle.running
        gateway = str(self._paths.run / "gateway.sock")
        await reach_from_inside(handle.running.pid, self._paths.host_port, gateway, until=handle.died)

    async def _unpause(self, container: str) -> None:
        """Somebody paused it; what is declared is that it runs."""
        with suppress(RuntimeUnavailable, EngineAnswer):
            await self._engine.call("POST", f"/containers/{container}/unpause")

    async def _bury(self, handle: Handle) -> None:
        """Removes a container that has ended, once its output is here; `_look` does what this cannot.

        A node that ends waits for it: what it leaves otherwise would stay until its next start.
        """
        with anyio.CancelScope(shield=True), anyio.move_on_after(REMOVAL):
            with anyio.move_on_after(LAST_WORDS):
                await handle.logged.wait()
            with suppress(RuntimeUnavailable, EngineAnswer):
                await remove_container(self._engine, handle.container)
        self._burying.pop(handle.container, None)
        buried, self._buried = self._buried, anyio.Event()
        buried.set()
        self._logs.forget(handle.instance)
        self._folders.remove(handle.instance)

    # -- looking

    async def _list(self) -> list[dict[str, Any]]:
        """All of this node's containers, running or not. Nobody else's are ever asked for."""
        query = {"all": True, "filters": labels.of_node(self._node)}
        found: list[dict[str, Any]] = await self._engine.call("GET", "/containers/json", query=query)
        return found

    async def _adopt(self) -> None:
        """Takes over what an earlier life of this node left, running or not, and removes the rest of it."""
        share_gateway(self._paths.run)
        found = await inspect_all(self._engine, await self._list())
        self._volumes.take_over((said, each) for each in found if (said := read_container(each)))
        # The latest is the last: it is the one of its slot.
        for each in sorted(found, key=lambda each: str(each.get("Created", ""))):
            await self._adopt_one(each)
        await self._volumes.collect()
        self._folders.memory.prune({*(each.instance for each in self._handles), *self._starting})
        self._adopted = True

    async def _adopt_one(self, found: dict[str, Any]) -> None:
        container, state = str(found["Id"]), found["State"].get("Status")
        said = read_container(found)
        instance = (found["Config"].get("Labels") or {}).get(labels.INSTANCE, "")
        if self._handles.get(instance) is not None or self._ended.of_container(container) is not None:
            return
        if said is not None and state == "exited" and is_worth_keeping(said.service):
            await self._starter.keep(Ended(container, instance, said.service, said.slot, networks_of(found)))
            return
        if said is None or state not in ("running", "paused"):
            await self._starter.discard(container, instance)
            return
        handle = Handle(instance, container)
        describe(handle, found, self._folders)
        handle.hidden = known_secrets(said.service, self._open_secrets).words
        self._handles.add(handle)
        if state == "paused":
            await self._unpause(container)
        self._keep(handle)

    async def _look(self) -> None:
        """Compares what is known with what there is: one call, whatever the number of containers."""
        before = list(self._handles)
        found = {container["Id"]: container for container in await self._list()}
        for handle in before:
            container = found.get(handle.container)
            if container is None:
                handle.end(None)
            elif container["State"] in ("exited", "dead") and handle.running:
                await self._ask_how_it_ended(handle)
            elif container["State"] == "paused":
                self._spawn(self._unpause, handle.container)
        if self._adopted:
            for container in found.values():
                await self._discard_stray(container)

    async def _ask_how_it_ended(self, handle: Handle) -> None:
        try:
            found = await self._engine.call("GET", f"/containers/{handle.container}/json")
        except EngineAnswer:
            handle.end(None)
            return
        if found["State"].get("Running"):
            # It was started once more since it was listed.
            return
        handle.out_of_memory = bool(found["State"].get("OOMKilled"))
        handle.end(int(found["State"].get("ExitCode") or 0))

    async def _discard_stray(self, container: dict[str, Any]) -> None:
        """What was started without the engine ever saying so, and what could not be buried."""
        instance = container["Labels"].get(labels.INSTANCE, "")
        if self._ended.of_container(container["Id"]) is not None:
            if container["State"] == "running" and not self._starting:
                # By somebody else: nobody asked for it here.
                with suppress(EngineAnswer):
                    await self._engine.call("POST", f"/containers/{container['Id']}/kill")
            return
        is_known = self._handles.of_container(container["Id"]) is not None
        if not is_known and instance not in self._starting and container["Id"] not in self._burying:
            await self._starter.discard(container["Id"], instance)
