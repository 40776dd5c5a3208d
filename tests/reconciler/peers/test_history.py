"""What a node's records were, and going back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hyper.fake import FakeHyper
from manifests.documents.record import SERVICES
from manifests.model.nodes import Place
from reconciler.errors import UserError
from reconciler.peers.checkout import RecordsCheckout
from reconciler.peers.history import history, records_at, rollback
from reconciler.peers.port import RECORDS, Change, Keys
from reconciler.peers.records import OwnRecords

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.peers.port import Nodes

pytestmark = pytest.mark.anyio


class Records:
    """As much of `Nodes` as a history needs."""

    def __init__(self) -> None:
        self.hyper = FakeHyper()
        self.services = OwnRecords(
            self.hyper, self._database, self._seen, lambda name: f"key-{name}", lambda: "2025-01-02T03:04:05Z"
        )

    async def keys(self) -> Keys:
        return Keys("laptop", await self._database(), "", "")

    async def _database(self) -> str:
        return (await self.hyper.create(RECORDS)).db_id

    async def _seen(self, version: int) -> None:
        """There is no loop."""


@pytest.fixture
def nodes() -> Any:
    return Records()


async def declare(node: Nodes, service_id: str, **more: Any) -> int:
    manifest = {"id": service_id, "command": ["true"], **more}
    return await node.services.declare(manifest, Change("laptop", "push"))


async def env(nodes: Nodes, service_id: str) -> object:
    return (await nodes.services.read())[service_id].value["spec"].get("env")


async def test_each_change_tells_who_and_what(nodes: Nodes) -> None:
    first = await declare(nodes, "notes", env={"LOG": "info", "API_TOKEN": "one"})
    second = await declare(nodes, "notes", env={"LOG": "debug", "API_TOKEN": "two"})
    third = await nodes.services.remove("notes", Change("laptop", "delete"))
    found = await history(nodes)
    assert [(each.version, each.what, each.by) for each in found] == [
        (first, "push", "laptop"), (second, "push", "laptop"), (third, "delete", "laptop"),
    ]  # fmt: skip
    assert [each.services[0].what for each in found] == ["created", "changed", "deleted"]
    details = " ".join(found[1].services[0].details)
    assert "env.LOG: info → debug" in details
    assert "one" not in details and "two" not in details, "secrets are not told"


async def test_what_other_software_wrote_stands_alone(nodes: Nodes) -> None:
    db_id = (await nodes.keys()).records
    await nodes.hyper.put(db_id, ("atek.cloud", "service", "other"), {"id": "other", "sourceUrl": "/a"})
    await declare(nodes, "notes")
    assert [(each.what, [one.id for one in each.services]) for each in await history(nodes)] == [
        ("written", ["other"]), ("push", ["notes"]),
    ]  # fmt: skip


async def test_what_a_backup_brought_back_stands_alone(nodes: Nodes) -> None:
    database = (await nodes.hyper.create(RECORDS)).db_id
    old = {"id": "notes", "spec": {"env": {"LOG": "info"}}}
    await nodes.hyper.put(database, (*SERVICES, "key-notes"), old)
    second = await declare(nodes, "notes", env={"LOG": "debug"})
    restored, changed = await history(nodes)
    assert (restored.version, restored.what) == (2, "written")
    assert [each.what for each in restored.services] == ["created"]
    assert (changed.version, [each.what for each in changed.services]) == (second, ["changed"])


async def test_going_back_is_written_forward(nodes: Nodes) -> None:
    first = await declare(nodes, "notes", env={"LOG": "info"})
    await declare(nodes, "other")
    newest = await declare(nodes, "notes", env={"LOG": "debug"})
    done = await rollback(nodes, to=first, service_id="notes")
    assert done.version > newest and done.ids == ["notes"]
    assert await env(nodes, "notes") == {"LOG": "info"}
    assert "other" in await nodes.services.read(), "only the named one"
    assert (await history(nodes))[-1].what == f"rollback to {first}"
    assert (await rollback(nodes, to=first, service_id="notes")).ids == ()


async def test_everything_goes_back_together_and_what_was_deleted_returns(nodes: Nodes) -> None:
    await declare(nodes, "notes")
    then = await declare(nodes, "other")
    await nodes.services.remove("notes", Change("laptop", "delete"))
    await declare(nodes, "newer")
    assert (await rollback(nodes, to=then)).ids == ["newer", "notes"]
    assert sorted(await nodes.services.read()) == ["notes", "other"]


async def test_where_there_is_no_way_back(nodes: Nodes) -> None:
    first = await declare(nodes, "notes")
    later = await declare(nodes, "other")
    for to, name in ((later + 100, "notes"), (first, "other"), (first, "nots")):
        with pytest.raises(UserError) as raised:
            await rollback(nodes, to=to, service_id=name)
        assert raised.value.hint
    assert [each.version for each in await history(nodes)] == [first, later]


async def test_a_version_as_a_source(nodes: Nodes, tmp_path: Path) -> None:
    first = await declare(nodes, "notes", env={"LOG": "info"})
    await declare(nodes, "notes", env={"LOG": "debug"})
    await declare(nodes, "elsewhere", nodes=["pi"])
    found = await records_at(nodes, first)
    plain = [{"path": list(each.path), "seq": each.seq, "value": each.value} for each in found]
    (declared,) = RecordsCheckout(tmp_path, Place("laptop"), "", plain).snapshot.services
    assert declared.manifest.env == {"LOG": "info"}
    package = {"id": "app", "source": f"hyper://{'a' * 64}?version=2"}
    absent = [{"path": ["atek.cloud", "service", "app"], "seq": 1, "value": {"spec": package}}]
    (problem,) = RecordsCheckout(tmp_path, Place("laptop"), "", absent).snapshot.problems
    assert problem.service == "app" and "not here" in problem.message
    assert not any(tmp_path.iterdir()), "nothing is written"
