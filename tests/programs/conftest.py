"""A node for each program, and a table of what became of all of them at the end of the run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.programs.table import Row, table
from tests.programs.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

PROPERTY = "program"
HERE = Path(__file__).parent
#: Seconds. Packages come from their registries, and other tests run beside; the large ones are built, too.
PATIENCE, LONG_PATIENCE = 600, 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            long = item.get_closest_marker("programs") is not None
            item.add_marker(pytest.mark.timeout(LONG_PATIENCE if long else PATIENCE))


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    """Named like the test until the test says better."""
    made, begin = Trial(request.node.name.removeprefix("test_")), time.monotonic()
    try:
        yield made
    finally:
        row = Row(
            program=made.name,
            version=made.version,
            steps=made.steps,
            failure=made.failure,
            seconds=time.monotonic() - begin,
        )
        request.node.user_properties.append((PROPERTY, json.dumps(row)))
        made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: list[Row] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            # A test's properties are told with each of its phases; the last one knows them all.
            if getattr(report, "when", None) == "teardown":
                rows += [json.loads(value) for name, value in report.user_properties if name == PROPERTY]
    if rows:
        terminalreporter.section("programs")
        terminalreporter.write_line(table(rows))
