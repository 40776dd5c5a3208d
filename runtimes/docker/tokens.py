"""How an instance in a container has its tokens, which are new with each start.

A container's environment is the one that it was made with, and one that can be written to is started again
instead of made anew (`ended`): what it had first would be good for ever. So such a one has its tokens as
files, as secrets can be, which are there anew before each start: `ATEK_HOST_BEARER_TOKEN_FILE` and
`ATEK_ROUTER_TOKEN_FILE` say where. All others have them as variables; so has one whose manifest puts a token
into a variable of its own, which nobody could change either.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from runtimes.base import SecretFile
from runtimes.docker.ended import is_worth_keeping
from runtimes.docker.spec import TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifests.model.service import Service
    from runtimes.base import Launch
    from runtimes.memory_files import MemoryFiles

_LONGEST = 4096


def as_files(launch: Launch) -> Launch:
    """The same start, with its tokens among its secret files where its container may be started again."""
    if not is_worth_keeping(launch.service) or _is_named(launch.service):
        return launch
    files = [
        SecretFile(name, launch.identity[key].encode())
        for key, name in TOKENS.items()
        if launch.identity.get(key)
    ]
    identity = {key: value for key, value in launch.identity.items() if key not in TOKENS}
    secrets = replace(launch.secrets, files=(*launch.secrets.files, *files))
    return replace(launch, identity=identity, secrets=secrets)


def as_made(launch: Launch, environment: Sequence[str]) -> Launch:
    """The start of a container that was made before: by an earlier version with its tokens as variables."""
    found = {key: variable(environment, name) for key, name in TOKENS.items()}
    if not any(found.values()):
        return as_files(launch)
    return replace(launch, identity={**launch.identity, **found})


def tokens_of(instance: str, environment: Sequence[str], memory: MemoryFiles) -> Mapping[str, str]:
    """Those that a container was started with; what nobody knows is empty."""
    places = memory.paths(instance, [SecretFile(name, b"") for name in TOKENS.values()])
    return {key: variable(environment, name) or _read(places.get(name, "")) for key, name in TOKENS.items()}


def variable(environment: Sequence[str], name: str) -> str:
    """Of an engine's list of `NAME=value`; empty where there is none."""
    prefix = f"{name}="
    return next((each.removeprefix(prefix) for each in environment if each.startswith(prefix)), "")


def _is_named(service: Service) -> bool:
    values = () if service.manifest.literal_env else service.manifest.env.values()
    return any(name in value for value in values for name in TOKENS.values())


def _read(path: str) -> str:
    """In a folder that only this node writes to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    with open(descriptor, "rb") as file:
        return file.read(_LONGEST).decode("ascii", "replace")
