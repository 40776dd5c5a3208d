"""Pulling from a registry: by tag and digest, with and without credentials, and what can be wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runtimes.base import RuntimeFailure
from runtimes.docker.engine import Engine
from runtimes.docker.failures import EngineAnswer
from runtimes.docker.images import Images
from tests.runtimes.docker.registry import registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("docker")]

PASSWORD = "correct-horse"


class Puller:
    """One engine, the credentials that a test writes, and all that was told."""

    def __init__(self, socket: str, file: Path) -> None:
        self.engine = Engine(lambda: socket)
        self.file = file
        self.told: list[str] = []
        self._images = Images(self.engine, file)
        self._pulled: set[str] = set()

    def credentials(self, address: str, password: str, mode: int = 0o600) -> None:
        self.file.write_text(json.dumps({address: {"username": "me", "password": password}}))
        self.file.chmod(mode)

    async def pull(self, reference: str, policy: str = "always") -> str:
        """The content that it has then."""
        await self._images.ensure(reference, policy, self.told.append)
        self._pulled.add(reference)
        found = await self.engine.call("GET", f"/images/{reference}/json")
        return str(found["Config"]["Labels"]["content"])

    async def fails(self, reference: str, policy: str = "always") -> RuntimeFailure:
        with pytest.raises(RuntimeFailure) as caught:
            await self.pull(reference, policy)
        assert PASSWORD not in f"{caught.value} {caught.value!r} {caught.value.__cause__} {self.told}"
        return caught.value

    async def close(self) -> None:
        for reference in self._pulled:
            try:
                await self.engine.call("DELETE", f"/images/{reference}", query={"force": True})
            except EngineAnswer as answer:
                assert answer.missing, answer.message
        await self.engine.aclose()


@pytest.fixture
async def puller(socket: str, tmp_path: Path) -> AsyncIterator[Puller]:
    made = Puller(socket, tmp_path / "registries.json")
    yield made
    await made.close()


async def test_by_tag_with_progress_and_as_fresh_as_the_policy_wants(puller: Puller) -> None:
    with registry() as found:
        image = f"{found.address}/team/app"
        found.add("team/app", "1", "first")
        failure = await puller.fails(f"{image}:1", "never")
        assert (failure.reason, found.asked) == ("ImageMissing", [])
        assert await puller.pull(f"{image}:1", "ifNotPresent") == "first"
        assert puller.told[0] == f"pulls {image}:1"
        assert any(line.endswith(" MiB") for line in puller.told), puller.told
        found.add("team/app", "1", "second")
        found.asked.clear()
        assert await puller.pull(f"{image}:1", "ifNotPresent") == "first"
        assert await puller.pull(f"{image}:1", "never") == "first"
        assert found.asked == []
        assert await puller.pull(f"{image}:1", "always") == "second"


async def test_a_digest_is_what_was_asked_for_or_nothing(puller: Puller) -> None:
    with registry() as found:
        image = f"{found.address}/app"
        digest = found.add("app", "1", "first")
        other = found.add("app", "1", "second")
        assert await puller.pull(f"{image}@{digest}") == "first"
        found.manifests["app", other] = found.manifests["app", digest]
        failure = await puller.fails(f"{image}@{other}")
        assert failure.reason == "ImagePullFailed"


@pytest.mark.parametrize("tokens", [False, True], ids=["basic", "token"])
async def test_who_may_pull(puller: Puller, tokens: bool) -> None:
    with registry(user="me", password=PASSWORD, tokens=tokens) as found:
        found.add("app", "1", "private")
        image = f"{found.address}/app:1"
        for wrong in (None, "battery-staple"):
            if wrong:
                puller.credentials(found.address, wrong)
            failure = await puller.fails(image)
            assert failure.reason == "ImagePullFailed"
            assert "registries.json" in failure.hint, failure.message
        puller.credentials("other.example.com", PASSWORD)
        assert "registries.json" in (await puller.fails(image)).hint
        puller.credentials(found.address, PASSWORD)
        assert await puller.pull(image) == "private"
        assert PASSWORD not in str(puller.told)


async def test_credentials_that_others_may_read_are_not_used(puller: Puller) -> None:
    with registry(user="me", password=PASSWORD) as found:
        found.add("app", "1", "private")
        puller.credentials(found.address, PASSWORD, 0o640)
        failure = await puller.fails(f"{found.address}/app:1")
        assert (failure.reason, failure.permanent) == ("CredentialsExposed", True)
        assert failure.hint == f"chmod 600 {puller.file}"
        assert found.asked == []


async def test_what_is_not_there_and_a_registry_that_is_away(puller: Puller) -> None:
    with registry() as found:
        found.add("app", "1", "here")
        failure = await puller.fails(f"{found.address}/app:2")
        assert failure.reason == "ImagePullFailed"
        assert "name and tag" in failure.hint, failure.message
        missing = await puller.fails(f"{found.address}/nothing:1")
        assert "name and tag" in missing.hint, missing.message
    away = await puller.fails(f"{found.address}/app:1")
    assert (away.reason, away.permanent) == ("ImagePullFailed", False)
    assert "registry" in away.hint, away.message
