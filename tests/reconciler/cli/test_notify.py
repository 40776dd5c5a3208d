"""`atek notify` against a node that has addresses, and one that has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.port import NoNotifications
from tests.reconciler.cli.atek import running_node
from tests.reconciler.fakes import FakeNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.reconciler.cli.atek import Atek

ADDRESS: dict[str, Any] = {
    "address": "ntfy://localhost/…",
    "on": ["Stalled", "DiskLow"],
    "services": ["h*"],
    "digest": 3600.0,
    "quiet": "22:00-07:00",
    "waiting": 2,
    "lastSent": None,
    "error": None,
}


class Told(NoNotifications):
    def __init__(self, *, error: str | None = None) -> None:
        self.error = error

    def status(self) -> list[dict[str, Any]]:
        return [ADDRESS]

    async def test(self) -> list[dict[str, Any]]:
        return [ADDRESS | {"error": self.error, "lastSent": 1.0}]


@pytest.fixture
def node(atek: Atek) -> Iterator[FakeNode]:
    with running_node(atek.home, FakeNode()) as node:
        yield node


def test_whom_it_tells_what(atek: Atek, node: FakeNode) -> None:
    node.notifications = Told()
    said = atek("notify").out
    assert said.split("\n") == [
        "ntfy://localhost/…  Stalled, DiskLow, together every 1h, not 22:00-07:00",
        "    services: h*",
        "    2 waiting",
        "",
    ]
    assert json.loads(atek("notify", "--json").out) == [ADDRESS]


def test_nobody_is_told_and_how_that_could_be(atek: Atek, node: FakeNode) -> None:
    said = atek("notify")
    assert "[[notify]]" in said.out
    assert said.status == 0


@pytest.mark.parametrize(("error", "status"), [("401", 1), (None, 0)])
def test_a_test_says_whether_it_arrived(atek: Atek, node: FakeNode, error: str | None, status: int) -> None:
    node.notifications = Told(error=error)
    said = atek("notify", "--test")
    assert said.status == status
    assert ("failed: 401" in said.out) is (error is not None)
