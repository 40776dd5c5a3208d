"""What the node's own APIs refuse to a service that was granted them, and would do without the guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reconciler.apis import handler, inspect
from reconciler.apis.caller import Caller
from reconciler.apis.handler import SERVICES_PATH
from reconciler.apis.services import ServicesApi
from reconciler.peers.port import FOLLOW
from tests.reconciler.apis.api_nodes import Apis, Failure, World, declare

pytestmark = pytest.mark.anyio

STRANGER = f"{FOLLOW}{'ab' * 32}"
Attempt = Callable[[World, Apis], Awaitable[Any]]


def package(world: World) -> str:
    folder = world.packages / "notes"
    return folder.as_uri() if folder.exists() else world.package()


async def install_around_a_follows_policy(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": package(world), "id": "more"}, user=STRANGER)


async def stop_what_is_somebody_elses(world: World, apis: Apis) -> None:
    await declare(apis, world, "victim")
    await apis("stop", "victim", user="bob")


async def uninstall_what_is_somebody_elses(world: World, apis: Apis) -> None:
    if "victim" not in apis.node.declared():
        await apis("install", {"sourceUrl": world.package(), "id": "victim", "user": "alice"})
    await apis("uninstall", "victim", user="bob")


async def install_as_somebody_else(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": package(world), "id": "more", "user": "alice"}, user="bob")


async def call_as_nobody(world: World, apis: Apis) -> None:
    await apis.call(SERVICES_PATH, "list", [], {"atek-auth-service": "system"})


async def read_how_the_node_is_configured(world: World, apis: Apis) -> None:
    await apis.inspect("getConfig", user="bob")


def _anybody(*_: Any) -> Caller:
    return Caller("system")


ATTACKS: list[tuple[Attempt, Any, str, Any]] = [
    (install_around_a_follows_policy, Caller, "followed", False),
    (stop_what_is_somebody_elses, ServicesApi, "_may_touch", lambda *_: True),
    (uninstall_what_is_somebody_elses, ServicesApi, "_may_touch", lambda *_: True),
    (install_as_somebody_else, Caller, "admin", True),
    (call_as_nobody, handler, "caller_of", _anybody),
    (read_how_the_node_is_configured, inspect, "require_admin", lambda _: None),
]


@pytest.mark.parametrize("each", ATTACKS, ids=[each[0].__name__ for each in ATTACKS])
async def test_each_fails_because_of_its_guard(
    world: World, apis: Apis, monkeypatch: pytest.MonkeyPatch, each: tuple[Attempt, Any, str, Any]
) -> None:
    attempt, where, name, instead = each
    with pytest.raises(Failure, match="Not authorized"):
        await attempt(world, apis)
    monkeypatch.setattr(where, name, instead)
    await attempt(world, apis)
