"""A swarm of several machines on one switch, each with an engine of its own, and a node on the first of them.

hub ──cable── one   manager; the node
    ──cable── two   worker, labelled `kitchen`
    ──cable── three worker
"""

from __future__ import annotations

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio

from runtimes.docker.engine import Engine
from runtimes.paths import run_directory
from tests.e2e.nodes import ATEK, Bench
from tests.runtimes.docker.engines import IMAGE, OwnEngine, make_image

if TYPE_CHECKING:
    from tests.e2e.netns import Switch

NAMES = ("one", "two", "three")
LABEL = "kitchen"
#: Nanoseconds between two signs of life; a machine is given up after three that did not come.
_HEARTBEAT = 1_000_000_000
_JOIN_PORT = 2377


class Swarm:
    """The engines. `close` leaves nothing of them."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch
        self.machines: dict[str, list[str]] = {}
        self.engines: dict[str, OwnEngine] = {}
        for name in NAMES:
            switch.machine(name)
            # Not `ip netns exec`, which hides the control groups that engines need.
            self.machines[name] = ["nsenter", f"--net={switch.path(name)}"]
            named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]
            self.engines[name] = OwnEngine([*self.machines[name], *named])

    def start(self) -> None:
        """Engines that have the test image, and are one swarm."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(self._begin, NAMES))
        address = {name: self.switch.address(name) for name in NAMES}
        spec = {"Dispatcher": {"HeartbeatPeriod": _HEARTBEAT}}
        init = {"ListenAddr": f"{address['one']}:{_JOIN_PORT}", "AdvertiseAddr": address["one"], "Spec": spec}
        self.call("one", "POST", "/swarm/init", body=init)
        token = self.call("one", "GET", "/swarm")["JoinTokens"]["Worker"]
        managers = [f"{address['one']}:{_JOIN_PORT}"]
        for name in NAMES[1:]:
            join = {
                "ListenAddr": f"{address[name]}:{_JOIN_PORT}", "AdvertiseAddr": address[name],
                "RemoteAddrs": managers, "JoinToken": token,
            }  # fmt: skip
            self.call(name, "POST", "/swarm/join", body=join)
        self._label("two")

    def _begin(self, name: str) -> None:
        self.engines[name].start()
        anyio.run(make_image, self.engines[name].socket)

    def _label(self, name: str) -> None:
        nodes = self.call("one", "GET", "/nodes")
        (node,) = [each for each in nodes if each["Description"]["Hostname"] == name]
        spec = node["Spec"] | {"Labels": {LABEL: "true"}}
        query = {"version": node["Version"]["Index"]}
        self.call("one", "POST", f"/nodes/{node['ID']}/update", query=query, body=spec)

    def call(self, machine: str, method: str, path: str, **more: Any) -> Any:
        """One call of a machine's engine."""

        async def call() -> Any:
            engine = Engine(lambda: self.engines[machine].socket)
            try:
                return await engine.call(method, path, **more)
            finally:
                await engine.aclose()

        return anyio.run(call)

    def services(self) -> list[str]:
        return [each["ID"] for each in self.call("one", "GET", "/services")]

    def networks(self) -> list[str]:
        found = self.call("one", "GET", "/networks")
        return [each["Name"] for each in found if each["Name"].startswith("atek-")]

    def containers(self, machine: str) -> list[str]:
        """What runs there, also when the machine is cut off: its engine is asked on its own socket."""
        return [each["Id"] for each in self.call(machine, "GET", "/containers/json")]

    def running(self) -> dict[str, int]:
        return {name: len(self.containers(name)) for name in NAMES}

    def close(self) -> None:
        with ThreadPoolExecutor() as threads:
            list(threads.map(OwnEngine.close, self.engines.values()))


class SwarmBench(Bench):
    """A node on one of the machines. `DOCKER_HOST` in the environment says whose engine it uses."""

    def __init__(self, swarm: Swarm, machine: str = "one") -> None:
        super().__init__()
        self.swarm = swarm
        self._machine = swarm.machines[machine]

    def up(self, *words: str, program: list[str] | None = None, wait: bool = True) -> None:
        super().up(*words, program=[*self._machine, *(program or ATEK)], wait=wait)

    def serve(self, version: str, **rest: Any) -> None:
        document = {
            "id": "web", "image": IMAGE, "command": ["serve"], "placement": "swarm", "port": "auto",
            "egress": True, "replicas": 3, "env": {"VERSION": version}, **rest,
        }  # fmt: skip
        self.write("web.json", json.dumps(document))

    def tasks(self) -> dict[str, str]:
        """Task → the machine that it runs on, of all that requests are sent to."""
        instances = self.service("web")["instances"]
        return {task["task"]: task["machine"] for each in instances for task in each.get("tasks", ())}

    def answer(self) -> str:
        """Through the router. Sockets in folders are reached from every network."""
        connection = http.client.HTTPConnection("web.localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(run_directory(self.home.resolve()) / "gateway.sock"))
        token = self.atek("token").stdout.strip()
        connection.request("GET", "/", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse().read().decode()
        connection.close()
        return answer
