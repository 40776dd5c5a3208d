"""A contestant that answers wrongly is not measured, it is told on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.router.backends import Backend, PlainBackend
from tests.bench.router.load import Threads, judge
from tests.bench.router.ours import Atek
from tests.bench.router.wire import ANSWER, WrongAnswer, expect_answer, plain_get

if TYPE_CHECKING:
    from collections.abc import Iterator

#: As long as the right answer.
OTHER = f"/source?bytes={len(ANSWER)}"


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend(PlainBackend())
    yield backend
    backend.stop()


def test_another_body(backend: Backend) -> None:
    assert expect_answer(backend.address, plain_get()).body == ANSWER
    with pytest.raises(WrongAnswer):
        expect_answer(backend.address, plain_get(OTHER))


def test_another_body_under_load(backend: Backend) -> None:
    load = Threads()
    load.run(backend.address, plain_get(), size=0, connections=2, seconds=0.1)
    with pytest.raises(WrongAnswer, match="2 errors"):
        load.run(backend.address, plain_get(OTHER), size=0, connections=2, seconds=0.1)


def test_a_node_that_lets_anybody_in(backend: Backend) -> None:
    node = Atek(PlainBackend())
    node.address, node.token = backend.address, "secret"
    try:
        with pytest.raises(WrongAnswer, match="wrong token"):
            node.check()
    finally:
        node.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        {"errors": 1},
        {"requests": 0, "bytes": 0},
        pytest.param({"bytes": 200_100 + 20 * 50}, id="a few answers of another size"),
    ],
)
def test_what_wrk_counts(wrong: dict[str, float]) -> None:
    right = {"requests": 1000, "seconds": 2.0, "bytes": 200_100, "p50": 0.1, "p99": 0.2, "errors": 0}
    assert judge(right, 200, 4).rate == 500
    with pytest.raises(WrongAnswer):
        judge({**right, **wrong}, 200, 4)
