"""`atek push --wait`: what it says meanwhile, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.reconciler.fakes import condition, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.reconciler.cli.atek import Atek, Result
    from tests.reconciler.fake_nodes import FakeNodes, Pair, Step

#: Seconds. Enough for everything that is there already; what is not there is waited for in vain.
SHORTLY, PATIENTLY = "0.05", "30"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "index.js").touch()
    return folder


def waiting(atek: Atek, followed: Pair, app: Path, *steps: Step, seconds: str = PATIENTLY) -> Result:
    """Pushes to the pi; after that, one step is taken at each look at it."""
    followed.laptop.after_write = list(steps)
    return atek("push", str(app), "--id", "notes", "--to", "pi", "--wait", seconds)


def reading(followed: Pair, *entries: dict[str, Any], late: int = 0) -> Step:
    """The pi tells of these services, and that it has read what was written last (or less)."""
    return lambda version: followed.pi.publish(*entries, of=followed.laptop, read=version - late)


def from_laptop(*, ready: bool = True, **more: Any) -> dict[str, Any]:
    return service("notes", ready=ready, **{"source": "laptop", **more})


def with_condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    entry = from_laptop()
    others = [each for each in entry["conditions"] if each["type"] != kind]
    return entry | {"conditions": [*others, condition(kind, status, reason, message)]}


def test_waiting_tells_each_obstacle_once(atek: Atek, followed: Pair, app: Path) -> None:
    starting = from_laptop(ready=False, message="npm ci\x1b[2J")
    result = waiting(
        atek, followed, app,
        lambda _: followed.pi.publish(),
        reading(followed, late=1), reading(followed, late=1),
        reading(followed),
        reading(followed, with_condition("UpToDate", "False", "Fetching", "2 of 5 MiB")),
        reading(followed, starting), reading(followed, starting | {"restarts": 1}),
        reading(followed, from_laptop()),
    )  # fmt: skip
    assert (result.status, result.out) == (0, "notes pushed as version 4: for pi\nnotes is ready on pi\n")
    assert result.err.splitlines() == [
        "notes: pi does not follow this node: `atek follow` there, with the link of `atek key` here",
        "notes: pi has not read it yet",
        "notes: pi has it, and does not say yet how it fares",
        "notes: pi says Fetching: 2 of 5 MiB",
        "notes: pi says Starting: npm ci",
    ]


def test_a_node_that_comes_back(atek: Atek, followed: Pair, app: Path) -> None:
    async def come_back(version: int) -> None:
        followed.laptop.hyper.network.heal(followed.laptop.hyper, followed.pi.hyper)
        await reading(followed, from_laptop())(version)

    followed.part()
    result = waiting(atek, followed, app, come_back, seconds=PATIENTLY)
    assert (result.status, result.err) == (0, "")
    assert result.out.endswith("notes is ready on pi\n")


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (None, "is connected, and nothing of its status has arrived yet"),
        (lambda followed: lambda _: followed.pi.publish(), "does not follow this node: `atek follow` there"),
        (lambda followed: reading(followed, late=1), "has not read it yet"),
        (lambda followed: reading(followed), "has it, and does not say yet how it fares"),
        (
            lambda followed: reading(followed, from_laptop(ready=False, message="npm ci")),
            "says Starting: npm ci",
        ),
        (lambda followed: reading(followed, from_laptop(observedRevision="ffff")), "tells nothing new"),
    ],
)
def test_the_time_is_over(
    atek: Atek, followed: Pair, app: Path, step: Callable[[Pair], Step] | None, why: str
) -> None:
    result = waiting(atek, followed, app, *([step(followed)] if step else []), seconds=SHORTLY)
    assert (result.status, result.out) == (1, "notes pushed as version 4: for pi\n")
    *_, error, hint = result.err.splitlines()
    assert error.startswith(f"atek: notes is not ready after 0.05 s: pi {why}")
    assert hint == "hint: it goes on; `atek status --node pi` shows how it fares"


def test_the_time_is_over_and_the_node_away(atek: Atek, followed: Pair, app: Path) -> None:
    followed.part()
    result = waiting(atek, followed, app, seconds=SHORTLY)
    assert (result.status, result.out) == (1, "notes pushed as version 4: for pi\n")
    assert result.err.splitlines() == [
        "notes: pi is away: it gets it once it is back",
        "atek: notes is not delivered: pi is away",
        "hint: once it is back, it goes on; `atek status --node pi` shows how it fares",
    ]


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        (
            with_condition("Stalled", "True", "PolicyForbids", "the runtime node is not allowed"),
            "notes does not run on pi: PolicyForbids: the runtime node is not allowed",
            "what it allows was said there with `atek follow`; `atek status --node pi`",
        ),
        (
            with_condition("Stalled", "True", "InstallFailed", "npm ended with 1\x1b[2J"),
            "notes does not run on pi: InstallFailed: npm ended with 1",
            "`atek logs notes` on pi may say more",
        ),
        (
            with_condition("UpToDate", "False", "PolicyForbids", "it may not export example.com/x"),
            "notes does not run on pi: PolicyForbids: it may not export example.com/x",
            "what it allows was said there with `atek follow`; `atek status --node pi`",
        ),
        (
            service("notes"),
            "pi runs notes from its own manifests, which wins",
            "push it with another --id",
        ),
    ],
)
def test_it_is_refused_there(
    atek: Atek, followed: Pair, app: Path, monkeypatch: pytest.MonkeyPatch,
    entry: dict[str, Any], message: str, hint: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("reconciler.cli.delivery.LASTS", 0.0)
    result = waiting(atek, followed, app, reading(followed, entry))
    assert (result.status, result.out) == (1, "notes pushed as version 4: for pi\n")
    assert result.err == f"atek: {message}\nhint: {hint}\n"


def test_a_failure_from_before_the_push_is_not_believed(atek: Atek, followed: Pair, app: Path) -> None:
    failed = with_condition("Stalled", "True", "HealthyDeadlineExceeded")
    result = waiting(atek, followed, app, reading(followed, failed), reading(followed, from_laptop()))
    assert (result.status, result.err) == (0, "")
    assert result.out.endswith("notes is ready on pi\n")


@pytest.mark.parametrize(("lasts", "status"), [(0.0, 0), (1000.0, 1)])
def test_what_is_ready_as_before_is_believed_once_it_lasts(
    atek: Atek, followed: Pair, app: Path, monkeypatch: pytest.MonkeyPatch, lasts: float, status: int
) -> None:
    monkeypatch.setattr("reconciler.cli.delivery.LASTS", lasts)
    followed.do(followed.pi.publish, from_laptop())
    result = waiting(atek, followed, app, reading(followed, from_laptop()), seconds=SHORTLY)
    assert result.status == status


def test_a_status_that_does_not_arrive_is_not_asked_for_in_a_hurry(
    atek: Atek, followed: Pair, app: Path
) -> None:
    def lagging(nodes: FakeNodes) -> None:
        """It is known which database it is, and nothing of that is here."""
        copy = nodes.hyper.copies[status]
        copy.replace([])
        copy.lagging = True

    status = followed.do(followed.pi.keys).status
    atek("status", "--node", "pi")
    followed.do(lagging, followed.laptop)
    result = waiting(atek, followed, app, seconds="0.2")
    assert "nothing of its status has arrived yet" in result.err
    assert followed.laptop.looks < 9


def test_waiting_for_this_node(atek: Atek, followed: Pair, app: Path) -> None:
    def stays(version: int) -> None:
        """The node has not heard of it."""

    heard, followed.laptop.written = followed.laptop.written, stays
    followed.node.add(service("notes", ready=False, message="npm ci"))
    words = ("push", str(app), "--id", "notes", "--to", "laptop", "--wait")
    late = atek(*words, SHORTLY)
    assert (late.status, late.out) == (1, "notes pushed as version 4: for this node\n")
    assert late.err.splitlines()[-2] == "atek: not ready after 0.05 s: notes: Starting: npm ci"
    followed.laptop.written = heard
    followed.node.add(service("notes"))
    assert atek(*words, PATIENTLY).out == "notes pushed as version 6: for this node\nready\n"


def test_waiting_for_a_node_that_cannot_be_seen(atek: Atek, followed: Pair, app: Path) -> None:
    result = atek("push", str(app), "--to", "attic", "--wait")
    assert (result.status, result.out) == (1, "app pushed as version 4: for attic\n")
    assert "atek: how app fares cannot be seen from here\nhint: follow the node that runs it" in result.err
