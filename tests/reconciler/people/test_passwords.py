"""Hashes cost what they should, one at a time, and the same for nobody's password."""

from __future__ import annotations

import time

import anyio
import pytest

from reconciler.errors import UserError
from reconciler.people.passwords import MEMORY, MOST_WAITING, PASSES, Passwords

pytestmark = pytest.mark.anyio


async def test_a_hash_is_argon2id_at_the_effort_that_is_said() -> None:
    passwords = Passwords()
    hashed = await passwords.hash("correct horse")
    assert hashed.startswith(f"$argon2id$v=19$m={MEMORY},t={PASSES},p=1$")
    assert await passwords.matches(hashed, "correct horse")
    assert not await passwords.matches(hashed, "correct house")
    assert hashed != await passwords.hash("correct horse")


@pytest.mark.parametrize("hashed", ["", "x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
async def test_nobodys_hash_is_matched_by_nothing(hashed: str) -> None:
    assert not await Passwords(memory=8, passes=1).matches(hashed, "")


async def test_a_name_that_nobody_has_takes_as_long() -> None:
    """The least of several: a busy machine makes some of them longer, and none of them shorter."""
    passwords = Passwords()
    hashed = await passwords.hash("correct horse")
    await passwords.matches("", "warm")

    async def least(of: str) -> float:
        found = []
        for _ in range(5):
            begin = time.thread_time(), time.perf_counter()
            await passwords.matches(of, "a guess")
            found.append(time.perf_counter() - begin[1])
        return min(found)

    known, unknown = await least(hashed), await least("")
    assert 0.5 < unknown / known < 2
    assert unknown > 0.005, "it is the effort of a hash, whichever"


async def test_no_more_wait_than_may_and_the_machines_owner_has_a_line_of_her_own() -> None:
    passwords = Passwords(memory=1024, passes=20)
    hashed = await passwords.hash("correct horse")
    refused = []

    async def guess() -> None:
        try:
            await passwords.matches(hashed, "a guess")
        except UserError as error:
            refused.append(error.message)

    async with anyio.create_task_group() as tasks:
        for _ in range(MOST_WAITING * 4):
            tasks.start_soon(guess)
        await anyio.wait_all_tasks_blocked()
        assert refused
        assert await passwords.matches(hashed, "correct horse", local=True)
    assert len(refused) >= MOST_WAITING
