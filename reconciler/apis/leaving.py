"""What becomes of the services of somebody who is removed: they are stopped, and kept.

They stay nobody's: only owners see and touch them, who may start one again (it goes on with the key that it
had, which is no person's any more) or uninstall it; its data folder stays where it is. First the person is
gone, then their services are stopped, and that this is done is written down last: where a node ends in
between, its next life stops the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from reconciler.errors import UserError

if TYPE_CHECKING:
    from reconciler.apis.port import ApiNode
    from reconciler.people.port import People
    from reconciler.state.installed import InstalledServices


#: Seconds until sources that are not read yet are looked at again.
AGAIN = 1.0


class Leaving:
    """People who leave a node."""

    def __init__(self, node: ApiNode, people: People, installed: InstalledServices) -> None:
        self._node = node
        self._people = people
        self._installed = installed

    async def settle(self, key: str) -> list[str]:
        """Stops what was theirs; the ids of it. Raises OSError: the node's next life tries it again."""
        theirs = [each for each in sorted(self._node.declared()) if self._installed.owner(each) == key]
        for service_id in theirs:
            try:
                await self._node.stop_service(service_id)
            except UserError:
                # It is gone, or about to be.
                continue
        await self._people.settle(key)
        return theirs

    async def settle_all(self) -> None:
        """What an earlier life of the node left undone, once it is known what there is. Raises OSError."""
        if all(each.settled for each in self._people.everybody.removed.values()):
            return
        await self._sources_read()
        for key, removed in list(self._people.everybody.removed.items()):
            if not removed.settled:
                await self.settle(key)

    async def _sources_read(self) -> None:
        with self._node.events.subscribe() as events:
            while "" in self._node.unready():
                with anyio.move_on_after(AGAIN):
                    await anext(events)
