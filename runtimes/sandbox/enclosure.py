"""One program's sandbox: what it sees is looked up and held by descriptors, then said to bubblewrap.

    enclosed = sandboxes.enclose(…)       everything is open, nothing has happened
    the caller starts `enclosed.line`     bubblewrap waits for its words
    enclosed.begin()                      it gets them, and the program is executed

Every own folder is opened without following links, and what leads into a hidden one by a link is refused in
words. What the machine cannot do is a `RuntimeFailure` where it was demanded, and else a sentence.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import anyio.to_thread

from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.sandbox.command import Held, View, is_below, sees, words
from runtimes.sandbox.gate import Gate
from runtimes.sandbox.holding import Hold
from runtimes.sandbox.machine import Machine, find_system, own_capabilities
from runtimes.sandbox.places import TEMPORARY, folders_of_interpreter, hidden, named_below_temporary
from runtimes.sandbox.seccomp import filter_for
from runtimes.sandbox.troubles import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runtimes.paths import Paths
    from runtimes.sandbox.confinement import Confinement

_SHARED_MEMORY = "/dev/shm"
#: Bytes that a pipe holds (pipe(7)).
_PIPE = 65536


@dataclass(frozen=True, slots=True)
class Guest:
    """Who is to be kept apart, and what is its own. Paths as the program knows them.

    `folder` is where it runs: its package, or its data. `line` and `environment` are what it is started with,
    `search` is where its runtime looks for programs. `secrets`: the folder of its secret files. `status`: see
    exit_status.py. `user`: the number of who it runs as, and of the group; None: the node's own. `texts`:
    files that are made for it in *strict*, by their paths.
    """

    service: str
    line: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    search: Sequence[str]
    data: Path
    sockets: Path
    status: Path
    secrets: Path | None = None
    user: tuple[int, int] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Enclosed:
    """What to start instead of the program, with the descriptors that it has to inherit."""

    line: list[str]
    inherited: tuple[int, ...]
    _pipe: int
    _words: bytes
    #: In *strict*: what the program waits at for its network.
    gate: Gate | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def begin(self) -> None:
        """Lets the program be executed. One that was ended before is no error."""
        waiting = memoryview(self._words)
        with suppress(BrokenPipeError):
            while waiting:
                waiting = waiting[os.write(self._pipe, waiting) :]
        self._open.close()
        if self.gate is not None:
            self.gate.started()

    def close(self) -> None:
        """Without `begin` nothing is executed."""
        self._open.close()
        if self.gate is not None:
            self.gate.close()


class Sandboxes:
    """Those of one node."""

    def __init__(self, paths: Paths, machine: Machine) -> None:
        self._paths = paths
        self._machine = machine

    async def level(self, wanted: Confinement) -> tuple[Literal["none", "private", "strict"], str]:
        """The one that a program gets, and why it is not what it should be; empty where it is.

        Raises RuntimeFailure for one that was demanded.
        """
        if wanted.level == "none":
            return "none", ""
        facts = self._machine.remembered
        if facts is None:
            facts = await anyio.to_thread.run_sync(self._machine.facts)
        trouble = facts.trouble(wanted.level)
        if trouble is None:
            return wanted.level, ""
        if wanted.demanded:
            message = f"this machine cannot keep a program in a {wanted.level} sandbox: {trouble.message}"
            raise RuntimeFailure(UNAVAILABLE, message, hint=trouble.hint or "atek doctor says more")
        return "none", str(trouble)

    @property
    def machine(self) -> Machine:
        """What it can."""
        return self._machine

    def failed(self) -> None:
        """A program was not executed: whether this machine can is looked at again."""
        self._machine.forget()

    def enclose(self, guest: Guest, confinement: Confinement) -> Enclosed:
        """Raises RuntimeFailure or OSError; then nothing is left open."""
        with ExitStack() as opened:
            hold = Hold(opened)
            if confinement.level == "strict":
                view = self._strict(guest, confinement, hold)
            else:
                view = self._private(guest, hold)
            _require_seen(view, guest)
            return self._enclosed(guest, view, hold, opened)

    def _enclosed(self, guest: Guest, view: View, hold: Hold, opened: ExitStack) -> Enclosed:
        filter = filter_for(view.level, os.uname().machine)
        seccomp = None if filter is None else hold.text("seccomp", filter)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        status = hold.keep(os.open(guest.status, flags, 0o600))
        gate = Gate() if view.level == "strict" else None
        said = [*words(view, seccomp=seccomp, status=status), *(gate.words if gate else ())]
        if gate is not None:
            opened.callback(gate.started)
        text = b"".join(os.fsencode(word) + b"\0" for word in said)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        if len(text) > _PIPE:
            # Half of the words would be another sandbox: they are all there or none is.
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, len(text))
        hold.keep(reading)
        opened.callback(os.close, writing)
        line = [self._machine.facts().bwrap, "--args", str(reading), "--", *guest.line]
        # What bubblewrap is not told of it would not close.
        mounted = [*view.own, *view.shown, *view.texts, *([view.temporary] if view.temporary else [])]
        inherited = [reading, status, *([seccomp] if seccomp else []), *(each.descriptor for each in mounted)]
        inherited += gate.inherited if gate is not None else ()
        return Enclosed(line, tuple(inherited), writing, text, gate, opened.pop_all())

    def _private(self, guest: Guest, hold: Hold) -> View:
        others = self._others(guest)
        texts = (guest.folder, *guest.line, *guest.environment.values(), *_environment_of(guest.line[0]))
        named = [hold.existing(path, others) for path in named_below_temporary(texts, os.path.exists)]
        shown = [held for held in named if held is not None]
        own = self._own(guest, others, hold, writable=True)
        temporary = hold.temporary(own[0])
        below = any(is_below(path, [TEMPORARY]) for path in (*others, *_paths(own), *_paths(shown)))
        return View(
            "private", guest.folder, own,
            programs=self._programs(others), hidden=others, shown=shown,
            temporary=None if below else temporary,
            shared_memory=os.path.isdir(_SHARED_MEMORY) and not os.path.islink(_SHARED_MEMORY),
            capabilities=own_capabilities() if os.geteuid() == 0 and guest.user is None else None,
        )  # fmt: skip

    def _strict(self, guest: Guest, confinement: Confinement, hold: Hold) -> View:
        # Looked up only for what may have them in it: it takes a while.
        others = hidden(self._paths) if confinement.binds else []
        own = self._own(guest, ["/"], hold, writable=False)
        temporary = hold.temporary(own[0])
        shown = [
            hold.granted(bind.path, others, guest.service, writable=not bind.read_only)
            for bind in confinement.binds
        ]
        below = any(is_below(path, [TEMPORARY]) for path in (*_paths(own), *_paths(shown)))
        system = find_system()
        return View(
            "strict", guest.folder, own,
            programs=_interpreters(guest), shown=shown, hidden=list(_inside(shown, others)),
            system=system,
            temporary=None if below else temporary,
            texts=hold.texts(system.copied, [*_accounts(guest, hold), *hold.files(guest.texts)]),
        )  # fmt: skip

    def _others(self, guest: Guest) -> list[str]:
        """What it must not see. Another user does not get to more than the node's home."""
        if guest.user is None:
            return hidden(self._paths)
        return sorted({os.path.realpath(self._paths.home), os.path.realpath(self._paths.run)})

    def _own(self, guest: Guest, others: Sequence[str], hold: Hold, *, writable: bool) -> list[Held]:
        """Its data first; its sockets, its secrets, and its package where that is not there anyway."""
        own = [hold.data(guest.data, others), hold.folder(guest.sockets)]
        if guest.secrets is not None:
            own.append(hold.folder(guest.secrets, writable=False))
        real = os.path.realpath(guest.folder)
        if is_below(os.path.realpath(self._paths.home), [real]):
            raise PermanentFailure(
                "PackageHoldsHome",
                f"{guest.service} would run in {real}, which the node's own home is in",
                hint="move its files into a folder of their own, or write sandbox: none",
            )
        if is_below(real, others) and not is_below(real, [os.path.realpath(guest.data)]):
            own += [hold.real(path, real, writable=writable) for path in {guest.folder, real}]
        return own

    def _programs(self, others: Sequence[str]) -> list[str]:
        """What runs packages and lies in a hidden folder: fetched Nodes, and the node's own environment."""
        cache = os.path.realpath(self._paths.cache)
        candidates = (f"{cache}/node", f"{cache}/tools", sys.prefix, sys.base_prefix)
        return [path for path in candidates if is_below(path, others) and os.path.isdir(path)]


