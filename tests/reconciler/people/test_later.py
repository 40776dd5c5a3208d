"""A home without people, until there is somebody."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from reconciler.people.later import LaterPeople
from tests.reconciler.people.households import HERE, PASSWORD, Home

if TYPE_CHECKING:
    from reconciler.people.household import Household

pytestmark = pytest.mark.anyio


async def test_nobody_is_nobody_until_somebody_comes(home: Home) -> None:
    made: list[Household] = []

    def make() -> Household:
        made.append(home.household())
        return made[-1]

    async def leaving(key: str) -> list[str]:
        return [key]

    people = LaterPeople(make)
    people.leaving = leaving
    assert people.wanted and not people.private
    assert people.named("alice") is None
    assert people.session("5e") is None and people.sessions("a") == {}
    assert not people.is_offered("guess")
    await people.end(["5e"])
    assert not people.everybody.people
    assert not made
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(people.run, None)
        code = people.offer()
        alice = await people.first(code, "alice", PASSWORD)
        bob = await people.create("bob", PASSWORD, "")
        _, cookie = await people.login("bob", PASSWORD, HERE)
        assert home.signed_in(cookie)
        assert people.private and not people.wanted
        assert people.everybody.people.keys() == {alice.key, bob.key}
        assert len(people.sessions(bob.key)) == 1
        assert await people.remove(bob.key) == [bob.key], "what is theirs is stopped, as it was said before"
        tasks.cancel_scope.cancel()
    assert len(made) == 1
    assert home.router.private


def test_a_home_without_people_loads_nothing_for_them() -> None:
    heavy = ("argon2", "segno", "reconciler.people.household", "reconciler.people.throttle")
    code = f"import reconciler.up, sys; print([each for each in {heavy!r} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
