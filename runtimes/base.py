"""The port between deciding and running: what a runtime promises, whatever it runs on.

An instance is one running copy of one revision. It outlives the node: `observe` finds the instances that
this node (and no other) started, also those started by an earlier life of it. Everything a runtime
raises is a `RuntimeFailure`; foreign exceptions are translated inside.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from manifests.model.service import Service

Progress = Callable[[str], None]
#: Characters: what is shorter (a port, a flag) stands everywhere, and nobody could find it there.
SHORTEST_SECRET = 4


class Notice(str):
    """A line of progress that people should still find later: it becomes an event with this reason."""

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, text: str, reason: str) -> Self:
        made = super().__new__(cls, text)
        made.reason = reason
        return made


class RuntimeFailure(Exception):
    """Something could not be run. `reason` is UpperCamelCase, `hint` tells a person what to do."""

    #: True: trying the same again cannot help, something has to change first.
    permanent = False

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class PermanentFailure(RuntimeFailure):
    """The package or the manifest is wrong: no entry point, no such runtime."""

    permanent = True


class RuntimeUnavailable(RuntimeFailure):
    """Nobody can know what runs, or change it, until the runtime answers again: unknown, not absent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an instance listens: its Unix socket, or host and port."""

    socket: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Copy:
    """One of the tasks that a cluster keeps of an instance. `machine` is the name of where it runs.

    `endpoint` is None for a program that listens nowhere.
    """

    name: str
    machine: str
    endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How an instance ended. `code` and `signal` are None where nobody could tell (an adopted process).

    `why` is UpperCamelCase where more is known than the program's status (OOMKilled); `said` are the
    program's termination message, one printable line, where it ended by itself and badly.
    """

    code: int | None = None
    signal: int | None = None
    why: str = ""
    said: str = ""

    @property
    def success(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.why, self.status, self.said)))

    @property
    def status(self) -> str:
        if self.signal is not None:
            known = [each.name for each in signal.Signals if each == self.signal]
            return " ".join(["killed by signal", str(self.signal), *(f"({name})" for name in known)])
        return f"exited with status {self.code}" if self.code is not None else "exited, status unknown"


@dataclass(frozen=True, slots=True, repr=False)
class SecretFile:
    """One that only the service sees. `target` is its place in a container; None: as the runtime likes."""

    name: str
    data: bytes
    target: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What an instance is to know, in plain text: it is in memory only, and in nothing that is shown."""

    env: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[SecretFile] = ()

    def __bool__(self) -> bool:
        return bool(self.env or self.files)

    @property
    def words(self) -> frozenset[str]:
        """What must not be repeated where others can read it."""
        texts = (each.data.decode("utf-8", "ignore").strip() for each in self.files)
        return frozenset(each for each in (*self.env.values(), *texts) if len(each) >= SHORTEST_SECRET)


NO_SECRETS = Secrets()
#: The secrets of a revision. Raises RuntimeFailure.
OpenSecrets = Callable[["Service"], Secrets]


def no_secrets(_service: Service) -> Secrets:
    """For runtimes whose services have none."""
    return NO_SECRETS


def known_secrets(service: Service, open_secrets: OpenSecrets) -> Secrets:
    """Those of something that runs; none where nobody has them any more."""
    try:
        return open_secrets(service)
    except RuntimeFailure:
        return NO_SECRETS


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything needed to start one instance. `identity` holds the service's key and the instance's tokens.

    `holder` is the revision that was healthy last: what its program wrote is what this one goes on with.
    """

    instance: str
    service: Service
    slot: int
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)
    holder: Service | None = None
    secrets: Secrets = field(default=NO_SECRETS, repr=False)


@dataclass(frozen=True, slots=True)
class Running:
    """One instance that was started, now or by an earlier life of this node.

    `started_at` is wall-clock seconds. `unenforced` says, one sentence each, which resource limits
    this machine could not apply, `sampled` which of them hold only by looking again and again. `token` is the
    bearer token that it was given, `router_token` what the router shows to it; empty when nobody knows it.
    `container` is the engine's id of the one that it is; empty for processes. `checked`: its image has a
    check of its own, which the engine makes all the time. `copies` are the tasks that run of an instance
    which a cluster keeps, None for all others; they come and go while it lives. `sandbox` is the one that a
    program of this machine was started in, and `unconfined` says why it is none where it should be one.
    `awaits_user`: it runs as another user than the next start of its service will.
    """

    instance: str
    service: Service
    slot: int
    pid: int
    endpoint: Endpoint
    started_at: float
    unenforced: Sequence[str] = ()
    sampled: str = ""
    token: str = field(default="", repr=False)
    container: str = ""
    checked: bool = False
    copies: tuple[Copy, ...] | None = None
    router_token: str = field(default="", repr=False)
    sandbox: str = "none"
    unconfined: str = ""
    awaits_user: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What a service has kept so far.

    `what`: where, in a few words (`it keeps files in data/app`); empty when nowhere. `files` and `size`
    (bytes) are what its program wrote beside its code, `names` the first of them, `folder` where they are.
    `conflicts` are those that its author changed, too: his lie beside them.
    """

    what: str = ""
    files: int = 0
    size: int = 0
    names: tuple[str, ...] = ()
    folder: str = ""
    conflicts: tuple[str, ...] = ()


class Watch(Protocol):
    """Who hears what a runtime learns by itself."""

    def lost(self, runtime: str, failure: RuntimeUnavailable) -> None:
        """The runtime of that name is found to be away."""
        ...

    def moved(self, running: Running, lacking: str, failures: Sequence[str]) -> None:
        """Tasks of an instance came or went: where it runs now, what is lacking, what went wrong."""
        ...


class Runtime(Protocol):
    """One way to run programs."""

    @property
    def name(self) -> str: ...

    async def observe(self) -> Sequence[Running]:
        """All live instances of this node in this runtime. Raises RuntimeFailure when it cannot know."""
        ...

    async def prepare(self, service: Service, progress: Progress) -> None:
        """Fetches, builds and validates the revision; cached, cancellable, and harmless to what runs."""
        ...

    async def start(self, launch: Launch) -> Running:
        """Starts a prepared revision. When it raises, nothing of the instance runs."""
        ...

    async def stop(self, running: Running, *, force: bool = False) -> None:
        """Asks the instance and all it forked to end (its stop signal), or with `force` ends them.

        Returns at once; `wait` tells when it is over. An instance that is gone already is no error.
        """
        ...

    async def wait(self, running: Running) -> Exit:
        """Returns once the instance has ended and nothing it forked is left."""
        ...

    async def kept(self, service: Service) -> Kept:
        """What a service that runs as this revision has kept. Raises RuntimeFailure when it cannot know."""
        ...

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """Makes sure that `collect` deletes nothing that a program wrote.

        `holder` is the revision that was healthy last. Returns where something was put instead, for people.
        """
        ...

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Takes prepared revisions of a service out of their place that are not kept.

        Called right after `retain`; nothing of the service is started meanwhile.
        """
        ...

    async def purge(self) -> None:
        """Deletes what was taken out of its place, of any service. Takes its time, beside everything else."""
        ...

    async def prewarm(self, service: Service) -> None:
        """Does beforehand what preparing the next revision of a service will want. Takes its time."""
        ...


class Engine(Runtime, Protocol):
    """A runtime whose programs somebody else keeps, who has to be listened to."""

    async def run(self, watch: Watch) -> None:
        """Until cancelled; it has to run as long as instances are to be waited for."""
        ...
