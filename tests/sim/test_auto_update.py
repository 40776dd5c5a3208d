"""Releases taken by themselves in a whole node of fakes: over days, killed at every step, asked for."""

from __future__ import annotations

import errno
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.auto_update import AutoUpdate
from manifests.model.service import make_service
from reconciler import node as node_of_fakes
from reconciler.decide.updating import Choice, Edit
from reconciler.drive.events import EventLog
from reconciler.drive.git_packages import with_folder
from reconciler.drive.updates import Updates
from reconciler.errors import UserError
from reconciler.gitops.port import NoGit
from reconciler.state.updates import UpdatesFile
from runtimes.base import RuntimeFailure
from runtimes.fake import Behaviour
from tests.sim.nodes import FakePackages, Home, manifest, ready, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from pathlib import Path

    from manifests.model.merge import Winner
    from manifests.model.service import Service
    from reconciler.decide.conditions import Verdict
    from reconciler.drive.packages import Root
    from reconciler.node import Node

pytestmark = pytest.mark.anyio

URL = "https://example.com/notes.git"
HOUR, LONG = 3600.0, 5 * 3600.0
BEGAN = 1_800_000_000.0


class Killed(BaseException):
    """The node ends here, as by kill -9."""


@pytest.fixture(autouse=True)
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of nothing but looks at everything again are no part of this."""
    monkeypatch.setattr(node_of_fakes, "RESYNC", HOUR)


@dataclass
class Server:
    """What is offered, and what outlives a node: the release that each service stays at."""

    newest: str = "1.0.0"
    away: bool = False
    looks: int = 0
    pins: dict[str, Choice] = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    clock: float = 0.0
    full: bool = False

    def wall(self) -> float:
        return BEGAN + self.clock + anyio.current_time()


class Releases(FakePackages):
    """A package's content is the release that it stays at."""

    def __init__(self, server: Server, file: UpdatesFile, events: EventLog) -> None:
        self.server = server
        self.updates = Updates(file, [self], events, jitter=lambda: 0.5, wall=server.wall)
        self._changed: set[str] = set()

    async def resolve(self, winner: Winner, generation: int) -> Service:
        service_id = winner.declared.manifest.id
        here = self.server.pins.setdefault(service_id, choice("1.0.0"))
        located = with_folder(winner, f"/{here.at}").declared.manifest
        found = located.model_copy(update={"command": ("run", here.at)})
        return make_service(found, runtime="process", package=None, source="x", generation=generation)

    def note(self, winner: Winner) -> Verdict | None:
        return self.updates.note(winner)

    async def changed(self) -> Collection[Root]:
        await anyio.sleep_forever()
        return ()

    # -- Origin

    def origin(self, winner: Winner) -> str | None:
        return winner.declared.manifest.source

    def here(self, winner: Winner) -> Choice | None:
        return self.server.pins.get(winner.declared.manifest.id)

    async def newest(self, winner: Winner) -> Choice | None:
        self.server.looks += 1
        await anyio.sleep(1)
        if self.server.away:
            raise RuntimeFailure("GitFetchFailed", "nobody answers")
        return choice(self.server.newest)

    async def fetch(self, winner: Winner, choice: Choice) -> None:
        await anyio.sleep(1)

    def edit(self, winner: Winner) -> Edit | None:
        """Of what `declare` says under labels, as if it were what the service stays at."""
        here, said = self.here(winner), winner.declared.manifest.labels.get("release", "")
        return Edit("image", said, here.at) if here and said and here.at != said else None

    def stay(self, winner: Winner, choice: Choice) -> None:
        if self.server.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.server.moves.append(choice.at)
        self.server.pins[winner.declared.manifest.id] = choice

    def spare(self, winner: Winner, choice: Choice | None) -> None: ...


def choice(version: str) -> Choice:
    return Choice(version, f"v{version}")


@dataclass
class Branch(NoGit):
    """What is written back, unless it is refused; `killed`: the node dies right after, or right before."""

    home: Home
    refused: str = ""
    killed: str = ""
    tried: int = 0
    commits: list[str] = field(default_factory=list)

    async def write_back(self, name: str, service_id: str, change: Edit) -> str:
        self.tried += 1
        await anyio.sleep(1)
        if self.killed == "before":
            raise Killed
        if self.refused:
            raise UserError(self.refused, hint="ask its owner")
        if self.commits[-1:] == [change.after]:
            return ""
        self.commits.append(change.after)
        if self.killed == "after":
            raise Killed
        # The source has taken it by its next look.
        declare_written(self.home, change.after)
        return change.after


