"""What all tests share."""

from __future__ import annotations

from types import BuiltinMethodType
from typing import TYPE_CHECKING, Any

import pytest
from anyio._backends._asyncio import TestRunner

from manifests.documents import parse
from tests.schema import CheckedManifest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def anyio_backend() -> str:
    """Control code runs on asyncio in production; tests/sim runs it on trio's virtual clock."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def late_sockets() -> Iterator[None]:
    """anyio (4.16) waits for Unix sockets with `add_reader(socket, future.set_result)`.

    Where the wait is cancelled in the very turn in which the socket becomes ready, that raises
    InvalidStateError in the loop. asyncio logs it and goes on; anyio's runner of tests would fail whichever
    test is running.
    """
    original = TestRunner._exception_handler

    def handle(self: TestRunner, loop: Any, context: dict[str, Any]) -> None:
        callback = getattr(context.get("handle"), "_callback", None)
        late = isinstance(callback, BuiltinMethodType) and callback.__name__ == "set_result"
        if not (late and type(context.get("exception")).__name__ == "InvalidStateError"):
            original(self, loop, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestRunner, "_exception_handler", handle)
        yield


@pytest.fixture(scope="session", autouse=True)
def checked_by_the_schema() -> Iterator[None]:
    """The schema that editors get is held against every document that a test has accepted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse, "Manifest", CheckedManifest)
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share an engine disturb each other where xdist no longer knows that they belong together."""
    if not getattr(config.option, "loadgroup", False):
        return
    grouped = [each.nodeid for each in items if each.get_closest_marker("xdist_group")]
    alone = [each for each in grouped if "@" not in each]
    if alone:
        raise pytest.UsageError(f"xdist does not group its tests with this pytest: {alone[0]}")
