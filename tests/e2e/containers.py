"""A node whose containers run on an engine of the tests."""

from __future__ import annotations

from typing import Any

import anyio

from runtimes.docker.engine import Engine
from runtimes.docker.failures import EngineAnswer
from runtimes.docker.labels import INSTANCE, of_node
from runtimes.docker.network import Networks
from runtimes.docker.starting import remove_container
from tests.e2e.members import Member
from tests.e2e.nodes import PATIENCE, Bench
from tests.runtimes.docker.engines import IMAGE


class WithContainers(Bench):
    """What a node has on an engine, and what is asked of that engine beside it."""

    socket: str

    def engine(self, method: str, path: str, **more: Any) -> Any:
        """One call, as somebody else makes it who uses the same engine."""

        async def call() -> Any:
            engine = Engine(lambda: self.socket)
            try:
                return await engine.call(method, path, **more)
            finally:
                await engine.aclose()

        return anyio.run(call)

    def containers(self) -> dict[str, str]:
        """Instance → the engine's id, of all that run."""
        node = (self.home / "state" / "engine-node").read_text()
        found = self.engine("GET", "/containers/json", query={"filters": of_node(node)})
        return {each["Labels"][INSTANCE]: each["Id"] for each in found}

    def built(self) -> list[str]:
        """The tags of what this node has built and not removed."""
        node = (self.home / "state" / "engine-node").read_text()
        found = self.engine("GET", "/images/json")
        return [
            tag for each in found for tag in each["RepoTags"] or () if tag.startswith(f"atek-{node[:8]}/")
        ]

    def serve(self, service_id: str = "web", **rest: Any) -> None:
        self.declare(service_id, "serve", **{"image": IMAGE, "probes": {}, **rest})

    def answer(self, service_id: str = "web") -> str:
        """Through the router, as a browser asks."""
        import http.client

        port = int(self.status()["node"]["address"].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        token = self.atek("token").stdout.strip()
        headers = {"Host": f"{service_id}.localhost", "Authorization": f"Bearer {token}"}
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse().read().decode()
        connection.close()
        return answer

    def instances(self, service_id: str = "web") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.service(service_id)["instances"]
        return found

    def close(self) -> None:
        if self.node and self.node.poll() is None:
            self.kill()
        anyio.run(self._clear)
        super().close()

    async def _clear(self) -> None:
        mark = self.home / "state" / "engine-node"
        if not mark.exists():
            return
        engine = Engine(lambda: self.socket)
        query = {"all": True, "filters": of_node(mark.read_text())}
        told: Exception | None = None
        try:
            with anyio.move_on_after(PATIENCE) as patience:
                while left := await engine.call("GET", "/containers/json", query=query):
                    for each in left:
                        told = await self._removed(engine, each["Id"]) or told
                    await anyio.sleep(0.05)
            assert not patience.cancelled_caught, f"containers that cannot be removed: {told!r}"
            await Networks(engine, mark.read_text()).remove()
            found = await engine.call("GET", "/volumes", query={"filters": of_node(mark.read_text())})
            for each in found["Volumes"] or ():
                await engine.call("DELETE", f"/volumes/{each['Name']}")
        finally:
            await engine.aclose()

    async def _removed(self, engine: Engine, container_id: str) -> Exception | None:
        """Why not, for now: an engine that has just started again may still clear up, or say nothing."""
        try:
            with anyio.fail_after(PATIENCE / 4):
                await remove_container(engine, container_id)
        except (EngineAnswer, TimeoutError) as error:
            return error
        return None


class ContainerBench(WithContainers):
    """A node whose engine is that of the tests."""

    def __init__(self, socket: str) -> None:
        super().__init__()
        self.socket = socket


class ContainerMember(WithContainers, Member):
    """The same, that other nodes can follow."""

    def __init__(self, socket: str, name: str) -> None:
        Member.__init__(self, name)
        self.socket = socket