@asynccontextmanager
async def life(home: Home, server: Server, folder: Path, git: NoGit | None = None) -> AsyncIterator[Node]:
    events = EventLog()
    packages = Releases(server, UpdatesFile(folder / "updates.json"), events)
    node = home.make_node(packages=packages, updates=packages.updates, events=events, git=git or NoGit())
    async with anyio.create_task_group() as tasks:
        await tasks.start(home._run, node)
        yield node
        tasks.cancel_scope.cancel()


async def eventually(holds: Callable[[], bool], *, within: float = 120.0) -> None:
    """Looks every few seconds: hours are waited for."""
    with anyio.fail_after(within):
        while not holds():
            await anyio.sleep(3)


def declare(home: Home, schedule: str = "1h", **rest: Any) -> None:
    home.source.declare(manifest("a", source=URL, autoUpdate={"schedule": schedule, **rest}))


def declare_written(home: Home, release: str = "1.0.0", *, write_back: bool = True) -> None:
    """As a manifest of an image is that is written back; a package's would be refused."""
    made = manifest("a", source=URL, autoUpdate={"schedule": "1h"})
    rule = AutoUpdate(schedule="1h", write_back=write_back)
    home.source.declare(made.model_copy(update={"auto_update": rule, "labels": {"release": release}}))


def runs(home: Home) -> list[str]:
    return [marker for _, marker, _ in home.running("a")]


def updatable(node: Node) -> tuple[str, str]:
    found = [each for each in service(node, "a")["conditions"] if each["type"] == "Updatable"]
    return (found[0]["reason"], found[0]["message"]) if found else ("", "")


async def test_it_is_looked_at_when_it_is_time_and_not_before(home: Home, tmp_path: Path) -> None:
    server = Server()
    declare(home)
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: ready(node, "a"))
        server.newest = "1.1.0"
        await anyio.sleep(HOUR - 60)
        assert (server.looks, runs(home)) == (0, ["1.0.0"])
        # A little later by chance.
        await eventually(lambda: runs(home) == ["1.1.0"], within=1000)
        await anyio.sleep(10 * HOUR)
        assert 9 <= server.looks <= 11
        assert server.moves == ["1.1.0"]


async def test_a_look_that_is_due_is_not_forgotten_by_a_node_that_was_off(home: Home, tmp_path: Path) -> None:
    server = Server()
    declare(home)
    for _ in range(3):
        async with life(home, server, tmp_path) as node:
            await eventually(lambda: ready(node, "a"))
            await anyio.sleep(HOUR / 4)
            assert server.looks == 0
    async with life(home, server, tmp_path):
        await eventually(lambda: server.looks == 1, within=HOUR)


async def test_a_clock_that_was_set_back_makes_nobody_wait_for_years(home: Home, tmp_path: Path) -> None:
    server = Server(clock=10 * 365 * 24 * HOUR)
    declare(home)
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: ready(node, "a"))
        server.clock = 0.0
        await anyio.sleep(1.2 * HOUR)
        assert server.looks >= 1


async def test_a_broken_one_is_given_back_and_never_tried_again(home: Home, tmp_path: Path) -> None:
    server = Server(newest="1.1.0")
    home.machine.behave("a/1.1.0", Behaviour(exits_after=0.5))
    declare(home)
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: updatable(node)[0] == "Reverted", within=LONG)
        await eventually(lambda: runs(home) == ["1.0.0"] and ready(node, "a"))
        assert "1.1.0 did not work" in updatable(node)[1]
        assert server.moves == ["1.1.0", "1.0.0"]
    async with life(home, server, tmp_path) as node:
        await anyio.sleep(LONG)
        assert server.moves == ["1.1.0", "1.0.0"], "also in another life"
        assert updatable(node)[0] == "Reverted"
        server.newest = "1.1.1"
        await eventually(lambda: runs(home) == ["1.1.1"], within=LONG)
        await anyio.sleep(HOUR)
        assert updatable(node) == ("", "")


async def test_one_that_breaks_within_its_deadline_is_given_back(home: Home, tmp_path: Path) -> None:
    """It was ready before, so nothing but this takes it back."""
    server = Server(newest="1.1.0")
    home.machine.behave("a/1.1.0", Behaviour(exits_after=8))
    declare(home)
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: runs(home) == ["1.1.0"], within=LONG)
        await eventually(lambda: updatable(node)[0] == "Reverted")
        await eventually(lambda: runs(home) == ["1.0.0"])


