"""Tests that need a sandbox get one: where this machine has none, CI fails and a person is told why."""

from __future__ import annotations

import os

import pytest

from runtimes.sandbox.machine import Facts, Machine


@pytest.fixture(scope="session")
def facts() -> Facts:
    found = Machine().facts()
    trouble = found.private or found.strict
    if trouble is not None:
        if os.environ.get("ATEK_TEST_SANDBOX") == "required":
            pytest.fail(f"no sandboxes here: {trouble}")
        pytest.skip(f"no sandboxes here: {trouble}")
    return found
