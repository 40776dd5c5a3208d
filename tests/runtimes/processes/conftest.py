"""What tests of programs have in common."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.runtimes.factories import marked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtimes.sandbox.machine import Facts


from tests.runtimes.processes.benches import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    _clear(made)


@pytest.fixture
async def private(facts: Facts) -> AsyncIterator[Bench]:
    """One whose programs are in sandboxes."""
    made = Bench("private")
    yield made
    _clear(made)


def _clear(made: Bench) -> None:
    for pid in marked(made.paths):
        # The first process of a sandbox takes the others with it.
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
    for host in made.hosts:
        host.close()
    shutil.rmtree(made.paths.run, ignore_errors=True)
    shutil.rmtree(made.home, ignore_errors=True)
