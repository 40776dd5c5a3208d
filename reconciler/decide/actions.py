"""What the planner can ask for. Values only; `effects` carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifests.model.service import Service


@dataclass(frozen=True, slots=True)
class Prepare:
    """Fetch, build and validate a revision in the background."""

    service: Service


@dataclass(frozen=True, slots=True)
class CancelPrepare:
    """Nobody wants this revision any more."""

    revision: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start one instance of a prepared revision."""

    service: Service
    slot: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Let an instance drain and ask it to end, or with `force` end it. `reason` is for the event.

    `crash`: the instance is broken, so its end counts as a crash.
    """

    instance: str
    reason: str
    force: bool = False
    crash: bool = False


@dataclass(frozen=True, slots=True)
class EndDrain:
    """The requests that are still in flight to an instance had their time: ask it to end now."""

    instance: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """An instance that drains is wanted again: it gets requests as before."""

    instance: str


@dataclass(frozen=True, slots=True)
class Look:
    """Find out what the service has kept by now, before `service` takes over from `running`."""

    service: Service
    running: Service


Action = Prepare | CancelPrepare | Start | Stop | EndDrain | Resume | Look
