"""Real nodes, real programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.members import Member
from tests.e2e.nodes import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[Member, Member]]:
    laptop, pi = Member("laptop"), Member("pi")
    try:
        yield laptop, pi
    finally:
        laptop.close()
        pi.close()
