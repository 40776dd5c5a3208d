"""An engine that is slow, full, old, or broken: one reason for each, nothing left, and it heals by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import RuntimeFailure, RuntimeUnavailable
from runtimes.docker import engine as engines
from tests.runtimes.docker.fake_engine import HANGUP, SILENCE, FakeEngine, fake_engine
from tests.runtimes.docker.lives import DockerLives, docker_lives
from tests.runtimes.factories import launch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

IMAGE: dict[str, Any] = {"Id": "sha256:1", "Config": {}}
FULL = "write /var/lib/docker/x: no space left on device"
CREATE, START = ("POST", "/containers/create"), ("POST", "/start")


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    with tempfile.TemporaryDirectory(prefix="atek-") as folder:
        async with fake_engine(Path(folder) / "engine.sock") as made:
            made.answers = {
                ("GET", "/images/"): (200, IMAGE),
                ("GET", "/containers/json"): (200, []),
                ("POST", "/networks/create"): (201, {"Id": "n"}),
                CREATE: (201, {"Id": "c1"}),
                ("GET", "/networks"): (200, []),
                ("GET", "/volumes"): (200, {"Volumes": None}),
            }
            yield made


@pytest.fixture
async def lives(fake: FakeEngine) -> AsyncIterator[DockerLives]:
    async with docker_lives(fake.socket) as made:
        yield made


@pytest.mark.parametrize(
    ("where", "answer", "reason"),
    [(CREATE, (500, {"message": FULL}), "OutOfDisk"),
     (START, (500, {"message": FULL}), "OutOfDisk"),
     (CREATE, (500, {"message": "driver failed"}), "EngineError"),
     (CREATE, (400, {"message": "bad parameter"}), "EngineRefused"),
     (CREATE, (201, b"<html>"), "EngineError"),
     (CREATE, (503, b""), "EngineError"),
     (START, (HANGUP, b""), "RuntimeUnavailable"),
     (("GET", "/images/"), (500, {"message": "database is closed"}), "EngineError"),
     (("POST", "/networks/create"), (500, {"message": "pools are exhausted"}), "EngineError")],
    ids=["full", "full-at-start", "error", "refused", "html", "empty", "hangup", "image", "network"],
)  # fmt: skip
async def test_a_start_that_fails_has_one_reason_and_leaves_nothing(
    lives: DockerLives, fake: FakeEngine, where: tuple[str, str], answer: tuple[int, Any], reason: str
) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    fake.answers[where] = answer
    with pytest.raises(RuntimeFailure) as caught:
        await runtime.start(launch(lives.make()))
    assert caught.value.reason == reason
    assert isinstance(caught.value, RuntimeUnavailable) is (reason == "RuntimeUnavailable")
    assert "the-token" not in str(caught.value)
    if where in (CREATE, START):
        assert any(each.startswith("DELETE /containers/") for each in fake.asked)
    assert not (lives.paths.run / "i1").exists()
    assert list(await runtime.observe()) == []


async def test_a_disk_that_is_full_in_the_middle_of_a_pull(lives: DockerLives, fake: FakeEngine) -> None:
    runtime = lives.next_life()
    fake.answers.pop(("GET", "/images/"))
    pull = ("POST", "/images/create")
    for body, reason in (
        (b'{"status":"Pulling"}\n{"error":"%s"}\n' % FULL.encode(), "OutOfDisk"),
        (b'{"status":"Pulling"}\n{"err', "ImagePullFailed"),
        (b'{"error":"toomanyrequests: you have reached your pull rate limit"}\n', "ImagePullFailed"),
    ):
        fake.answers[pull] = (200, body)
        with pytest.raises(RuntimeFailure) as caught:
            await runtime.prepare(lives.make(), lambda _: None)
        assert caught.value.reason == reason
        assert not caught.value.permanent
    fake.answers[pull] = (200, b'{"status":"Done"}\n')
    await runtime.prepare(lives.make(), lambda _: None)


@pytest.mark.parametrize("answer", [(SILENCE, b""), (HANGUP, b"")], ids=["slow", "hangup"])
async def test_who_does_not_answer_is_away_until_he_does(
    lives: DockerLives, fake: FakeEngine, answer: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ANSWER_TIMEOUT", 0.2)
    fake.answers["GET", "/_ping"] = answer
    runtime = lives.next_life()
    with pytest.raises(RuntimeUnavailable) as caught:
        await runtime.observe()
    assert caught.value.reason == "RuntimeUnavailable"
    assert caught.value.hint
    fake.answers.pop(("GET", "/_ping"))
    assert list(await runtime.observe()) == []


async def test_one_that_is_too_old_is_told_and_its_update_is_noticed(
    lives: DockerLives, fake: FakeEngine
) -> None:
    fake.version = "1.24"
    runtime = lives.next_life()
    with pytest.raises(RuntimeUnavailable, match=r"1\.24 of the API, which is too old"):
        await runtime.observe()
    fake.version = "1.99"
    assert list(await runtime.observe()) == []


async def test_events_that_break_off_are_asked_for_again(lives: DockerLives, fake: FakeEngine) -> None:
    runtime = lives.next_life()
    for body in ((200, b"{nonsense\n"), (500, {"message": "cannot"}), (HANGUP, b""), (200, b"")):
        fake.answers["GET", "/events"] = body
        fake.asked.clear()
        with anyio.fail_after(30):
            while "GET /events" not in fake.asked:
                await anyio.sleep(0.02)
    assert list(await runtime.observe()) == []


async def test_the_connections_to_one_that_listens_elsewhere_now_end(fake: FakeEngine) -> None:
    where = [fake.socket]
    client = engines.Engine(lambda: where[-1])
    with tempfile.TemporaryDirectory(prefix="atek-") as folder:
        async with fake_engine(Path(folder) / "engine.sock") as other:
            other.version, other.answers = "1.42", fake.answers
            assert await client.version() == "1.43"
            assert fake.open == 1
            where.append(other.socket)
            assert await client.call("GET", "/containers/json") == []
            assert await client.version() == "1.42"
            await closed(fake)
            await client.aclose()
            await closed(other)


async def closed(fake: FakeEngine) -> None:
    with anyio.fail_after(30):
        while fake.open:
            await anyio.sleep(0.01)
