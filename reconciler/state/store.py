"""What the node remembers about a service across its own restarts: `state/services/<id>.json`.

A small file for each: a person's stop, the count of restarts asked for, the revision that was healthy
last, the one that was rejected, and the programs that completed. Everything else is found again.

Convergence never waits for the disk: `Saver` writes behind. Only what a person asked for is saved before it
is acknowledged (`save_now`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.to_thread

from manifests.files import read_json, write_atomically
from manifests.model.service import Service
from reconciler.decide.conditions import Verdict
from reconciler.decide.history import Completed, Keeps, Rejected
from reconciler.decide.internal_error import internal_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Seconds until a failed write (a full disk) is tried again.
SAVE_AGAIN = 5.0
#: Seconds that a change may wait for others; a whole boot then writes after its programs run, not between.
GATHER = 0.5


@dataclass(frozen=True, slots=True)
class Remembered:
    """One service's memory; the default is that of a service never seen."""

    suspended: bool = False
    generation: int = 0
    healthy: Service | None = None
    back: bool = True
    rejected: Rejected | None = None
    keeps: Keeps | None = None
    completed: Mapping[int, Completed] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        rejected, keeps = self.rejected, self.keeps
        return {
            "suspended": self.suspended,
            "generation": self.generation,
            "healthy": self.healthy and self.healthy.to_json(),
            "rejected": rejected and [rejected.revision, rejected.verdict.reason, rejected.verdict.message],
            **({} if self.back else {"back": False}),
            "keeps": keeps and [keeps.revision, keeps.what],
            "completed": {
                str(slot): [done.revision, done.success, done.message]
                for slot, done in self.completed.items()
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Remembered:
        """Raises ValueError, KeyError, TypeError or AttributeError for what `to_json` did not make."""
        rejected, keeps = value["rejected"], value.get("keeps")
        return cls(
            suspended=bool(value["suspended"]),
            generation=int(value["generation"]),
            healthy=Service.from_json(value["healthy"]) if value["healthy"] else None,
            rejected=Rejected(rejected[0], Verdict(rejected[1], rejected[2])) if rejected else None,
            back=bool(value.get("back", True)),
            keeps=Keeps(*keeps) if keeps else None,
            completed={int(slot): Completed(*done) for slot, done in value["completed"].items()},
        )


class Store(Protocol):
    """Where memories are kept."""

    def load(self) -> tuple[dict[str, Remembered], list[str]]:
        """All memories by service id, and a sentence for each that could not be read."""
        ...

    async def save(self, service_id: str, memory: Remembered | None) -> None:
        """Keeps a memory, or with None forgets it. Raises OSError; then the old one is still whole."""
        ...


class FileStore:
    """A folder with `<id>.json` files, written atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> tuple[dict[str, Remembered], list[str]]:
        memories: dict[str, Remembered] = {}
        problems: list[str] = []
        for file in sorted(self._folder.glob("*.json")):
            try:
                value = read_json(file)
                if value is not None:
                    memories[file.name.removesuffix(".json")] = Remembered.from_json(value)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                problems.append(f"{file} is damaged and was ignored; the service counts as never seen")
        return memories, problems

    async def save(self, service_id: str, memory: Remembered | None) -> None:
        import orjson

        file = self._folder / f"{service_id}.json"
        if memory is None:
            file.unlink(missing_ok=True)
            return
        data = orjson.dumps(memory.to_json())
        await anyio.to_thread.run_sync(write_atomically, file, data)


class MemoryStore:
    """The same over a dict that outlives a node, for nodes of fakes."""

    def __init__(self) -> None:
        self.memories: dict[str, dict[str, Any]] = {}

    def load(self) -> tuple[dict[str, Remembered], list[str]]:
        return {key: Remembered.from_json(value) for key, value in self.memories.items()}, []

    async def save(self, service_id: str, memory: Remembered | None) -> None:
        if memory is None:
            self.memories.pop(service_id, None)
        else:
            self.memories[service_id] = memory.to_json()


class Saver:
    """Writes memories behind the loop's back, one at a time, the newest state of each.

    `recall` gives the memory to write for an id, None to forget it.
    """

    def __init__(self, store: Store, recall: Callable[[str], Remembered | None]) -> None:
        self._store = store
        self._recall = recall
        self._dirty: dict[str, None] = {}
        self._wake = anyio.Event()
        self._hurry = anyio.Event()
        # Two writers of one file could otherwise finish in the wrong order.
        self._writing = anyio.Lock()
        self.failure = ""

    def save_soon(self, service_id: str, *, urgent: bool = False) -> None:
        """Writes within half a second; `urgent` at once, for what must not happen twice."""
        self._dirty[service_id] = None
        if urgent:
            self._hurry.set()
        self._wake.set()

    async def save_now(self, service_id: str) -> None:
        """Returns once it is on disk. Raises OSError."""
        async with self._writing:
            self._dirty.pop(service_id, None)
            await self._store.save(service_id, self._recall(service_id))

    async def save_if_due(self, service_id: str) -> None:
        """Returns once nothing of it is on its way to the disk. Raises OSError."""
        async with self._writing:
            due = service_id in self._dirty
        if due:
            await self.save_now(service_id)

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            await self._wake.wait()
            with anyio.move_on_after(GATHER):
                await self._hurry.wait()
            self._wake, self._hurry = anyio.Event(), anyio.Event()
            if not await self.flush():
                await anyio.sleep(SAVE_AGAIN)
                self._wake.set()

    async def flush(self) -> bool:
        """Writes all that is due; False, with `failure` set, when something could not be written."""
        self.failure = ""
        for service_id in list(self._dirty):
            try:
                await self.save_now(service_id)
            except OSError as error:
                self._dirty[service_id] = None
                self.failure = f"cannot save state: {error.strerror or error}"
            except Exception as error:
                # Nothing will make this one better; the others are kept.
                self.failure = f"cannot save the state of {service_id}: {internal_error(error).message}"
        return not self.failure
