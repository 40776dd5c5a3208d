"""What takes long is done by turns, and whatever happens to one piece of work, the others go on."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.router.carry.turns import Turns
from tests.runtimes.router.harness import until

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.anyio


def pieces(count: int, *, wrong: bool) -> Generator[None, None, int]:
    for _ in range(count):
        yield
    if wrong:
        raise LookupError("nobody thought of it")
    return count


def refuse(result: int) -> None:
    raise LookupError("nobody thought of it")


@pytest.mark.parametrize("moment", ["working", "done"])
async def test_a_mistake_ends_one_piece_of_work_and_is_told(moment: str) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    turns, results, failed = Turns(), list[int](), list[str]()
    wrong = moment == "working"
    turns.start(pieces(2, wrong=wrong), results.append if wrong else refuse, partial(failed.append, "first"))
    turns.start(pieces(5000, wrong=False), results.append, partial(failed.append, "second"))
    await until(lambda: not turns.busy)
    assert (results, failed) == ([5000], ["first"])
    assert [type(each["exception"]) for each in told] == [LookupError]
    turns.start(pieces(1, wrong=False), results.append, partial(failed.append, "third"))
    await until(lambda: results == [5000, 1])
