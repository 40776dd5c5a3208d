"""The swarm runtime: one revision of a service as one service of the engine's swarm.

What is ours is known by labels, as with containers. The swarm keeps the tasks; this runtime looks at them,
tells where they listen, and says what went wrong. An engine announces services and machines of its swarm but
no tasks, so those are looked at again and again: often while something is on its way, seldom after that.
While the engine is away, or is no manager of a swarm, nothing is known and nothing is decided.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio

from manifests.model.containers import parse_volume
from runtimes.base import Endpoint, Exit, Kept, Running, RuntimeFailure, RuntimeUnavailable
from runtimes.docker import labels, swarm_spec
from runtimes.docker.credentials import authorization
from runtimes.docker.engine import Engine
from runtimes.docker.failures import EngineAnswer, other_failure
from runtimes.docker.folders import SWARM_NODE_FILE, Folders
from runtimes.docker.logs import LogCopier
from runtimes.docker.streams import json_lines
from runtimes.docker.swarm_handles import Swarmed, started_at, unenforced
from runtimes.docker.swarm_tasks import copies, end, failures, lacking, lingering, read_machines, read_tasks
from runtimes.probes import accepts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from anyio.abc import TaskGroup

    from manifests.model.service import Service
    from runtimes.base import Copy, Launch, Progress, Watch
    from runtimes.docker.swarm_tasks import Machine, Task
    from runtimes.paths import Paths

#: Seconds between two looks: while tasks come or go, while all is as it should be, and without any service.
BUSY, CALM, IDLE = 0.25, 2.0, 30.0
#: Seconds that the engine has to remove what could not be started.
REMOVAL = 20.0
#: Seconds that the last output of a service has to arrive before it is given up.
LAST_WORDS = 1.0
#: The engine's answer when it is no manager of a swarm.
_NO_MANAGER = 503


class SwarmRuntime:
    """Implements `runtimes.base.Engine`. Before it runs, whoever observes it is told where everything is."""

    def __init__(self, paths: Paths, *, engine: Engine | None = None) -> None:
        self._engine = engine or Engine()
        self._folders = Folders(paths, mark=SWARM_NODE_FILE)
        # A node that has no mark yet never had anything on a swarm.
        self._adopted = not self._folders.is_marked()
        self._node = self._folders.node()
        self._logs = LogCopier(self._engine, self._folders.positions(), "services")
        self._handles: dict[str, Swarmed] = {}
        self._starting: set[str] = set()
        self._tasks: TaskGroup | None = None
        self._wake = anyio.Event()
        self._looking = anyio.Lock()
        self._watch: Watch | None = None

    @property
    def name(self) -> str:
        return "swarm"

    # -- runtimes.base.Runtime

    async def observe(self) -> Sequence[Running]:
        try:
            await self._look()
        except EngineAnswer as answer:
            raise other_failure(answer, "the swarm cannot say what runs") from answer
        return [each.running for each in self._handles.values() if each.running and not each.died.is_set()]

    async def prepare(self, service: Service, progress: Progress) -> None:
        """Whether there is a swarm at all; its machines pull the image when they get a task."""
        try:
            await self._ask("/swarm")
        except EngineAnswer as answer:
            raise other_failure(answer, "the swarm does not answer") from answer

    async def start(self, launch: Launch) -> Running:
        self._starting.add(launch.instance)
        try:
            handle = await self._start(launch)
        except BaseException as error:
            with anyio.CancelScope(shield=True), anyio.move_on_after(REMOVAL):
                await self._clear(launch)
            if isinstance(error, EngineAnswer):
                what = f"{launch.service.id} cannot be started on the swarm"
                raise _translated(error, what) from error
            raise
        finally:
            self._starting.discard(launch.instance)
        self._keep(handle)
        assert handle.running
        return handle.running

    async def stop(self, running: Running, *, force: bool = False) -> None:
        """With `force` nothing can be done that is not done: each engine insists after the grace period."""
        handle = self._handles.get(running.instance)
        if handle is None or handle.died.is_set():
            return
        try:
            await self._remove(handle.container)
        except EngineAnswer as answer:
            raise _translated(answer, f"{running.service.id} cannot be stopped") from answer
        self._wake.set()

    async def wait(self, running: Running) -> Exit:
        handle = self._handles.get(running.instance)
        if handle is None:
            return Exit()
        await handle.died.wait()
        with anyio.CancelScope(shield=True), anyio.move_on_after(REMOVAL):
            with anyio.move_on_after(LAST_WORDS):
                await handle.logged.wait()
            with suppress(RuntimeUnavailable, EngineAnswer):
                await self._remove(handle.container)
            self._handles.pop(handle.instance, None)
            self._logs.forget(handle.instance)
            handle.copying.cancel()
            await self._drop_networks()
        return handle.ended or handle.exit()

    async def kept(self, service: Service) -> Kept:
        """The swarm itself replaces its tasks; what they keep is where they run."""
        volumes = [each for each in map(parse_volume, service.manifest.volumes) if not each.read_only]
        return Kept(f"it has the volume {volumes[0].source}" if volumes else "")

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """Nothing is written in what is prepared."""
        return ()

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Nothing is prepared on this machine."""

    async def purge(self) -> None:
        """Nothing waits to be deleted."""

    async def prewarm(self, service: Service) -> None:
        """Nothing that would help."""

    # -- what probes ask

    def handle(self, running: Running) -> Swarmed | None:
        """What is known of an instance by now; None when it is gone."""
        return self._handles.get(running.instance)

    # -- what it does all the time

    async def run(self, watch: Watch) -> None:
        """Looks at the swarm, and copies output, until cancelled."""
        self._watch = watch
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for handle in self._handles.values():
                    self._keep(handle)
                tasks.start_soon(self._listen_always)
                await self._look_always(watch)
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                await self._engine.aclose()

    async def _look_always(self, watch: Watch) -> None:
        while True:
            with anyio.move_on_after(self._pause()):
                await self._wake.wait()
            self._wake = anyio.Event()
            if not (self._handles or self._starting):
                continue
            try:
                await self._look()
            except RuntimeUnavailable as failure:
                watch.lost(self.name, failure)
                self._engine.forget()
            except EngineAnswer:
                # It answers, but not as it should; the next look may tell.
                pass

    def _pause(self) -> float:
        if not self._handles:
            return IDLE
        moving = any(each.lacking or each.removed for each in self._handles.values())
        return BUSY if moving else CALM

    async def _listen_always(self) -> None:
        """Machines that are lost or come back, and services that somebody changes, are looked at at once."""
        query = {"filters": {"scope": ["swarm"], "type": ["service", "node"]}}
        while True:
            with suppress(RuntimeUnavailable, EngineAnswer, ValueError):
                async with self._engine.stream("GET", "/events", query=query) as chunks:
                    async for _ in json_lines(chunks):
                        self._wake.set()
            await anyio.sleep(CALM)

    def _spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *of: Any) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(work, *of)

    def _keep(self, handle: Swarmed) -> None:
        self._wake.set()
        self._spawn(self._copy_output, handle)

    async def _copy_output(self, handle: Swarmed) -> None:
        assert handle.running
        with handle.copying:
            await self._logs.copy(handle, self._folders.log(handle.running.service.id))

    # -- starting and removing

    async def _start(self, launch: Launch) -> Swarmed:
        manifest = launch.service.manifest
        body = swarm_spec.service(launch, self._node)
        await self._make_network(launch)
        headers = authorization(self._folders.credentials, manifest.image or "")
        async with self._engine.stream("POST", "/services/create", body=body, headers=headers) as chunks:
            (made,) = [each async for each in json_lines(chunks)]
        found = await self._ask(f"/services/{made['ID']}")
        running = Running(
            launch.instance, launch.service, launch.slot, 0, Endpoint(port=0), started_at(found),
            unenforced(found), container=str(made["ID"]), copies=(),
        )  # fmt: skip
        handle = Swarmed(launch.instance, running.container, running)
        self._handles[launch.instance] = handle
        return handle

    async def _make_network(self, launch: Launch) -> None:
        body = swarm_spec.network(self._node, launch.service.manifest)
        try:
            await self._engine.call("POST", "/networks/create", body=body)
        except EngineAnswer as answer:
            if not answer.conflict:
                raise

    async def _clear(self, launch: Launch) -> None:
        """By name: the answer to its creation may never have arrived."""
        self._handles.pop(launch.instance, None)
        with suppress(EngineAnswer, RuntimeUnavailable):
            await self._remove(swarm_spec.service_name(self._node, launch.service.id, launch.instance))

    async def _remove(self, service: str) -> None:
        try:
            await self._engine.call("DELETE", f"/services/{quote(service)}")
        except EngineAnswer as answer:
            if not answer.missing:
                raise

    async def _drop_networks(self) -> None:
        """Those that no service is on any more. One whose last task is just leaving goes another time."""
        used = {
            swarm_spec.network_name(self._node, each.running.service.manifest)
            for each in self._handles.values()
            if each.running
        }
        with suppress(EngineAnswer, RuntimeUnavailable):
            found = await self._ask("/networks", query={"filters": labels.of_node(self._node)})
            for each in found:
                if each["Name"] not in used and not self._starting:
                    with suppress(EngineAnswer):
                        await self._engine.call("DELETE", f"/networks/{each['Id']}")

    # -- looking

    async def _ask(self, path: str, **more: Any) -> Any:
        """Raises RuntimeUnavailable when the engine is no manager of a swarm that works."""
        try:
            return await self._engine.call("GET", path, **more)
        except EngineAnswer as answer:
            if answer.status == _NO_MANAGER:
                raise _no_swarm(answer) from answer
            raise

    async def _look(self) -> None:
        """Compares what is known with what there is: three calls, whatever the number of services."""
        async with self._looking:
            before = list(self._handles.values())
            query = {"filters": labels.of_node(self._node)}
            services = {each["ID"]: each for each in await self._ask("/services", query=query)}
            tasks = read_tasks(await self._ask("/tasks", query=query))
            # After the tasks: whoever was moved because of its machine is told so.
            machines = read_machines(await self._ask("/nodes"))
            for handle in before:
                mine = [task for task in tasks if task.service == handle.container]
                await self._compare(handle, mine, machines, removed=handle.container not in services)
            known = {each.container for each in self._handles.values()}
            for service in services.values():
                if service["ID"] not in known:
                    await self._adopt(service, tasks, machines)
            self._adopted = True

    async def _adopt(self, service: dict[str, Any], tasks: list[Task], machines: dict[str, Machine]) -> None:
        """Takes over what an earlier life of this node left; what nobody can know of is removed."""
        found = service["Spec"].get("Labels") or {}
        if found.get(labels.INSTANCE) in self._starting:
            return
        said = labels.read_labels(found)
        if said is None or self._adopted:
            await self._remove(service["ID"])
            return
        running = Running(
            said.instance, said.service, said.slot, 0, Endpoint(port=0), started_at(service),
            unenforced(service), container=service["ID"], copies=(),
        )  # fmt: skip
        handle = self._handles[said.instance] = Swarmed(said.instance, running.container, running)
        # What went wrong before is not told again.
        handle.tasks = [task for task in tasks if task.service == handle.container]
        await self._compare(handle, handle.tasks, machines, removed=False)
        self._keep(handle)

    async def _compare(
        self, handle: Swarmed, tasks: list[Task], machines: dict[str, Machine], *, removed: bool
    ) -> None:
        assert handle.running
        lines = failures(handle.tasks, tasks, machines)
        found = () if removed else copies(handle.running.service.manifest, tasks, machines)
        places = await self._reached(handle, found)
        missing = "" if removed else lacking(handle.running.service.manifest, tasks, places, machines)
        handle.tasks, handle.removed = tasks, removed
        if places != handle.running.copies or missing != handle.lacking or lines:
            handle.take(places, missing)
            if self._watch is not None:
                self._watch.moved(handle.running, missing, lines)
        if removed and not lingering(tasks, machines):
            handle.end(None)
        elif not removed and (ended := end(handle.running.service.manifest, tasks)) is not None:
            handle.ended = ended
            handle.end(None)

    async def _reached(self, handle: Swarmed, found: tuple[Copy, ...]) -> tuple[Copy, ...]:
        """Without those that accept no connection yet. Whichever did once is trusted until it is gone."""
        assert handle.running
        before = handle.running.copies or ()
        if handle.running.service.manifest.probes.readiness == "none":
            return found
        refused: set[Copy] = set()

        async def reach(copy: Copy) -> None:
            if copy.endpoint is not None and not await accepts(copy.endpoint):
                refused.add(copy)

        async with anyio.create_task_group() as tasks:
            for copy in set(found) - set(before):
                tasks.start_soon(reach, copy)
        return tuple(copy for copy in found if copy not in refused)


def _no_swarm(answer: EngineAnswer) -> RuntimeUnavailable:
    """One that has lost its other managers says so in its own words."""
    if "not a swarm manager" not in answer.message:
        return RuntimeUnavailable("RuntimeUnavailable", f"the swarm does not answer: {answer.message}")
    return RuntimeUnavailable(
        "RuntimeUnavailable",
        "the container engine is no manager of a swarm",
        hint="docker swarm init makes it one, docker node promote makes a worker one",
    )


def _translated(answer: EngineAnswer, what: str) -> RuntimeFailure:
    return _no_swarm(answer) if answer.status == _NO_MANAGER else other_failure(answer, what)
