"""What is kept of a Git source from one life of the node to the next: `state/git-sources/<name>.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import orjson

from manifests.files import read_json, set_aside, write_atomically
from reconciler.gitops.decide import Applied, Before, Held, Kept, Settling

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "state/git-sources"


class KeptFile:
    """One source's file, written whole."""

    def __init__(self, home: Path, name: str) -> None:
        self._path = home / FOLDER / f"{name}.json"

    def read(self) -> Kept:
        """Nothing where there is no file; a damaged one is moved aside, and counts as none."""
        found = self._load()
        if found is None:
            set_aside(self._path)
        return found or Kept()

    def peek(self) -> Kept:
        """As `read`, and nothing is touched."""
        return self._load() or Kept()

    def _load(self) -> Kept | None:
        """None of a damaged one."""
        try:
            value = read_json(self._path)
            return Kept() if value is None else _kept(value)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    async def write(self, kept: Kept) -> None:
        """Returns once it is on disk. Raises OSError."""
        await anyio.to_thread.run_sync(self._write, orjson.dumps(asdict(kept), default=sorted))

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._path, data)


def _kept(value: dict[str, Any]) -> Kept:
    settling = value["settling"]
    return Kept(
        origin=str(value["origin"]),
        applied=_applied(value["applied"]),
        previous=_applied(value["previous"]),
        settling=settling
        and Settling(
            {each: Before(**before) for each, before in settling["before"].items()},
            frozenset(settling["ran"]),
        ),
        held=value["held"] and Held(**value["held"]),
        attempted=str(value["attempted"]),
        pruned=tuple(value["pruned"]),
        staying=tuple(value["staying"]),
        left=dict(value["left"]),
    )


def _applied(value: dict[str, Any] | None) -> Applied | None:
    return None if value is None else Applied(**{**value, "services": tuple(value["services"])})