async def test_where_data_is_kept_it_waits_until_somebody_takes_it(home: Home, tmp_path: Path) -> None:
    server = Server(newest="1.1.0")
    home.machine.behave("a", Behaviour(keeps="it keeps files in data/a"))
    home.machine.behave("a/1.2.0", Behaviour(keeps="it keeps files in data/a", exits_after=0.5))
    declare(home)
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: updatable(node)[0] == "UpdateAvailable", within=LONG)
        await anyio.sleep(LONG)
        assert (server.moves, runs(home)) == ([], ["1.0.0"])
        (waiting,) = node.updates.waiting()
        assert (waiting["id"], waiting["available"]) == ("a", "1.1.0")
        assert await node.updates.take("a") == {"id": "a", "from": "1.0.0", "to": "1.1.0"}
        await eventually(lambda: runs(home) == ["1.1.0"])
        with pytest.raises(UserError, match="is just being updated"):
            await node.updates.take("a")
        await anyio.sleep(HOUR)
        assert node.updates.waiting() == []
        # Once the new program may have written, nobody takes its data to the old one.
        server.newest = "1.2.0"
        await node.updates.take("a")
        await eventually(lambda: updatable(node)[0] == "UpdateFailed")
        await anyio.sleep(LONG)
        assert server.moves == ["1.1.0", "1.2.0"]
        assert node.updates.waiting()[0]["reason"] == "UpdateFailed"


async def test_approve_ask(home: Home, tmp_path: Path) -> None:
    server = Server(newest="1.1.0")
    declare(home, approve="ask")
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: updatable(node)[0] == "UpdateAvailable", within=LONG)
        assert "approve: ask" in updatable(node)[1] and server.moves == []
        # Its author takes the question back.
        home.source.declare(manifest("a", source=URL))
        await eventually(lambda: updatable(node)[0] == "")
        await anyio.sleep(LONG)
        assert server.moves == []


async def test_nothing_moves_without_its_manifest_saying_so(home: Home, tmp_path: Path) -> None:
    server = Server(newest="1.1.0")
    home.source.declare(manifest("a", source=URL), manifest("b"))
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: ready(node, "a"))
        await anyio.sleep(LONG)
        assert (server.looks, server.moves) == (0, [])
        with pytest.raises(UserError, match="b has no releases"):
            await node.updates.take("b")
        with pytest.raises(UserError, match="no source declares a service c"):
            await node.updates.take("c")
        # But a person may ask.
        assert (await node.updates.take("a"))["to"] == "1.1.0"
        await anyio.sleep(HOUR)
        assert await node.updates.take("a") == {"id": "a", "from": "1.1.0", "to": "1.1.0"}


async def test_a_server_that_is_away_changes_nothing_and_is_told_once(home: Home, tmp_path: Path) -> None:
    server = Server(newest="1.1.0", away=True)
    declare(home)
    async with life(home, server, tmp_path) as node:
        await anyio.sleep(LONG)
        told = [each for each in node.events.recent() if each.reason == "UpdateCheckFailed"]
        assert len(told) == 1 and "nobody answers" in told[0].message
        assert server.looks < 20 and runs(home) == ["1.0.0"]
        with pytest.raises(UserError, match="nobody answers"):
            await node.updates.take("a")
        server.away = False
        await eventually(lambda: runs(home) == ["1.1.0"], within=2 * HOUR)


async def test_a_full_disk_moves_nobody_and_it_goes_on_afterwards(home: Home, tmp_path: Path) -> None:
    server = Server(newest="1.1.0", full=True)
    declare(home)
    async with life(home, server, tmp_path):
        await anyio.sleep(LONG)
        assert runs(home) == ["1.0.0"]
        server.full = False
        await eventually(lambda: runs(home) == ["1.1.0"], within=2 * HOUR)


