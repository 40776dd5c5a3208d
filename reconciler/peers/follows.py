"""Which nodes this one follows: `state/follows.json`, because a database's key is a secret.

A file that cannot be read must not look like one without follows: then all that they run would be pruned.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import ValidationError

from manifests.files import read_json, write_atomically
from manifests.model.policy import Policy
from manifests.model.snapshot import Problem, Snapshot
from reconciler.errors import UserError
from reconciler.peers.port import Follow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_KEY = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"\S+:[0-9]{1,5}")
#: Names that sources of other kinds have.
RESERVED = frozenset({"config", "manifests", "records", "follows"})


class FollowsFile:
    """The file. `problem` is there while it cannot be read."""

    def __init__(self, home: Path) -> None:
        self._path = home / "state" / "follows.json"
        self.problem: Problem | None = None

    def read(self) -> list[Follow]:
        """Those that stand in it, in their order."""
        try:
            value = read_json(self._path)
            return [_from_json(each) for each in value["follows"]] if value is not None else []
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            self.problem = Problem(
                f"it cannot be read: {reason}", str(self._path), hint="mend it, or delete it and follow again"
            )
            return []

    def write(self, follows: Sequence[Follow]) -> None:
        """Raises UserError with nothing changed. So seldom that everybody else may wait for the disk."""
        if self.problem is not None:
            raise UserError(str(self.problem), hint="this node follows nobody else until then")
        data = json.dumps({"follows": [_to_json(each) for each in follows]}, indent=1).encode()
        try:
            write_atomically(self._path, data)
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror or error}") from error


class UnreadableFollows:
    """A `Source` that knows nothing, so that nobody takes what others declare for absent."""

    name = "follows"

    def __init__(self, problem: Problem) -> None:
        self.snapshot = Snapshot(self.name, "follow", problems=(problem,), known=False)

    async def scan(self) -> None:
        """There is nothing to look at."""

    async def watch(self, changed: Callable[[], None]) -> None:
        await anyio.sleep_forever()


def checked(follow: Follow, others: Sequence[Follow], own_key: str) -> Follow:
    """The follow as it is kept. Raises UserError for one that cannot be."""
    follow = replace(follow, key=follow.key.lower(), noise=follow.noise.lower())
    if not _NAME.fullmatch(follow.name) or follow.name in RESERVED:
        raise UserError(
            f"{follow.name!r} cannot be the name of a node that is followed",
            hint="small letters, digits and -, at most 63 characters, like laptop",
        )
    for key in filter(None, (follow.key, follow.noise)):
        if not _KEY.fullmatch(key):
            raise UserError(f"{key!r} is no key", hint="a key has 64 hex digits: `atek key` tells it")
    if not follow.key:
        raise UserError("a follow needs the key of a database", hint="`atek key` on that node tells it")
    if follow.at and not _ADDRESS.fullmatch(follow.at):
        raise UserError(f"{follow.at!r} is no address", hint="write a host and a port: 10.0.0.7:49737")
    if follow.key == own_key:
        raise UserError("that is this node's own key", hint="use the key that `atek key` tells on the other")
    for other in others:
        if other.key == follow.key and other.name != follow.name:
            raise UserError(
                f"that node is followed already, as {other.name}", hint=f"`atek unfollow {other.name}` first"
            )
    return follow


def _to_json(follow: Follow) -> dict[str, Any]:
    value = {"name": follow.name, "key": follow.key, "noise": follow.noise, "at": follow.at}
    return {name: text for name, text in value.items() if text} | {"policy": follow.policy.to_json()}


def _from_json(value: Any) -> Follow:
    """Raises ValueError, KeyError or TypeError for what `_to_json` did not make."""
    if not isinstance(value, dict):
        raise ValueError("not what this node writes")
    try:
        policy = Policy.model_validate(value.get("policy", {}))
    except ValidationError as error:
        raise ValueError("it has a policy that this version does not know") from error
    texts = {name: value.get(name, "") for name in ("name", "key", "noise", "at")}
    if not all(isinstance(text, str) for text in texts.values()) or not _KEY.fullmatch(texts["key"]):
        raise ValueError("not what this node writes")
    return Follow(**texts, policy=policy)
