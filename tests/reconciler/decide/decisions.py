"""One world and what is decided in it, in few words; for tests of the planner case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.decide.actions import CancelPrepare, EndDrain, Look, Prepare, Resume, Start, Stop
from reconciler.decide.history import History, Keeps
from reconciler.decide.lifecycle import State
from reconciler.decide.plan import plan
from reconciler.decide.world import Decision, Instance, World
from tests.reconciler.decide.worlds import service

A, B = service("a"), service("b")


def instance(
    identity: str, of: Any, state: State = State.READY, slot: int = 0, since: float = 0.0
) -> Instance:
    ready_since = since if state in (State.READY, State.UNREADY, State.DRAINING) else None
    return Instance(identity, of, slot, state, since, ready_since)


def decide(
    desired: Any,
    *instances: Instance,
    history: History | None = None,
    keeps: str | None = "",
    **world: Any,
) -> Decision:
    """`keeps` is what is found when the planner wants it looked for; with None nobody does."""
    world = {"now": 100.0, **world}
    decision = plan(
        World(id="app", service=desired, instances=instances, history=history or History(), **world)
    )
    looks = [action for action in decision.actions if isinstance(action, Look)]
    if keeps is None or not looks:
        return decision
    found = replace(history or History(), keeps=Keeps(looks[0].service.revision, keeps))
    return decide(desired, *instances, history=found, keeps=None, **world)


def summary(decision: Decision) -> list[str]:
    """`start b/0`, `stop i1 Replaced`, `kill i1`, `prepare b`: an action in a few words."""
    words = []
    for action in decision.actions:
        match action:
            case Start(of, slot):
                words.append(f"start {of.manifest.command[1]}/{slot}" if of.manifest.command else "start")
            case Stop(identity, reason, force, crash):
                words.append(f"kill {identity}" if force else f"stop {identity} {reason}{' crash' * crash}")
            case EndDrain(identity, reason):
                words.append(f"end drain {identity} {reason}")
            case Prepare(of):
                words.append(f"prepare {of.manifest.command[1] if of.manifest.command else ''}")
            case CancelPrepare():
                words.append("cancel")
            case Look(of, running):
                words.append(f"look at {running.manifest.command[1] if running.manifest.command else ''}")
            case Resume(identity):
                words.append(f"resume {identity}")
    return words


def ready(decision: Decision) -> tuple[str, str]:
    return decision.conditions[0].status, decision.conditions[0].reason
