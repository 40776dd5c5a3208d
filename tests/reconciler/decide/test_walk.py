"""The way of one `World` to its `Decision` leads through each step's module once, in the order of `plan`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings

from reconciler.decide.plan import plan
from tests.reconciler.decide.worlds import worlds

if TYPE_CHECKING:
    from types import FrameType

    from reconciler.decide.world import World

ROOM = "reconciler.decide."
#: In the order in which `plan` asks them.
STEPS = (
    "plan", "termination", "candidates", "progress", "preparations",
    "replicas", "strategy", "waiting", "rollout", "outcome",
)  # fmt: skip
#: What the steps are given, and can be asked anywhere.
VALUES = {"world", "draft", "history", "conditions", "lifecycle", "actions"}


def walk(world: World) -> list[str]:
    """The modules of `decide` in which a function is called, one after another, without the values."""
    stays: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        room, _, module = str(frame.f_globals.get("__name__")).rpartition(".")
        if event != "call" or f"{room}." != ROOM or module in VALUES:
            return
        if stays[-1:] != [module]:
            stays.append(module)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        plan(world)
    finally:
        sys.setprofile(before)
    return stays


@given(worlds())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_step_is_come_back_to(world: World) -> None:
    stays = walk(world)
    assert stays == [step for step in STEPS if step in stays]
