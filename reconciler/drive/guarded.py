"""A source that cannot take the node down with it: what nobody thought of becomes a problem of its own.

While it fails the services are those of its last good snapshot, and it is tried again and again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from manifests.model.snapshot import Problem
from reconciler.decide.internal_error import internal_error
from reconciler.drive.keep_going import keep_going

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.model.snapshot import Snapshot, Source


class Guarded:
    """Implements `manifests.model.snapshot.Source` by another one. `failed` hears of each."""

    def __init__(self, source: Source, failed: Callable[[Exception], object]) -> None:
        self.source = source
        self._failed = failed
        self._error: Problem | None = None
        self._last = source.snapshot
        self._shown: tuple[Snapshot, Problem, Snapshot] | None = None

    @property
    def name(self) -> str:
        return self._last.source

    @property
    def snapshot(self) -> Snapshot:
        """See `Source`; the very same while nothing is new."""
        try:
            self._last = self.source.snapshot
        except Exception as error:
            self._fail(error)
        if self._error is None:
            return self._last
        if self._shown is None or self._shown[:2] != (self._last, self._error):
            told = replace(self._last, problems=(*self._last.problems, self._error))
            self._shown = (self._last, self._error, told)
        return self._shown[2]

    async def scan(self) -> None:
        """See `Source`."""
        try:
            await self.source.scan()
        except Exception as error:
            self._fail(error)
        else:
            self._error = None

    async def watch(self, changed: Callable[[], None]) -> None:
        """See `Source`."""

        def failed(error: Exception) -> None:
            self._fail(error)
            changed()

        await keep_going(lambda: self.source.watch(changed), failed)

    def _fail(self, error: Exception) -> None:
        verdict = internal_error(error)
        before, hint = self._error, "its services stay as they were; it is tried again"
        self._error = Problem(verdict.message, self.name, hint=hint, reason=verdict.reason)
        if self._error != before:
            self._failed(error)
