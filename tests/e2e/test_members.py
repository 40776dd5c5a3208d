"""Two real nodes: what is written on the laptop runs on the pi, whatever is killed meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hyper.core_services import HYPER_ID
from tests.e2e.members import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("members")

PROGRAM = "setInterval(() => {}, 1000)\n"


class Pair:
    """A laptop, and a pi that follows it; the laptop follows the pi for its status."""

    def __init__(self) -> None:
        self.laptop, self.pi = Member("laptop"), Member("pi", "kitchen")

    def start(self) -> None:
        for node in (self.laptop, self.pi):
            node.up()
        self.pi.follow(self.laptop, "--ids", "app*")
        self.laptop.follow(self.pi, "--status-only")

    def push(self, service_id: str, text: str) -> None:
        """A package of one program, for the pi alone."""
        folder = self.laptop.root / service_id
        folder.mkdir(exist_ok=True)
        (folder / "index.js").write_text(f"// {text}\n{PROGRAM}")
        (folder / "atek.yaml").write_text(f"id: {service_id}\nnodes: [pi]\nprobes: {{readiness: none}}\n")
        self.laptop.told("push", str(folder))

    def serves(self, service_id: str, text: str) -> bool:
        """Whether the pi runs the program with this text, and nothing else of the service."""
        instances = self.pi.service(service_id)["instances"]
        if len(instances) != 1 or not self.pi.ready(service_id):
            return False
        program = Path(f"/proc/{instances[0]['pid']}/cwd/index.js")
        return program.is_file() and f"// {text}\n" in program.read_text()

    def close(self) -> None:
        for node in (self.laptop, self.pi):
            node.close()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pair = Pair()
    try:
        pair.start()
        yield pair
    finally:
        pair.close()


def test_what_is_pushed_runs_on_the_other_node_and_its_status_comes_back(pair: Pair) -> None:
    pair.push("app", "one")
    pair.pi.until(lambda: pair.serves("app", "one"), "it runs on the pi")
    pair.laptop.until(
        lambda: pair.laptop.sees(pair.pi, "app") == ("True", "Ready"), "the laptop sees that it does"
    )
    entry = pair.laptop.entry_of(pair.pi, "app")
    assert entry["observedRevision"] == pair.pi.service("app")["observedRevision"]
    assert "pid" not in entry["instances"][0]
    assert pair.laptop.service("app")["instances"] == []
    assert "nothing would change" in pair.pi.told("plan") and "nothing would" in pair.laptop.told("plan")


def test_what_is_forbidden_is_not_run_and_the_laptop_learns_why(pair: Pair) -> None:
    pair.push("other", "one")
    pair.laptop.until(
        lambda: pair.laptop.sees(pair.pi, "other", "Stalled") == ("True", "PolicyForbids"), "it is refused"
    )
    assert pair.pi.service("other")["instances"] == []
    assert not (pair.pi.home / "packages" / "other").exists()


def test_a_daemon_that_is_killed_costs_nothing_but_time(pair: Pair) -> None:
    pair.push("app", "two")
    pair.pi.until(lambda: pair.serves("app", "two"), "it runs")
    pid, daemon = pair.pi.pid("app"), pair.pi.pid(HYPER_ID)
    pair.pi.kill_daemon()
    pair.push("app", "three")
    pair.pi.until(lambda: pair.serves("app", "three"), "the new one arrives")
    assert pair.pi.pid("app") != pid and pair.pi.pid(HYPER_ID) != daemon
    daemon = pair.laptop.pid(HYPER_ID)
    pair.laptop.kill_daemon()
    pair.laptop.until(lambda: pair.laptop.replaced(HYPER_ID, daemon), "the laptop's is back")
    pair.push("app", "four")
    pair.pi.until(lambda: pair.serves("app", "four"), "and the next one, too")


def test_a_node_that_was_away_gets_what_was_pushed_meanwhile(pair: Pair) -> None:
    pair.push("app", "five")
    pair.pi.until(lambda: pair.serves("app", "five"), "it runs")
    before = pair.pi.processes()
    pair.pi.kill()
    pair.push("app", "six")
    pair.pi.up()
    pair.pi.until(lambda: pair.serves("app", "six"), "the pi has caught up")
    assert pair.pi.pid(HYPER_ID) in before, "its daemon was adopted"


def test_who_stops_it_on_the_laptop_stops_it_on_the_pi(pair: Pair) -> None:
    pair.push("app", "seven")
    pair.pi.until(lambda: pair.serves("app", "seven"), "it runs")
    pair.push("app-here", "one")
    (pair.laptop.root / "app-here" / "atek.yaml").write_text("id: app-here\nprobes: {readiness: none}\n")
    pair.laptop.told("push", str(pair.laptop.root / "app-here"))
    both = (pair.laptop, pair.pi)
    pair.laptop.until(lambda: all(each.ready("app-here") for each in both), "it runs on both")
    pair.laptop.told("stop", "app-here")
    pair.laptop.until(
        lambda: not any(each.service("app-here")["instances"] for each in both), "it ends on both"
    )
    assert pair.pi.stop() == 0
    pair.pi.up()
    pair.pi.until(lambda: pair.serves("app", "seven"), "the pi is back")
    assert pair.pi.service("app-here")["suspended"] and not pair.pi.service("app-here")["instances"]
    pair.laptop.told("start", "app-here")
    pair.laptop.until(lambda: all(each.ready("app-here") for each in both), "it runs on both again")
