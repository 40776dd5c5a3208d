"""`atek update` against a node with releases that wait, and one without."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import UserError
from reconciler.port import NoUpdates
from tests.reconciler.cli.atek import running_node
from tests.reconciler.fakes import FakeNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.reconciler.cli.atek import Atek

WAITS = {
    "id": "notes",
    "installed": "1.0.0",
    "available": "1.1.0",
    "reason": "UpdateAvailable",
    "message": "1.1.0 is \x1b[31mthere",
}


class Offered(NoUpdates):
    def waiting(self) -> list[dict[str, Any]]:
        return [WAITS]

    async def take(self, service_id: str) -> dict[str, Any]:
        if service_id != "notes":
            raise UserError(f"{service_id} has no releases to choose from", hint="write version:")
        return {"id": "notes", "from": "1.0.0", "to": "1.1.0"}


@pytest.fixture
def node(atek: Atek) -> Iterator[FakeNode]:
    with running_node(atek.home, FakeNode()) as node:
        yield node


def test_what_waits(atek: Atek, node: FakeNode) -> None:
    assert atek("update").out == "no release waits for anybody\n"
    assert json.loads(atek("update", "--json").out) == []
    node.updates = Offered()
    assert atek("update").out == "notes  1.0.0 → 1.1.0  UpdateAvailable: 1.1.0 is there\n"
    assert json.loads(atek("update", "--json").out) == [WAITS]


def test_one_is_taken(atek: Atek, node: FakeNode) -> None:
    node.updates = Offered()
    said = atek("update", "notes").out
    assert said == "notes moves from 1.0.0 to 1.1.0; `atek status notes` shows how it does\n"
    assert json.loads(atek("update", "notes", "--json").out)["to"] == "1.1.0"
    refused = atek("update", "web")
    assert refused.status == 1 and "web has no releases" in refused.err and "write version:" in refused.err
