"""What tests of programs have in common."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.runtimes.factories import marked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


from tests.runtimes.processes.benches import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    for pid in marked(made.paths):
        os.kill(pid, 9)
    for host in made.hosts:
        host.close()
    shutil.rmtree(made.paths.run, ignore_errors=True)
    shutil.rmtree(made.home, ignore_errors=True)
