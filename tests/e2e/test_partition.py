"""Three machines on one switch: cables are pulled, nodes are killed, in the end everybody has everything."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.members import Member
from tests.e2e.netns import Switch, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where the tests have to be complete, a machine that cannot do it makes them fail instead.
pytestmark = [
    pytest.mark.skipif(bool(unavailable()) and "CI" not in os.environ, reason=unavailable()),
    # Not beside containers: who enters a namespace keeps all its mounts, and an engine's folders busy.
    pytest.mark.xdist_group("docker"),
    pytest.mark.timeout(300),
]

NAMES = ("laptop", "pi", "shed")


class Network:
    """A laptop that pushes, and two nodes that follow it; all of them know each other."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch
        self.nodes: dict[str, Member] = {}
        for name in NAMES:
            machine = switch.machine(name)
            self.nodes[name] = Member(name, host=switch.address(name), machine=machine)
        self.laptop, self.pi, self.shed = self.nodes.values()

    def start(self) -> None:
        for node in self.nodes.values():
            node.up()
        for node in self.nodes.values():
            node.until(lambda node=node: node.atek("key").returncode == 0, "its keys are known")  # type: ignore[misc]
        for node in self.nodes.values():
            for other in self.nodes.values():
                if other is not node:
                    node.follow(other, *([] if other is self.laptop else ["--status-only"]))

    def push(self, text: str, padding: int = 0) -> None:
        """The package `app`, for both nodes that follow."""
        folder = self.laptop.root / "app"
        folder.mkdir(exist_ok=True)
        (folder / "index.js").write_text(f"setInterval(() => {{}}, 1000) // {text}\n")
        (folder / "atek.yaml").write_text("id: app\nnodes: [pi, shed]\nprobes: {readiness: none}\n")
        (folder / "padding").write_bytes(os.urandom(padding))
        self.laptop.told("push", str(folder))

    def runs(self, node: Member, text: str) -> bool:
        instances = node.service("app")["instances"]
        if len(instances) != 1 or not node.ready("app"):
            return False
        # It runs in its copy of the package; by now it may have ended.
        program = Path(f"/proc/{instances[0]['pid']}/cwd/index.js")
        with suppress(OSError):
            return text in program.read_text()
        return False

    def everybody_runs(self, text: str) -> None:
        for node in (self.pi, self.shed):
            node.until(lambda node=node: self.runs(node, text), f"{node.name} runs {text}")  # type: ignore[misc]

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Switch() as switch:
        made = Network(switch)
        try:
            made.start()
            yield made
        finally:
            made.close()


def test_what_is_pushed_while_a_cable_is_out_arrives_when_it_is_back(network: Network) -> None:
    network.push("one")
    network.everybody_runs("one")
    pid = network.pi.pid("app")
    network.switch.cut("pi")
    network.push("two")
    network.shed.until(lambda: network.runs(network.shed, "two"), "the shed is reached all the same")
    assert network.runs(network.pi, "one") and network.pi.pid("app") == pid, "who is cut off goes on"
    network.switch.heal("pi")
    network.everybody_runs("two")
    network.laptop.until(
        lambda: network.laptop.sees(network.pi, "app") == ("True", "Ready"), "the laptop sees the pi again"
    )


def test_a_node_gets_from_another_follower_what_its_author_cannot_send(network: Network) -> None:
    network.push("three")
    network.everybody_runs("three")
    network.switch.cut("shed")
    network.push("four")
    network.pi.until(lambda: network.runs(network.pi, "four"), "the pi has it")
    network.switch.cut("laptop")
    network.switch.heal("shed")
    try:
        network.shed.until(lambda: network.runs(network.shed, "four"), "the shed has it from the pi")
    finally:
        network.switch.heal("laptop")
    network.push("five")
    network.everybody_runs("five")


def test_an_author_killed_in_the_middle_of_pushes_leaves_whole_versions_only(network: Network) -> None:
    network.push("six")
    network.everybody_runs("six")
    for number, padding in enumerate((2_000_000, 6_000_000), start=1):
        network.push(f"big{number}", padding)
        # Acknowledged a moment ago: it is on the disk, and has not left the machine yet.
        network.laptop.kill_daemon()
        network.laptop.kill()
        network.laptop.up()
        network.everybody_runs(f"big{number}")


def test_a_follower_killed_in_the_middle_of_fetching_ends_up_with_one_copy(network: Network) -> None:
    network.push("seven")
    network.everybody_runs("seven")
    network.push("eight", 20_000_000)
    network.pi.kill()
    network.pi.up()
    network.pi.kill_daemon()
    network.everybody_runs("eight")
    assert len([mark for mark in network.pi.processes().values() if "app" in mark]) <= 1