async def test_a_suspended_service_is_left_alone(home: Home, tmp_path: Path) -> None:
    server = Server(newest="1.1.0")
    declare(home)
    async with life(home, server, tmp_path) as node:
        await eventually(lambda: ready(node, "a"))
        await node.stop_service("a")
        await anyio.sleep(LONG)
        assert server.moves == []
        await node.start_service("a")
        await eventually(lambda: runs(home) == ["1.1.0"], within=HOUR)


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("step", range(8))
async def test_killed_at_every_step(
    home: Home, tmp_path: Path, step: int, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`step` writes to the disk are made, and then no more: the next life goes on from there."""
    server = Server(newest="1.1.0")
    if broken:
        home.machine.behave("a/1.1.0", Behaviour(exits_after=0.5))
    declare(home, schedule="1h")
    left = [step]
    put, stay = UpdatesFile.put, Releases.stay

    async def last_life() -> None:
        async with life(home, server, tmp_path):
            await anyio.sleep(LONG)

    def counted(do: Any) -> Any:
        def write(*arguments: Any) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            do(*arguments)

        return write

    with monkeypatch.context() as patch:
        patch.setattr(UpdatesFile, "put", counted(put))
        patch.setattr(Releases, "stay", counted(stay))
        try:
            await last_life()
        except BaseExceptionGroup as group:
            assert group.subgroup(Killed) is not None
    async with life(home, server, tmp_path) as node:
        await anyio.sleep(LONG)
        assert runs(home) == (["1.0.0"] if broken else ["1.1.0"])
        assert updatable(node)[0] == ("Reverted" if broken else "")
        assert server.moves.count("1.1.0") == 1, "it is not tried twice"


# -- written back


async def test_what_proved_itself_is_written_back_once(home: Home, tmp_path: Path) -> None:
    server, branch = Server(newest="1.1.0"), Branch(home)
    declare_written(home)
    async with life(home, server, tmp_path, branch) as node:
        await eventually(lambda: runs(home) == ["1.1.0"], within=LONG)
        assert branch.tried == 0, "not before it is known to work"
        await eventually(lambda: branch.commits == ["1.1.0"])
        await anyio.sleep(HOUR)
        assert updatable(node) == ("", "") and runs(home) == ["1.1.0"]
        server.newest = "1.2.0"
        await eventually(lambda: branch.commits == ["1.1.0", "1.2.0"], within=LONG)
        await anyio.sleep(LONG)
        assert branch.tried == 2 and server.moves == ["1.1.0", "1.2.0"], "its own commit is no news"


async def test_what_does_not_work_is_never_written(home: Home, tmp_path: Path) -> None:
    server, branch = Server(newest="1.1.0"), Branch(home)
    home.machine.behave("a/1.1.0", Behaviour(exits_after=0.5))
    declare_written(home)
    async with life(home, server, tmp_path, branch) as node:
        await eventually(lambda: updatable(node)[0] == "Reverted", within=LONG)
        await anyio.sleep(LONG)
        assert branch.tried == 0 and runs(home) == ["1.0.0"]


async def test_a_refused_push_leaves_it_where_it_is_and_says_so(home: Home, tmp_path: Path) -> None:
    server, branch = Server(newest="1.1.0"), Branch(home, refused="the branch is protected")
    declare_written(home)
    async with life(home, server, tmp_path, branch) as node:
        await eventually(lambda: updatable(node)[0] == "UpdateNotWritten", within=LONG)
        told = updatable(node)[1]
        assert "1.1.0 runs" in told and "says 1.0.0" in told and "protected (ask its owner)" in told
        assert node.updates.waiting() == []
        tried = branch.tried
        await anyio.sleep(24 * HOUR)
        assert 20 <= branch.tried - tried <= 40, "once an hour at last"
        assert sum(each.reason == "UpdateNotWritten" for each in node.events.recent()) == 1
        assert runs(home) == ["1.1.0"] and ready(node, "a")
        branch.refused = ""
        await eventually(lambda: branch.commits == ["1.1.0"], within=LONG)
        await eventually(lambda: updatable(node) == ("", ""))
        # Who does not want it any more is told nothing.
        server.newest, branch.refused = "1.2.0", "no"
        await eventually(lambda: updatable(node)[0] == "UpdateNotWritten", within=LONG)
        declare_written(home, "1.1.0", write_back=False)
        await eventually(lambda: updatable(node) == ("", ""), within=LONG)


@pytest.mark.parametrize("killed", ["before", "after"])
async def test_killed_around_the_push_it_is_written_once(killed: str, home: Home, tmp_path: Path) -> None:
    server, branch = Server(newest="1.1.0"), Branch(home, killed=killed)
    declare_written(home)
    with pytest.raises(BaseExceptionGroup) as died:
        async with life(home, server, tmp_path, branch):
            await anyio.sleep(LONG)
    assert died.group_contains(Killed)
    branch.killed = ""
    async with life(home, server, tmp_path, branch) as node:
        await eventually(lambda: branch.tried == 2 and ready(node, "a"))
        await anyio.sleep(HOUR)
        assert branch.commits == ["1.1.0"] and runs(home) == ["1.1.0"]
