"""The life of an instance: every state × event answered in one table.

    STARTING ──pass──► READY ◄──pass── UNREADY
        │               │ └───fail────► ▲
        └──condemn──────┴──► FAILING    │        condemn: a liveness or startup probe gave up
             stop ─────────────► STOPPING ──force──► KILLING        exit, from anywhere: EXITED

The table is total: an event that means nothing in a state leads back to the same state, so that a late
or doubled event is harmless. Leaving is final: what is being stopped never becomes ready again.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an instance is in its life."""

    STARTING = "Starting"
    READY = "Ready"
    UNREADY = "Unready"
    FAILING = "Failing"
    STOPPING = "Stopping"
    KILLING = "Killing"
    EXITED = "Exited"


class Event(StrEnum):
    """What can happen to an instance."""

    PASS = "pass"  # a probe's verdict
    FAIL = "fail"
    CONDEMN = "condemn"
    STOP = "stop"
    FORCE = "force"
    EXIT = "exit"


_S, _E = State, Event

#: What a live instance is; everything else is on its way out or gone.
LIVE = frozenset({_S.STARTING, _S.READY, _S.UNREADY, _S.FAILING})
LEAVING = frozenset({_S.STOPPING, _S.KILLING})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (_S.STARTING, _E.PASS): _S.READY,
    (_S.STARTING, _E.FAIL): _S.STARTING,
    (_S.STARTING, _E.CONDEMN): _S.FAILING,
    (_S.STARTING, _E.STOP): _S.STOPPING,
    (_S.STARTING, _E.FORCE): _S.KILLING,
    (_S.STARTING, _E.EXIT): _S.EXITED,
    (_S.READY, _E.PASS): _S.READY,
    (_S.READY, _E.FAIL): _S.UNREADY,
    (_S.READY, _E.CONDEMN): _S.FAILING,
    (_S.READY, _E.STOP): _S.STOPPING,
    (_S.READY, _E.FORCE): _S.KILLING,
    (_S.READY, _E.EXIT): _S.EXITED,
    (_S.UNREADY, _E.PASS): _S.READY,
    (_S.UNREADY, _E.FAIL): _S.UNREADY,
    (_S.UNREADY, _E.CONDEMN): _S.FAILING,
    (_S.UNREADY, _E.STOP): _S.STOPPING,
    (_S.UNREADY, _E.FORCE): _S.KILLING,
    (_S.UNREADY, _E.EXIT): _S.EXITED,
    (_S.FAILING, _E.PASS): _S.FAILING,
    (_S.FAILING, _E.FAIL): _S.FAILING,
    (_S.FAILING, _E.CONDEMN): _S.FAILING,
    (_S.FAILING, _E.STOP): _S.STOPPING,
    (_S.FAILING, _E.FORCE): _S.KILLING,
    (_S.FAILING, _E.EXIT): _S.EXITED,
    (_S.STOPPING, _E.PASS): _S.STOPPING,
    (_S.STOPPING, _E.FAIL): _S.STOPPING,
    (_S.STOPPING, _E.CONDEMN): _S.STOPPING,
    (_S.STOPPING, _E.STOP): _S.STOPPING,
    (_S.STOPPING, _E.FORCE): _S.KILLING,
    (_S.STOPPING, _E.EXIT): _S.EXITED,
    (_S.KILLING, _E.PASS): _S.KILLING,
    (_S.KILLING, _E.FAIL): _S.KILLING,
    (_S.KILLING, _E.CONDEMN): _S.KILLING,
    (_S.KILLING, _E.STOP): _S.KILLING,
    (_S.KILLING, _E.FORCE): _S.KILLING,
    (_S.KILLING, _E.EXIT): _S.EXITED,
    (_S.EXITED, _E.PASS): _S.EXITED,
    (_S.EXITED, _E.FAIL): _S.EXITED,
    (_S.EXITED, _E.CONDEMN): _S.EXITED,
    (_S.EXITED, _E.STOP): _S.EXITED,
    (_S.EXITED, _E.FORCE): _S.EXITED,
    (_S.EXITED, _E.EXIT): _S.EXITED,
}
