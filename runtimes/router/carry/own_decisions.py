"""What was decided for one client alone, by the table of the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision


class OwnDecisions:
    """Beside those of the plane; forgotten whenever these are."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._of = plane.decisions
        self._decisions: dict[bytes, Decision] = {}

    @property
    def decisions(self) -> dict[bytes, Decision]:
        if self._of is not self._plane.decisions:
            self._of, self._decisions = self._plane.decisions, {}
        return self._decisions
