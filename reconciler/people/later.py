"""The people of a home that has nobody: until somebody comes, all of this room but its words is left alone.

So a home without people starts as fast, and is as small, as if there were no people at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from reconciler.people.port import NoPeople

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.people.devices import Client
    from reconciler.people.model import Everybody, Person, SignedIn
    from reconciler.people.port import Leaving, People


class LaterPeople:
    """Implements `port.People`: nobody; from the first call that could change that, what `make` makes."""

    def __init__(self, make: Callable[[], People], *, wanted: bool = True) -> None:
        self._make = make
        self._wanted = wanted
        self._nobody = NoPeople()
        self._made: People | None = None
        self._begun = anyio.Event()

    @property
    def _now(self) -> People:
        return self._made or self._nobody

    @property
    def _real(self) -> People:
        if self._made is None:
            self._made = self._make()
            self._made.leaving = self._nobody.leaving
            self._begun.set()
        return self._made

    @property
    def leaving(self) -> Leaving | None:
        return self._now.leaving

    @leaving.setter
    def leaving(self, leaving: Leaving | None) -> None:
        self._now.leaving = leaving

    @property
    def everybody(self) -> Everybody:
        return self._now.everybody

    @property
    def wanted(self) -> bool:
        return self._made.wanted if self._made else self._wanted

    @property
    def private(self) -> bool:
        return self._now.private

    async def run(self, node: object) -> None:
        await self._begun.wait()
        await self._real.run(node)

    def named(self, username: str) -> Person | None:
        return self._now.named(username)

    async def create(self, username: str, password: str, role: str) -> Person:
        return await self._real.create(username, password, role)

    async def update(
        self,
        key: str,
        *,
        username: str | None = None,
        password: str | None = None,
        role: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Person:
        return await self._real.update(
            key, username=username, password=password, role=role, settings=settings
        )

    async def remove(self, key: str) -> list[str]:
        return await self._real.remove(key)

    async def settle(self, key: str) -> None:
        await self._real.settle(key)

    async def login(self, username: str, password: str, client: Client) -> tuple[Person, str]:
        return await self._real.login(username, password, client)

    async def begin(self, key: str, client: Client) -> str:
        return await self._real.begin(key, client)

    def sessions(self, key: str) -> Mapping[str, SignedIn]:
        return self._now.sessions(key)

    def session(self, session_id: str) -> tuple[Person, SignedIn] | None:
        return self._now.session(session_id)

    async def end(self, session_ids: Sequence[str]) -> None:
        await self._now.end(session_ids)

    def offer(self) -> str:
        return self._real.offer()

    def is_offered(self, code: str) -> bool:
        return self._now.is_offered(code)

    async def first(self, code: str, username: str, password: str) -> Person:
        return await self._real.first(code, username, password)
