"""Real nodes with real daemons that reach each other by TCP on loopback, driven by the command line."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

from hyper.core_services import DAEMON_FOLDER, HYPER_ID, NODE_FLAGS, hyper_service
from reconciler.state.core_services import restore_file
from runtimes.packages.node_versions import find_node
from tests.e2e.nodes import ATEK, Bench
from tests.hyper.daemons import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Member(Bench):
    """A node with a Hypercore daemon, which runs where it is installed.

    What the node makes of the daemon's package is another test's business.
    """

    def __init__(
        self, name: str, *labels: str, host: str = "127.0.0.1", machine: Sequence[str] = (), hold: float = 2.0
    ) -> None:
        """`host`: where it takes peers. `machine`: the words that run a command where the node lives.

        `hold`: seconds for which a daemon that may have lost something waits for a follower.
        """
        super().__init__()
        self._machine = list(machine)
        self.name = name
        self.listens = free_port()
        socket = os.fspath(self.home / "hyper.sock")
        daemon = hyper_service(
            store=os.fspath(self.home / "hyper"),
            socket=socket,
            listen=f"{host}:{self.listens}",
            restore=os.fspath(restore_file(self.home)),
        )
        command = [os.fspath(find_node().node), *NODE_FLAGS, os.path.join(DAEMON_FOLDER, "index.js")]
        daemon |= {"runtime": "process", "command": command}
        daemon["env"]["HYPER_HOLD_MS"] = f"{hold * 1000:.0f}"
        del daemon["source"]
        config = {"name": name, "labels": list(labels), "coreServices": [daemon]}
        self.home.mkdir(mode=0o700)
        (self.home / "config.json").write_text(json.dumps(config))

    def up(self, *words: str, program: list[str] | None = None, wait: bool = True) -> None:
        super().up(*words, program=[*self._machine, *(program or ATEK)], wait=wait)

    def told(self, *words: str) -> str:
        """What a command prints; it has to succeed."""
        done = self.atek(*words)
        assert done.returncode == 0, f"atek {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def keys(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.told("key", "--json"))
        return value

    def follow(self, other: Member, *policy: str) -> None:
        """By the whole link; as a machine of one's own, unless it is said whose it is."""
        whose = () if "--trust" in policy else ("--trust", "own")
        self.told("follow", other.keys()["link"], "--name", other.name, "--yes", *whose, *policy)

    def kill_daemon(self) -> None:
        os.kill(self.pid(HYPER_ID), signal.SIGKILL)

    def entry_of(self, other: Member, service_id: str) -> Mapping[str, Any]:
        """What this node can read of a service on the other one; empty while there is nothing."""
        done = self.atek("status", "--node", other.name, "--json")
        services = json.loads(done.stdout)["services"] if done.returncode == 0 else []
        return next((each for each in services if each["id"] == service_id), {})

    def sees(self, other: Member, service_id: str, kind: str = "Ready") -> tuple[str, str]:
        """The status and the reason of a condition there, as it is known here."""
        conditions = self.entry_of(other, service_id).get("conditions", ())
        return next(
            ((each["status"], each["reason"]) for each in conditions if each["type"] == kind), ("", "")
        )
