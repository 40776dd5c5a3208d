"""What Podman takes otherwise than Docker does, and what is made of it here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import PermanentFailure
from runtimes.docker.engine import Engine
from runtimes.docker.network import Networks
from tests.runtimes.docker.lives import docker_lives
from tests.runtimes.docker.podman import podman
from tests.runtimes.factories import service, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.runtimes.docker.lives import DockerLives

pytestmark = pytest.mark.anyio

NODE = "f" * 32
PROJECT = {"name": "wiki", "aliases": ["db"]}


class Known(Engine):
    """One that was asked already who it is."""

    def __init__(self, *, is_podman: bool) -> None:
        super().__init__()
        self._version, self._is_podman = "1.41", is_podman


DOCKER, PODMAN = Networks(Known(is_podman=False), NODE), Networks(Known(is_podman=True), NODE)


@pytest.fixture
def socket() -> str:
    return podman()


@pytest.fixture
async def lives(socket: str) -> AsyncIterator[DockerLives]:
    async with docker_lives(socket) as found:
        yield found


@pytest.mark.parametrize(
    ("manifest", "docker", "podman"),
    [({}, "private", "private_app"), ({"egress": True}, "egress", "egress_app"),
     ({"network": "host"}, "", ""), ({"network": "none"}, "", ""),
     ({"egress": True, "publish": ["1:80"]}, "egress", "egress_app"),
     ({"project": PROJECT}, "project_wiki", "project_wiki")],
)  # fmt: skip
async def test_services_have_networks_of_their_own(
    manifest: dict[str, Any], docker: str, podman: str
) -> None:
    of = service(runtime="docker", image="x", **manifest).manifest
    assert await DOCKER.kind(of) == docker
    assert await PODMAN.kind(of) == podman


async def test_nobody_gets_a_way_out_by_a_published_port() -> None:
    of = service(runtime="docker", image="x", publish=["1:80"]).manifest
    assert await DOCKER.kind(of) == "published"
    with pytest.raises(PermanentFailure) as caught:
        await PODMAN.kind(of)
    assert caught.value.reason == "EgressUnavoidable" and "egress: true" in caught.value.hint


@pytest.mark.xdist_group("docker")
async def test_two_services_share_no_network_and_keep_theirs_while_others_go(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    web = await started(runtime, lives.make("web", acts="serves", port=80))
    other = await started(runtime, lives.make("other"), instance="i2")
    assert web.endpoint.port == 80 and web.endpoint.host != other.endpoint.host
    assert await networks(lives, web.container) != await networks(lives, other.container)
    before = await networks(lives, web.container)
    await runtime.stop(other, force=True)
    with anyio.fail_after(30):
        await runtime.wait(other)
        await runtime.collect("other", [])
    assert await networks(lives, web.container) == before
    for name in before:
        assert (await lives.engine.call("GET", f"/networks/{name}"))["Internal"] is True
    assert await lives.runs() == {"i1"}


async def networks(lives: DockerLives, container: str) -> set[str]:
    found = await lives.engine.call("GET", f"/containers/{container}/json")
    return set(found["NetworkSettings"]["Networks"])
