"""The people of a home as the rest of the node sees them; `household` is the real one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from reconciler.errors import UserError
from reconciler.people.model import Everybody

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.people.devices import Client
    from reconciler.people.model import Person, SignedIn


#: In a home: where everything about people is; it is made with the first one.
FOLDER = "state/people"
#: Stops what was a person's, by their key; the ids of it.
Leaving = Callable[[str], Awaitable[list[str]]]


class People(Protocol):
    """Who there is, and who is signed in where. What changes something is on disk, and in force, on return.

    Everything async raises UserError for what cannot be, and OSError where the disk takes nothing.
    """

    #: What becomes of the services of somebody who is removed.
    leaving: Leaving | None

    @property
    def everybody(self) -> Everybody: ...

    @property
    def wanted(self) -> bool:
        """Whether there is nobody, and there may be: then a first person is offered."""
        ...

    @property
    def private(self) -> bool:
        """Whether there are people, so that the home is for those who are signed in."""
        ...

    async def run(self, node: object) -> None:
        """Lets sessions end in time, until cancelled."""
        ...

    def named(self, username: str) -> Person | None: ...

    async def create(self, username: str, password: str, role: str) -> Person: ...

    async def update(
        self,
        key: str,
        *,
        username: str | None = None,
        password: str | None = None,
        role: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Person:
        """None leaves what it is. With another password, all of the person's sessions end."""
        ...

    async def remove(self, key: str) -> list[str]:
        """With all sessions. The ids of what the person owned: it is nobody's now, and stopped."""
        ...

    async def settle(self, key: str) -> None:
        """What a removed person owned is stopped."""
        ...

    # -- sessions

    async def login(self, username: str, password: str, client: Client) -> tuple[Person, str]:
        """Who that is, and the cookie's value. Both mistakes say the same after the same time."""
        ...

    async def begin(self, key: str, client: Client) -> str:
        """A new session of somebody who proved in another way who they are; the cookie's value."""
        ...

    def sessions(self, key: str) -> Mapping[str, SignedIn]:
        """Somebody's sessions by their ids."""
        ...

    def session(self, session_id: str) -> tuple[Person, SignedIn] | None:
        """Who is signed in by that; None where it is over."""
        ...

    async def end(self, session_ids: Sequence[str]) -> None:
        """Signs out, at every host. What is over already stays so."""
        ...

    # -- the first one

    def offer(self) -> str:
        """A code that makes the first person once; "" where there is somebody already."""
        ...

    def is_offered(self, code: str) -> bool:
        """Whether that code would do."""
        ...

    async def first(self, code: str, username: str, password: str) -> Person:
        """Makes the first person, an owner."""
        ...


class NoPeople:
    """For a node that has nobody, and will have nobody."""

    everybody = Everybody()
    private = False
    wanted = False
    leaving: Leaving | None = None

    async def run(self, node: object) -> None:
        """Nothing to do."""

    def named(self, username: str) -> Person | None:
        return None

    async def create(self, username: str, password: str, role: str) -> Person:
        _nobody()

    async def update(
        self,
        key: str,
        *,
        username: str | None = None,
        password: str | None = None,
        role: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Person:
        _nobody()

    async def remove(self, key: str) -> list[str]:
        _nobody()

    async def settle(self, key: str) -> None:
        _nobody()

    async def login(self, username: str, password: str, client: Client) -> tuple[Person, str]:
        _nobody()

    async def begin(self, key: str, client: Client) -> str:
        _nobody()

    def sessions(self, key: str) -> Mapping[str, SignedIn]:
        return {}

    def session(self, session_id: str) -> tuple[Person, SignedIn] | None:
        return None

    async def end(self, session_ids: Sequence[str]) -> None:
        """Nobody is signed in."""

    def offer(self) -> str:
        return ""

    def is_offered(self, code: str) -> bool:
        return False

    async def first(self, code: str, username: str, password: str) -> Person:
        _nobody()


def _nobody() -> NoReturn:
    raise UserError("this node has no people")
