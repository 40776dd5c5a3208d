"""A node with the Hypercore daemon and the Atek Database, called through its gateway."""

from __future__ import annotations

import json
from typing import Any

from tests.bench.adb.load import checked, gateway_call
from tests.bench.processes import cpu_seconds, proportional_memory
from tests.bench.router.wire import Connection
from tests.e2e.nodes import Bench
from tests.hyper.adb.core import with_core_services


class AdbNode(Bench):
    def start(self) -> None:
        with_core_services(self.home)
        self.up()
        self.until(lambda: self.ready("core.adb"), "the Atek Database is ready")
        self.token = self.atek("token").stdout.strip()
        port = int(self.status()["node"]["address"].rpartition(":")[2])
        self.address = ("127.0.0.1", port)

    def call(self, method: str, *params: Any) -> Any:
        """The result of one call."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        with Connection(self.address) as connection:
            answer = checked(connection.ask(gateway_call(self.token, body)))
        return json.loads(answer.body)["result"]

    def cores(self) -> dict[str, int]:
        """The pids of the core services, by their ids."""
        return {each["id"]: self.pid(each["id"]) for each in self.status()["services"]}

    def memory(self) -> dict[str, float]:
        """MiB of each core service, after what it did."""
        return {name: proportional_memory([pid]) for name, pid in self.cores().items()}

    def cpu(self) -> dict[str, float]:
        """Seconds of each core service so far."""
        return {name: cpu_seconds([pid]) for name, pid in self.cores().items()}
