"""The command line on a home of its own, and two nodes that it can be asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reconciler.cli.atek import Atek
from tests.reconciler.fake_nodes import running_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.reconciler.fake_nodes import Pair


@pytest.fixture
def atek(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Atek:
    return Atek(tmp_path / "home", capsys)


@pytest.fixture
def pair(atek: Atek) -> Iterator[Pair]:
    """Nothing is written yet but, at version 2, who they are."""
    with running_pair(atek.home) as pair:
        yield pair


@pytest.fixture
def followed(pair: Pair) -> Pair:
    """The same, and the laptop follows the pi."""
    pair.follow_pi()
    return pair
