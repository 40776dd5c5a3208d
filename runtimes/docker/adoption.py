"""What an earlier life of this node left on the engine: each of its containers is looked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from runtimes.base import RuntimeFailure
from runtimes.docker.failures import EngineAnswer
from runtimes.docker.labels import read_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtimes.docker.engine import Engine
    from runtimes.docker.labels import Labelled

#: Containers that are looked at, at a time.
_AT_A_TIME = 8


async def inspect_all(engine: Engine, listed: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All that the engine knows of them; those are left out that are gone by now.

    Raises EngineAnswer or RuntimeFailure when that cannot be known of one of them.
    """
    limit = anyio.Semaphore(_AT_A_TIME)
    found: list[dict[str, Any]] = []
    failures: list[EngineAnswer | RuntimeFailure] = []

    async def look(container: str) -> None:
        async with limit:
            try:
                found.append(await engine.call("GET", f"/containers/{container}/json"))
            except EngineAnswer as answer:
                if not answer.missing:
                    failures.append(answer)
            except RuntimeFailure as failure:
                failures.append(failure)

    async with anyio.create_task_group() as tasks:
        for each in listed:
            tasks.start_soon(look, str(each["Id"]))
    if failures:
        raise failures[0]
    return found


def read_container(found: Mapping[str, Any]) -> Labelled | None:
    """Which instance it is; None for one of another version."""
    return read_labels(found["Config"].get("Labels") or {})
