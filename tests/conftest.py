"""What all tests share."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Control code runs on asyncio in production; tests/sim runs it on trio's virtual clock."""
    return "asyncio"
