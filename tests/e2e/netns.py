"""Machines in network namespaces: each has its own loopback and one cable to a common switch.

    hub (a bridge) ──cable── n1 10.77.0.1
                   ──cable── n2 10.77.0.2 …

Cutting a cable is what a partition is: packets vanish, nobody is told.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from contextlib import suppress

#: The network that the machines of one switch share; it exists in their namespaces only.
PREFIX = "10.77.0"


def unavailable() -> str:
    """Why there can be no namespaces here; empty when there can, and where a lack of them is a failure."""
    if os.environ.get("ATEK_TEST_ENGINE") == "required":
        return ""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2"
    return ""


def run(*words: str) -> None:
    """Raises AssertionError with what the command said."""
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


class Switch:
    """A switch and the machines on it. A context manager: nothing is left of it."""

    def __init__(self) -> None:
        self.name = f"atk{secrets.token_hex(3)}"
        self._machines: list[str] = []

    def __enter__(self) -> Switch:
        self._add_namespace("hub")
        self._in("hub", "link", "add", "br0", "type", "bridge")
        self._in("hub", "link", "set", "br0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for machine in [*self._machines, "hub"]:
            with suppress(AssertionError):
                run("ip", "netns", "del", self._namespace(machine))

    def machine(self, machine: str) -> list[str]:
        """Adds a machine. Returns the words that run a command on it."""
        self._machines.append(machine)
        self._add_namespace(machine)
        inside, outside = "eth0", f"p{len(self._machines)}"
        namespace = self._namespace(machine)
        self._in("hub", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", namespace)
        self._in("hub", "link", "set", outside, "master", "br0", "up")
        self._in(machine, "addr", "add", f"{self.address(machine)}/24", "dev", inside)
        self._in(machine, "link", "set", inside, "up")
        return ["ip", "netns", "exec", namespace]

    def address(self, machine: str) -> str:
        return f"{PREFIX}.{self._machines.index(machine) + 1}"

    def path(self, machine: str) -> str:
        """The file that leads into a machine's network."""
        return f"/run/netns/{self._namespace(machine)}"

    def cut(self, machine: str) -> None:
        """Pulls the machine's cable."""
        self._in("hub", "link", "set", f"p{self._machines.index(machine) + 1}", "down")

    def heal(self, machine: str) -> None:
        self._in("hub", "link", "set", f"p{self._machines.index(machine) + 1}", "up")

    def _namespace(self, machine: str) -> str:
        return f"{self.name}-{machine}"

    def _add_namespace(self, machine: str) -> None:
        run("ip", "netns", "add", self._namespace(machine))
        self._in(machine, "link", "set", "lo", "up")

    def _in(self, machine: str, *words: str) -> None:
        run("ip", "-n", self._namespace(machine), *words)
