"""Step 7: is there anything that a start has to wait for? Here a crashed service waits.

For the end of its back-off, whose length `backoff` decides; for what it depends on, before its first start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.conditions import Verdict
from reconciler.decide.draft import Hold

if TYPE_CHECKING:
    from reconciler.decide.history import History
    from reconciler.decide.replicas import Replicas
    from reconciler.decide.world import World


def find_hold(world: World, replicas: Replicas, history: History) -> Hold | None:
    """Why nothing may start yet; None when it may."""
    crashed = history.crashed == replicas.target.service.revision
    if crashed:
        return _backs_off(world, history) if world.now < history.not_before else None
    if world.waiting_for and not replicas.others:
        return Hold(Verdict("DependencyNotReady", "waits for " + ", ".join(world.waiting_for)))
    return None


def _backs_off(world: World, history: History) -> Hold:
    """Named after the crash where more is known of it than that it happened."""
    again = history.crashes > 1 or bool(history.last_reason)
    reason = history.last_reason or ("CrashLoopBackOff" if again else "Restarting")
    crashes = history.describe_crashes().removeprefix(f"{reason}: ")
    verdict = Verdict(reason, f"{crashes}; `atek logs {world.id}` shows its output")
    return Hold(verdict, until=history.not_before, failing=again)
