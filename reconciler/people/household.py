"""People and sessions of one home: changed one after the other, kept, and told to the router.

What gives a right is on disk before it is given; a right that is taken away is gone at once, whatever the
disk does. Answers wait until the router knows (`told`), so nobody is refused with a cookie that they just
got, nor let in with one that just ended.
"""

from __future__ import annotations

import secrets
import time
from math import ceil
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from reconciler.errors import UserError
from reconciler.people import decide
from reconciler.people.model import OWNER, Person, SignedIn
from reconciler.people.passwords import Passwords
from reconciler.people.setup import SetupCode
from reconciler.people.throttle import Throttle, is_local
from runtimes.router.decide.table import session_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.people.devices import Client
    from reconciler.people.model import Everybody
    from reconciler.people.port import Leaving
    from reconciler.people.store import PeopleFiles
    from runtimes.router.decide.table import Session
    from runtimes.router.port import Router

INCORRECT = "Username or password was incorrect"
#: Seconds between two looks at which sessions are over.
SWEEP = 600.0


class Household:
    """Implements `port.People`. Sessions have `wall` as their time, guesses and codes `clock` (monotonic).

    `wanted`: whether a first person is offered while there is nobody.
    """

    def __init__(
        self,
        files: PeopleFiles,
        router: Router,
        *,
        wanted: bool = True,
        passwords: Passwords | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.throttle = Throttle()
        self.leaving: Leaving | None = None
        self._wanted = wanted
        self._files = files
        self._router = router
        self._passwords = passwords or Passwords()
        self._wall, self._clock = wall, clock
        self._code = SetupCode()
        self._lock = anyio.Lock()
        self._sessions = decide.lasting(files.sessions, files.everybody.people.keys(), wall())
        # Before the router answers anybody.
        router.set_private(self.private)
        router.update_sessions({each: self._told(each) for each in self._sessions})

    # -- people

    @property
    def everybody(self) -> Everybody:
        return self._files.everybody

    @property
    def wanted(self) -> bool:
        return self._wanted and not self.private

    @property
    def private(self) -> bool:
        return bool(self.everybody.people) or self._files.unreadable

    def named(self, username: str) -> Person | None:
        return decide.named(self.everybody, username)

    async def create(self, username: str, password: str, role: str) -> Person:
        decide.checked_name(username)
        decide.checked_role(role)
        hashed = await self._passwords.hash(decide.checked_password(password))
        async with self._lock:
            return await self._add(username, hashed, role)

    async def update(
        self,
        key: str,
        *,
        username: str | None = None,
        password: str | None = None,
        role: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Person:
        decide.updated(self.everybody, key, username=username, role=role)
        hashed = None
        if password is not None:
            hashed = await self._passwords.hash(decide.checked_password(password))
        async with self._lock:
            changed = decide.updated(
                self.everybody, key, username=username, role=role, password=hashed, settings=settings
            )
            await self._write_everybody(changed)
            if password is not None:
                # Whoever knew the old one may be signed in by it.
                await self._end(self.sessions(key))
            self._router.update_sessions({each: self._told(each) for each in self.sessions(key)})
        await self._router.told()
        return self.everybody.people[key]

    async def remove(self, key: str) -> list[str]:
        async with self._lock:
            await self._write_everybody(decide.removed(self.everybody, key))
            theirs = self._of(key)
            self._router.update_sessions(dict.fromkeys(theirs))
            self._sessions = {each: other for each, other in self._sessions.items() if each not in theirs}
            # What is left of them on disk is nobody's, and counts for nothing.
            await self._write_sessions(must=False)
        await self._router.told()
        return await self.leaving(key) if self.leaving else []

    async def settle(self, key: str) -> None:
        async with self._lock:
            await self._write_everybody(decide.settled(self.everybody, key))

    # -- sessions

    async def login(self, username: str, password: str, client: Client) -> tuple[Person, str]:
        name, now = decide.folded(username)[: decide.LONGEST_NAME], self._clock()
        if (wait := self.throttle.wait(name, client.address, now)) > 0:
            raise UserError("Too many attempts", hint=f"try again in {ceil(wait)} s")
        self.throttle.failed(name, client.address, now)
        person = self.named(username)
        hashed, local = person.password if person else "", is_local(client.address)
        if not await self._passwords.matches(hashed, password, local=local):
            raise UserError(INCORRECT)
        assert person is not None
        self.throttle.succeeded(name, client.address, self._clock())
        if self._passwords.is_dated(hashed):
            hashed = await self._hash_anew(person, password)
        token = await self._begin(person.key, client, unless=lambda now: now.password != hashed)
        return self.everybody.people[person.key], token

    async def begin(self, key: str, client: Client) -> str:
        return await self._begin(key, client)

    def sessions(self, key: str) -> Mapping[str, SignedIn]:
        return {each: self._sessions[each] for each in self._of(key)}

    def session(self, session_id: str) -> tuple[Person, SignedIn] | None:
        found = self._sessions.get(session_id)
        person = self.everybody.people.get(found.person) if found else None
        return (person, found) if found and person else None

    async def end(self, session_ids: Sequence[str]) -> None:
        async with self._lock:
            await self._end(session_ids)
        await self._router.told()

    async def run(self, node: object) -> None:
        while True:
            await anyio.sleep(SWEEP)
            await self.sweep()

    async def sweep(self) -> None:
        """Notes which sessions were used, and ends those whose time is over."""
        seen, now = await self._router.seen(), self._wall()
        async with self._lock:
            noted = decide.noted(self._sessions, seen, now)
            if noted != self._sessions:
                self._sessions = noted
                # Too old a file ends a session that nobody used for weeks, at the worst.
                await self._write_sessions(must=False)
            left = decide.lasting(self._sessions, self.everybody.people.keys(), self._wall())
            await self._end(self._sessions.keys() - left.keys())

    # -- the first one

    def offer(self) -> str:
        return "" if self.private else self._code.make(self._clock())

    def is_offered(self, code: str) -> bool:
        return not self.private and self._code.is_good(code, self._clock())

    async def first(self, code: str, username: str, password: str) -> Person:
        self._require_offered(code)
        decide.checked_name(username)
        hashed = await self._passwords.hash(decide.checked_password(password))
        async with self._lock:
            # Somebody may have been quicker.
            self._require_offered(code)
            return await self._add(username, hashed, OWNER)

    # -- inside

    def _require_offered(self, code: str) -> None:
        if not self.is_offered(code):
            raise UserError(
                "This link was used already, or is too old",
                hint="`atek user add NAME` on the node's machine makes the first person too",
            )

    async def _add(self, username: str, hashed: str, role: str) -> Person:
        key = secrets.token_hex(16)
        person = Person(key=key, username=username, role=role, password=hashed, created=self._wall())
        await self._write_everybody(decide.added(self.everybody, person))
        self._code.forget()
        self._router.set_private(True)
        await self._router.told()
        return self.everybody.people[key]

    async def _begin(
        self, key: str, client: Client, *, unless: Callable[[Person], bool] = lambda _: False
    ) -> str:
        token, now = secrets.token_urlsafe(32), self._wall()
        async with self._lock:
            person = self.everybody.people.get(key)
            # While a hash was computed much can have happened.
            if person is None or unless(person):
                raise UserError(INCORRECT)
            session = SignedIn(person=key, device=client.device, created=now, seen=now)
            await self._write_sessions_as(decide.begun(self._sessions, session_id(token), session))
        await self._router.told()
        return token

    async def _hash_anew(self, person: Person, password: str) -> str:
        """Another effort is asked for today than when the password was set. The hash that counts then."""
        hashed = await self._passwords.hash(password)
        async with self._lock:
            now = self.everybody.people.get(person.key)
            if now is None or now.password != person.password:
                return person.password
            await self._write_everybody(decide.updated(self.everybody, person.key, password=hashed))
        return hashed

    async def _end(self, ended: Iterable[str]) -> None:
        ended = [each for each in ended if each in self._sessions]
        if ended:
            self._router.update_sessions(dict.fromkeys(ended))
            self._sessions = {each: other for each, other in self._sessions.items() if each not in ended}
            await self._write_sessions(must=True)

    async def _write_everybody(self, everybody: Everybody) -> None:
        await anyio.to_thread.run_sync(self._files.write_everybody, everybody)

    async def _write_sessions(self, *, must: bool) -> None:
        try:
            await anyio.to_thread.run_sync(self._files.write_sessions, self._sessions)
        except OSError:
            if must:
                raise

    async def _write_sessions_as(self, sessions: dict[str, SignedIn]) -> None:
        before = self._sessions
        await anyio.to_thread.run_sync(self._files.write_sessions, sessions)
        self._sessions = sessions
        changed = {each: self._told(each) for each in sessions.keys() - before.keys()}
        self._router.update_sessions({**dict.fromkeys(before.keys() - sessions.keys()), **changed})

    def _of(self, key: str) -> list[str]:
        return [each for each, other in self._sessions.items() if other.person == key]

    def _told(self, session: str) -> Session:
        """What the router knows of a session."""
        return decide.rights(self.everybody.people[self._sessions[session].person])
