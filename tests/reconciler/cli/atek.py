"""Runs `atek` in this process, against a fake node on a real control socket in another thread."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal

from reconciler.cli import main
from tests.reconciler.fakes import FakeNode, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    out: str
    err: str


class Atek:
    """`atek --home HOME`, with what it printed."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capsys = capsys

    def __call__(self, *words: str) -> Result:
        self._capsys.readouterr()
        try:
            status = main([words[0], "--home", str(self.home), *words[1:]])
        except SystemExit as exit_:
            assert isinstance(exit_.code, int)
            status = exit_.code
        captured = self._capsys.readouterr()
        return Result(status, captured.out, captured.err)


@contextmanager
def running_node(home: Path, node: FakeNode) -> Iterator[FakeNode]:
    """Serves `node` on the home until the context ends."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(node, home)):
        yield node
