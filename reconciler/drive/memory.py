"""What of the controllers outlives the node: restored at its start, and saved when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.history import History
from reconciler.state.store import Remembered, Saver

if TYPE_CHECKING:
    from reconciler.decide.controller import Controller
    from reconciler.drive.controllers import Controllers
    from reconciler.drive.events import EventLog
    from reconciler.state.store import Store


class Memory:
    """The store's half of each controller."""

    def __init__(self, store: Store, controllers: Controllers, events: EventLog) -> None:
        self.saver = Saver(store, self._recall)
        self._store = store
        self._controllers = controllers
        self._events = events

    def restore(self) -> None:
        """Every controller as the last life of the node left it."""
        memories, problems = self._store.load()
        for problem in problems:
            self._events.emit("", "StateDamaged", problem, warning=True)
        for service_id, memory in memories.items():
            controller = self._controllers.obtain(service_id)
            controller.suspended = memory.suspended
            controller.generation = memory.generation
            controller.history = History(
                healthy=memory.healthy, back=memory.back, rejected=memory.rejected, keeps=memory.keeps,
                completed=memory.completed,
            )  # fmt: skip
            controller.saved = _from_effects(controller.history)

    def decided(self, controller: Controller, before: History) -> None:
        """A decision wants something else remembered than before."""
        if _lasting(before) != _lasting(controller.history):
            self.saver.save_soon(controller.id)

    def happened(self, controller: Controller) -> None:
        """Effects have changed the history; what is done must not be done again, so this is urgent."""
        if (done := _from_effects(controller.history)) != controller.saved:
            controller.saved = done
            self.saver.save_soon(controller.id, urgent=True)

    def _recall(self, service_id: str) -> Remembered | None:
        controller = self._controllers.get(service_id)
        if controller is None:
            return None
        history = controller.history
        return Remembered(
            suspended=controller.suspended,
            generation=controller.generation,
            healthy=history.healthy,
            back=history.back,
            rejected=history.rejected,
            keeps=history.keeps,
            completed=history.completed,
        )


def _lasting(history: History) -> tuple[object, ...]:
    """What of a history is kept on disk, compared by identity because values are never changed in place."""
    return (
        id(history.healthy), history.back, id(history.rejected), id(history.completed), id(history.keeps),
    )  # fmt: skip


def _from_effects(history: History) -> tuple[object, ...]:
    return id(history.completed), id(history.keeps)
