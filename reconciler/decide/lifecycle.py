"""The life of an instance: every state × event answered in one table.

    STARTING ──pass──► READY ◄──pass── UNREADY
        │               │ └───fail────► ▲
        └──condemn──────┴──► FAILING    │        condemn: a liveness or startup probe gave up

    READY, UNREADY ──stop──► DRAINING ──drained──► STOPPING ──force──► KILLING
    STARTING, FAILING ──stop───────────────────► STOPPING             exit, from anywhere: EXITED
    DRAINING ──resume──► READY

DRAINING: it gets no new request, those in flight may finish, and nobody has asked it to end yet. So it may
serve again when it is wanted again after all.

The table is total: an event that means nothing in a state leads back to the same state, so that a late
or doubled event is harmless. What was asked to end never becomes ready again.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an instance is in its life."""

    STARTING = "Starting"
    READY = "Ready"
    UNREADY = "Unready"
    FAILING = "Failing"
    DRAINING = "Draining"
    STOPPING = "Stopping"
    KILLING = "Killing"
    EXITED = "Exited"


class Event(StrEnum):
    """What can happen to an instance."""

    PASS = "pass"  # a probe's verdict
    FAIL = "fail"
    CONDEMN = "condemn"
    STOP = "stop"
    RESUME = "resume"
    DRAINED = "drained"  # nothing is in flight any more, or it had its time
    FORCE = "force"
    EXIT = "exit"


_S, _E = State, Event

#: What a live instance is; everything else is on its way out or gone.
LIVE = frozenset({_S.STARTING, _S.READY, _S.UNREADY, _S.FAILING})
LEAVING = frozenset({_S.DRAINING, _S.STOPPING, _S.KILLING})
#: What a probe can say.
VERDICTS = frozenset({_E.PASS, _E.FAIL, _E.CONDEMN})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (_S.STARTING, _E.PASS): _S.READY,
    (_S.STARTING, _E.FAIL): _S.STARTING,
    (_S.STARTING, _E.CONDEMN): _S.FAILING,
    (_S.STARTING, _E.STOP): _S.STOPPING,
    (_S.STARTING, _E.RESUME): _S.STARTING,
    (_S.STARTING, _E.DRAINED): _S.STARTING,
    (_S.STARTING, _E.FORCE): _S.KILLING,
    (_S.STARTING, _E.EXIT): _S.EXITED,
    (_S.READY, _E.PASS): _S.READY,
    (_S.READY, _E.FAIL): _S.UNREADY,
    (_S.READY, _E.CONDEMN): _S.FAILING,
    (_S.READY, _E.STOP): _S.DRAINING,
    (_S.READY, _E.RESUME): _S.READY,
    (_S.READY, _E.DRAINED): _S.READY,
    (_S.READY, _E.FORCE): _S.KILLING,
    (_S.READY, _E.EXIT): _S.EXITED,
    (_S.UNREADY, _E.PASS): _S.READY,
    (_S.UNREADY, _E.FAIL): _S.UNREADY,
    (_S.UNREADY, _E.CONDEMN): _S.FAILING,
    (_S.UNREADY, _E.STOP): _S.DRAINING,
    (_S.UNREADY, _E.RESUME): _S.UNREADY,
    (_S.UNREADY, _E.DRAINED): _S.UNREADY,
    (_S.UNREADY, _E.FORCE): _S.KILLING,
    (_S.UNREADY, _E.EXIT): _S.EXITED,
    (_S.FAILING, _E.PASS): _S.FAILING,
    (_S.FAILING, _E.FAIL): _S.FAILING,
    (_S.FAILING, _E.CONDEMN): _S.FAILING,
    (_S.FAILING, _E.STOP): _S.STOPPING,
    (_S.FAILING, _E.RESUME): _S.FAILING,
    (_S.FAILING, _E.DRAINED): _S.FAILING,
    (_S.FAILING, _E.FORCE): _S.KILLING,
    (_S.FAILING, _E.EXIT): _S.EXITED,
    (_S.DRAINING, _E.PASS): _S.DRAINING,
    (_S.DRAINING, _E.FAIL): _S.DRAINING,
    (_S.DRAINING, _E.CONDEMN): _S.DRAINING,
    (_S.DRAINING, _E.STOP): _S.DRAINING,
    (_S.DRAINING, _E.RESUME): _S.READY,
    (_S.DRAINING, _E.DRAINED): _S.STOPPING,
    (_S.DRAINING, _E.FORCE): _S.KILLING,
    (_S.DRAINING, _E.EXIT): _S.EXITED,
    (_S.STOPPING, _E.PASS): _S.STOPPING,
    (_S.STOPPING, _E.FAIL): _S.STOPPING,
    (_S.STOPPING, _E.CONDEMN): _S.STOPPING,
    (_S.STOPPING, _E.STOP): _S.STOPPING,
    (_S.STOPPING, _E.RESUME): _S.STOPPING,
    (_S.STOPPING, _E.DRAINED): _S.STOPPING,
    (_S.STOPPING, _E.FORCE): _S.KILLING,
    (_S.STOPPING, _E.EXIT): _S.EXITED,
    (_S.KILLING, _E.PASS): _S.KILLING,
    (_S.KILLING, _E.FAIL): _S.KILLING,
    (_S.KILLING, _E.CONDEMN): _S.KILLING,
    (_S.KILLING, _E.STOP): _S.KILLING,
    (_S.KILLING, _E.RESUME): _S.KILLING,
    (_S.KILLING, _E.DRAINED): _S.KILLING,
    (_S.KILLING, _E.FORCE): _S.KILLING,
    (_S.KILLING, _E.EXIT): _S.EXITED,
    (_S.EXITED, _E.PASS): _S.EXITED,
    (_S.EXITED, _E.FAIL): _S.EXITED,
    (_S.EXITED, _E.CONDEMN): _S.EXITED,
    (_S.EXITED, _E.STOP): _S.EXITED,
    (_S.EXITED, _E.RESUME): _S.EXITED,
    (_S.EXITED, _E.DRAINED): _S.EXITED,
    (_S.EXITED, _E.FORCE): _S.EXITED,
    (_S.EXITED, _E.EXIT): _S.EXITED,
}
