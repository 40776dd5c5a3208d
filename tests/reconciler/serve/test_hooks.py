"""The door for hooks of Git servers: what each of them is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import pytest

from reconciler.gitops.port import NoGit
from reconciler.http.messages import Request, Response
from reconciler.serve.hooks import hooks
from tests.reconciler.fakes import FakeNode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.gitops.port import Hooked

pytestmark = pytest.mark.anyio


@dataclass
class Doorbell(NoGit):
    """Says of every hook the same."""

    says: Hooked
    heard: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    def hook(self, name: str, headers: Mapping[str, str], body: bytes) -> Hooked:
        self.heard.append((name, headers, body))
        return self.says


async def elsewhere(request: Request) -> Response:
    return Response(200, b"another page")


def sent(path: str = "/_atek/hooks/git/home", method: str = "POST") -> Request:
    return Request(method, path, "", {"x-hub-signature-256": "sha256=ab"}, b"{}")


@pytest.mark.parametrize(
    ("says", "status"),
    [("Rung", 202), ("Repeated", 200), ("TooOften", 429), ("Unsigned", 401), ("Unknown", 404)],
)
async def test_what_servers_are_told(says: Hooked, status: int) -> None:
    bell = Doorbell(says)
    response = await hooks(FakeNode(git=bell), otherwise=elsewhere)(sent())
    assert response.status == status
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body)["error"] == (status >= 400)
    assert bell.heard == [("home", {"x-hub-signature-256": "sha256=ab"}, b"{}")]


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_only_what_is_posted_rings(method: str) -> None:
    bell = Doorbell("Rung")
    response = await hooks(FakeNode(git=bell), otherwise=elsewhere)(sent(method=method))
    assert (response.status, bell.heard) == (405, [])
    assert response.headers["allow"] == "POST"


async def test_other_pages_are_others() -> None:
    response = await hooks(FakeNode(), otherwise=elsewhere)(sent("/livez", "GET"))
    assert response.body == b"another page"


async def test_a_node_without_git_sources_knows_none() -> None:
    assert (await hooks(FakeNode(), otherwise=elsewhere)(sent())).status == 404
