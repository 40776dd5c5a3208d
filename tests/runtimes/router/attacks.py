"""Attempts of a hostile service to do what it may not. Each has a guard: one name of the router's own.

An attempt says whether it got what it was after. It has to fail, and to succeed once its guard is put out of
action, which shows that the guard is what it failed because of.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.state.tokens import new_token
from runtimes.router.decide.table import NODE, Credential, Export
from runtimes.router.protocol import fields, request_head
from tests.runtimes.router.harness import API, World, call

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.runtimes.router.harness import Service

OWN, HOST = "atek.cloud/services-api", "notes.localhost"
GATEWAY = f"/_atek/gateway?api={API}"
TOKEN = new_token()
#: This process is the attacker.
OURS = (Credential(TOKEN, os.getsid(0)),)

Attempt = Callable[[World], Awaitable[bool]]
Unguard = Callable[["pytest.MonkeyPatch"], None]


@dataclass(frozen=True)
class Attack:
    """`unguard` takes out what is in its way."""

    name: str
    attempt: Attempt
    unguard: Unguard

    async def check(self, world: World, patch: pytest.MonkeyPatch, *, guarded: bool) -> None:
        with _forgotten():
            if not guarded:
                self.unguard(patch)
            assert await self.attempt(world) is not guarded


class Attacks(list[Attack]):
    def __call__(self, unguard: Unguard) -> Callable[[Attempt], Attempt]:
        """An attempt, with what takes its guard out."""

        def add(attempt: Attempt) -> Attempt:
            self.append(Attack(attempt.__name__, attempt, unguard))
            return attempt

        return add


def without(where: Any, name: str, instead: Any) -> Unguard:
    return lambda patch: patch.setattr(where, name, instead)


@contextmanager
def _forgotten() -> Iterator[None]:
    """Heads are remembered, and so is what may pass."""
    request_head._requests.clear()
    fields._may_pass.cache_clear()
    yield
    request_head._requests.clear()
    fields._may_pass.cache_clear()


# -- the world that is attacked


async def hostile(world: World, allow: tuple[str, ...] | None = (), **more: Any) -> Service:
    return await world.service("hostile", **{"exports": (), "credentials": OURS, "allow": allow, **more})


async def node(world: World) -> Service:
    return await world.service(NODE, exports=(Export(OWN, "/own"), Export(OWN, "/own", "proxy")), rank=-1)


async def visits(world: World, *said: str, unix: bool = False, method: str = "GET") -> bool:
    """Whether the host of the victim is reached."""
    return (await world.ask(method, "/_api/notes", *said, host=HOST, unix=unix, body=b"")).status == 200


async def answered(world: World, api: str) -> bool:
    return "result" in (await world.post(call(), api=api, token=TOKEN)).json


def reached(service: Service, text: str) -> bool:
    return any(text.encode() in each.raw for each in service.requests)
