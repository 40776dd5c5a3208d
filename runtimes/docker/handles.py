"""The containers that this life of a node started or adopted, and what the engine said of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from runtimes.base import Exit
from runtimes.processes.termination_message import WINDOW, choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runtimes.base import Running

# A shell's and Docker's way to tell in a status which signal ended a program.
_SIGNALLED, _LAST_SIGNAL = 128, 64


@dataclass(eq=False, slots=True)
class Handle:
    """One container. `networks` are those it is on; `health`: what its HEALTHCHECK says, if any.

    `since`: when this run of it began, by the engine's clock; None until that is known of one that ran
    before.
    """

    instance: str
    container: str
    running: Running | None = None
    signal: str = "SIGTERM"
    networks: tuple[str, ...] = ()
    health: str = ""
    code: int | None = None
    out_of_memory: bool = False
    since: float | None = 0.0
    #: Its secrets, where this life of the node started it: they are left out of what it said last.
    hidden: frozenset[str] = frozenset()
    early: list[tuple[float, int]] = field(default_factory=list)
    said: bytes = b""
    died: anyio.Event = field(default_factory=anyio.Event)
    logged: anyio.Event = field(default_factory=anyio.Event)

    def end(self, code: int | None) -> None:
        """Its program has ended, or it is gone."""
        if not self.died.is_set():
            self.code = code
            self.died.set()

    def begin(self, since: float) -> None:
        """It is known which of its ends, announced meanwhile, are of an earlier run."""
        self.since, early, self.early = since, self.early, []
        for at, code in early:
            self.hear_end(at, code)

    def hear_end(self, at: float, code: int) -> None:
        """The engine says that it ended at that moment."""
        if self.since is None:
            self.early.append((at, code))
        elif at >= self.since:
            self.end(code)

    def hear_output(self, data: bytes) -> None:
        """What it printed; the end of it is remembered."""
        self.said = (self.said + data)[-WINDOW:]

    def termination_message(self) -> str:
        """What it said last, in one line, without its tokens."""
        tokens = {self.running.token, self.running.router_token} if self.running else set()
        return choose(self.said.decode("utf-8", "replace"), {*tokens, *self.hidden})

    def exit(self) -> Exit:
        """How it ended."""
        why = "OOMKilled" if self.out_of_memory else ""
        if self.code is not None and _SIGNALLED < self.code <= _SIGNALLED + _LAST_SIGNAL:
            return Exit(signal=self.code - _SIGNALLED, why=why)
        return Exit(code=self.code, why=why)


class Handles:
    """By instance, and by the engine's id."""

    def __init__(self) -> None:
        self._by_instance: dict[str, Handle] = {}
        self._by_container: dict[str, Handle] = {}

    def __iter__(self) -> Iterator[Handle]:
        return iter(list(self._by_instance.values()))

    def add(self, handle: Handle) -> None:
        self._by_instance[handle.instance] = handle
        self._by_container[handle.container] = handle

    def remove(self, handle: Handle) -> None:
        self._by_instance.pop(handle.instance, None)
        self._by_container.pop(handle.container, None)

    def get(self, instance: str) -> Handle | None:
        return self._by_instance.get(instance)

    def of_container(self, container: str) -> Handle | None:
        return self._by_container.get(container)

    def hear(self, event: Mapping[str, Any]) -> str:
        """Takes in what the engine announced; returns the action when it was about one of these, else ""."""
        actor = event.get("Actor") or {}
        handle = self.of_container(actor.get("ID", ""))
        if handle is None:
            return ""
        action = str(event.get("Action", ""))
        if action == "die":
            handle.hear_end(_moment(event), int(actor.get("Attributes", {}).get("exitCode", 0)))
        elif action == "destroy":
            handle.end(None)
        elif action == "oom" and handle.since is not None and _moment(event) >= handle.since:
            handle.out_of_memory = True
        elif action.startswith("health_status"):
            handle.health = action.partition(":")[2].strip()
        return action


def _moment(event: Mapping[str, Any]) -> float:
    """Seconds since 1970, by the engine's clock."""
    return int(event.get("timeNano") or 0) / 1e9 or float(event.get("time") or 0)
