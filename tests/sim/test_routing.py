"""What a router sees of a whole node of fakes: routes, drains, tokens, told as stories."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.sources.memory import MemorySource
from runtimes.fake import Behaviour
from tests.sim.nodes import Home, eventually, manifest, ready, service

if TYPE_CHECKING:
    from reconciler.node import Node
    from runtimes.router.decide.table import ServiceRoute

pytestmark = pytest.mark.anyio

API = "example.com/notes"


async def test_what_is_declared_runs_or_is_ready_is_published(home: Home) -> None:
    home.machine.behave("a", Behaviour(ready_after=5))
    home.source.declare(manifest("a", exports=[API], allow=["example.com/other"]))
    async with home.node():
        await anyio.sleep(1)
        starting = home.router.routes["a"]
        assert (starting.key, starting.allow) == ("key-a", ("example.com/other",))
        assert [export.api for export in starting.exports] == [API]
        assert (starting.backends, [each.token for each in starting.credentials]) == ((), ["token-a-1"])
        await anyio.sleep(5)
        (backend,) = home.router.routes["a"].backends
        (process,) = home.machine.live("a")
        assert (backend.instance, backend.socket) == (
            process.running.instance,
            process.running.endpoint.socket,
        )
        home.source.undeclare("a")
        await eventually(lambda: home.router.routes == {})


async def test_policies_of_the_router_apply_at_once_and_without_a_restart(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", exports=[{"api": API, "path": "/v2"}], allow=[]))
        await anyio.sleep(0.1)
        route = home.router.routes["a"]
        assert route.allow == ()
        assert route.exports == route.backends[0].exports
        assert route.exports[0].path == "/v2"
        assert home.machine.starts == 1


async def test_todays_policies_hold_for_what_is_adopted_after_they_were_read(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
    home.machine.observable = False
    home.source.declare(manifest("a", exports=[{"api": API, "path": "/v2"}]))
    async with home.node() as node:
        await eventually(lambda: "a" in home.router.routes)
        home.machine.observable = True
        await eventually(lambda: ready(node, "a"))
        (backend,) = home.router.routes["a"].backends
        assert [export.path for export in backend.exports] == ["/v2"]
        assert home.machine.starts == 1


async def test_a_service_that_a_person_stopped_exports_nothing_until_it_is_started(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        await node.stop_service("a")
        assert home.router.routes["a"].exports == ()
        await eventually(lambda: not home.running())
        assert home.router.routes["a"].credentials == ()
        await node.start_service("a")
        assert home.router.routes["a"].exports != ()


async def test_a_stop_that_cannot_be_saved_leaves_the_route_as_it_was(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        before = home.router.routes["a"]

        async def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(home.store, "save", full)
        with pytest.raises(Exception, match="could not be saved"):
            await node.stop_service("a")
        assert home.router.routes["a"] == before


async def test_an_adopted_instance_keeps_its_token_and_the_next_gets_a_fresh_one(home: Home) -> None:
    home.source.declare(manifest("a"), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        assert home.router.tokens() == {"token-a-1", "token-b-1"}
        home.machine.crash("b")
        await eventually(lambda: home.machine.starts == 3)
        assert home.router.tokens() == {"token-a-1", "token-b-2"}
    home.machine.crash("b")
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        assert home.router.tokens() == {"token-a-1", "token-b-3"}
        await node.restart_service("a")
        await eventually(lambda: home.router.tokens() == {"token-a-2", "token-b-3"})


async def test_a_token_is_one_instances_and_ends_with_it(home: Home) -> None:
    home.requests["a"] = 5
    home.source.declare(manifest("a", "one", replicas=2))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        assert home.router.tokens() == {"token-a-1", "token-a-2"}
        home.source.declare(manifest("a", "two", replicas=1))
        # What drains still works, and may call others.
        await eventually(lambda: home.router.tokens() == {"token-a-1", "token-a-2", "token-a-3"})
        await eventually(lambda: home.router.tokens() == {"token-a-3"})


async def test_no_token_is_told_to_anybody_but_the_router(
    home: Home, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    home.requests["a"] = 5
    home.machine.behave("bad", Behaviour(start_fails="no such program"))
    home.source.declare(manifest("a", exports=[API]), manifest("b", exports=[API]), manifest("bad"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        home.source.declare(manifest("a", "two", exports=[API]))
        home.machine.crash("b")
        await anyio.sleep(1)
        assert {"token-a-1", "token-b-2"} <= home.router.tokens()
        told = json.dumps(node.status()) + repr(node.events.recent()) + repr(node.unready())
        running = [each for c in node.reconciler.controllers.values() for each in c.instances.values()]
        told += repr(running) + caplog.text + "".join(capfd.readouterr())
        assert "key-a" not in told and "token-" not in told
    assert "token-" not in repr([vars(home.store)])


async def test_two_services_that_export_one_api(home: Home) -> None:
    def conflict(node: Node, service_id: str) -> dict[str, Any]:
        found = [c for c in service(node, service_id)["conditions"] if c["type"] == "ExportsServed"]
        return found[0] if found else {}

    home.source.declare(manifest("a", exports=[API]), manifest("b", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        assert conflict(node, "a") == {}
        lost = conflict(node, "b")
        assert (lost["status"], lost["reason"]) == ("False", "ExportConflict")
        assert lost["message"] == f"{API} is served by a"
        home.machine.crash("a")
        home.machine.crash("b")
        await eventually(lambda: home.machine.starts == 4)
        told = [each for each in node.events.recent() if each.reason == "ExportConflict"]
        assert [(each.service, each.warning) for each in told] == [("b", True)]
        # It has nothing to do with whether it works.
        assert ready(node, "b") and node.unready() == {}
        home.source.declare(manifest("a"))
        await eventually(lambda: conflict(node, "b") == {})


async def test_the_api_belongs_to_the_source_with_precedence(home: Home) -> None:
    first = MemorySource("first", "config")
    first.declare(manifest("z", exports=[API]))
    home.source.declare(manifest("a", exports=[API]))
    node = home.make_node(sources=[first, home.source])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.run)
        await eventually(lambda: ready(node, "a") and ready(node, "z"))
        ranks = {route.id: route.rank for route in home.router.routes.values()}
        assert ranks["z"] < ranks["a"]
        assert node.routing.lost.keys() == {"a"}
        tasks.cancel_scope.cancel()


async def test_what_runs_is_served_on_while_nobody_can_say_whether_it_is_declared(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API], allow=[]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
    home.source.set_known(False)
    async with home.node():
        await eventually(lambda: bool(home.router.backends()))
        route = home.router.routes["a"]
        assert [export.api for export in route.exports] == [API] and route.allow == ()


async def test_a_change_costs_one_publication(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.source.declare(*[manifest(f"s{number}", exports=[f"api-{number}"]) for number in range(50)])
    published: list[set[str]] = []

    def count(routes: dict[str, ServiceRoute | None]) -> None:
        published.append(set(routes))

    node = home.make_node()
    monkeypatch.setattr(home.router, "publish", count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.run)
        await eventually(lambda: not node.unready())
        # All that is declared at once, and then each service's start and readiness.
        assert len(published) == 1 + 50 + 50
        await anyio.sleep(100)
        assert len(published) == 101
        home.machine.crash("s7")
        await anyio.sleep(1)
        assert published[101:] == [{"s7"}] * 3
        tasks.cancel_scope.cancel()
