"""What outlives a household: its files, its clocks, and what the router was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.people.devices import Client
from reconciler.people.household import Household
from reconciler.people.passwords import Passwords
from reconciler.people.store import PeopleFiles
from runtimes.router.decide.table import Session, session_id
from runtimes.router.port import NoRouter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.people.model import Person

#: What is asked for as a password, where it does not matter.
PASSWORD = "correct horse"
HERE = Client("", "Firefox on Linux")
LAN = Client("192.168.1.7", "Safari on iPhone")


class ToldRouter(NoRouter):
    """Remembers what it was told, as the real one does."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.private = False
        self.used: list[str] = []

    async def seen(self) -> list[str]:
        used, self.used = self.used, []
        return used

    def update_sessions(self, sessions: Mapping[str, Session | None]) -> None:
        for each, session in sessions.items():
            if session is None:
                self.sessions.pop(each, None)
            else:
                self.sessions[each] = session

    def set_private(self, private: bool) -> None:
        self.private = private


class Home:
    """A home in which one household lives after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wall = 1_800_000_000.0
        self.now = 1000.0
        (root / "state").mkdir()

    @property
    def folder(self) -> Path:
        return self.root / "state" / "people"

    def household(self) -> Household:
        """A node begins."""
        self.files = PeopleFiles(self.root)
        self.router = ToldRouter()
        # Argon2's least, so that a test costs a millisecond.
        passwords = Passwords(memory=8, passes=1)
        return Household(
            self.files, self.router, passwords=passwords, wall=lambda: self.wall, clock=lambda: self.now
        )

    def signed_in(self, cookie: str) -> Session | None:
        """Who the router takes that for."""
        return self.router.sessions.get(session_id(cookie))


async def two_people(household: Household) -> tuple[Person, Person]:
    """An owner and a member."""
    alice = await household.create("alice", PASSWORD, "admin")
    return alice, await household.create("bob", PASSWORD, "")