def _environment_of(program: str) -> Iterator[str]:
    """The virtual environment that a Python is in (PEP 405)."""
    folder = os.path.dirname(os.path.dirname(program))
    if os.path.exists(os.path.join(folder, "pyvenv.cfg")):
        yield folder


def _paths(those: Iterable[Held]) -> Iterator[str]:
    return (held.path for held in those)


def _inside(shown: Iterable[Held], others: Sequence[str]) -> Iterator[str]:
    """Where folders of others' would be seen, because a folder around them is shown."""
    for held in shown:
        real = os.readlink(f"/proc/self/fd/{held.descriptor}")
        for path in others:
            if is_below(path, [real]):
                yield held.path.rstrip("/") + path.removeprefix(real)


def _interpreters(guest: Guest) -> list[str]:
    """What runs it, wherever that lies; what is in its package or the system is there anyway."""
    found: list[str] = []
    for folder in guest.search:
        if is_below(folder, [guest.folder]):
            # The python of a virtual environment is a link to the machine's.
            found += folders_of_interpreter(os.path.realpath(f"{folder}/python"))
        else:
            found += [folder, *folders_of_interpreter(f"{os.path.realpath(folder)}/program")]
    there = (path for path in dict.fromkeys(found) if os.path.isdir(path))
    return [path for path in there if not is_below(path, ("/usr", guest.folder))]


def _accounts(guest: Guest, hold: Hold) -> list[Held]:
    """The users that a strict program knows: root, itself, nobody."""
    user, group = guest.user or (os.geteuid(), os.getegid())
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = "service"
    users = {0: ("root", 0, "/root"), 65534: ("nobody", 65534, "/")}
    users[user] = (name, group, os.fspath(guest.data))
    passwd = "".join(
        f"{name}:x:{uid}:{gid}::{home}:/usr/sbin/nologin\n" for uid, (name, gid, home) in users.items()
    )
    groups = "".join(f"{name}:x:{gid}:\n" for name, gid, _ in users.values())
    return [
        Held(hold.text("passwd", passwd.encode()), "/etc/passwd"),
        Held(hold.text("group", groups.encode()), "/etc/group"),
    ]


def _require_seen(view: View, guest: Guest) -> None:
    """What is executed has to be there. Raises PermanentFailure."""
    program = os.path.realpath(guest.line[0])
    if not sees(view, program) and stat.S_ISREG(os.stat(program).st_mode):
        where = f"the {view.level} sandbox of {guest.service}"
        raise PermanentFailure(
            "NotInSandbox",
            f"{program} is not there in {where}",
            hint="bring it along in the package, grant it by binds, or write sandbox: none",
        )
