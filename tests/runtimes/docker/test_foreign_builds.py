"""A Dockerfile of somebody else's source is built without a network, and says so where that is missing."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from manifests.model.judgement import narrow
from manifests.model.manifest import Manifest
from manifests.model.policy import Policy
from runtimes.base import RuntimeFailure
from runtimes.docker.build import build
from tests.runtimes.factories import service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Engine:
    """Answers each build with these lines; `asked` are the queries."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self.asked: list[dict[str, Any]] = []

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, query: dict[str, Any], body: object
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append(query)

        async def answer() -> AsyncIterator[bytes]:
            yield self._said

        yield answer()


@pytest.mark.parametrize("trust", ["own", "foreign"])
async def test_what_others_wrote_is_built_without_a_network(tmp_path: Path, trust: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    manifest = Manifest.model_validate({"id": "app", "source": os.fspath(tmp_path)})
    policy = Policy.model_validate({"trust": trust, "runtimes": ["docker"]})
    judged = narrow(policy, manifest, "docker", (), "theirs")
    of = replace(service(runtime="docker", package=os.fspath(tmp_path)), manifest=judged)
    engine = Engine(b'{"error": "curl: (6) Could not resolve host"}\n')
    with pytest.raises(RuntimeFailure) as caught:
        await build(engine, of, "tag", node="n", progress=lambda _: None)  # type: ignore[arg-type]
    assert engine.asked[0].get("networkmode") == (None if trust == "own" else "none")
    assert ("without any network" in caught.value.hint) == (trust == "foreign")
