"""Where the engine listens: DOCKER_HOST, Docker's usual socket, or Podman's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runtimes.docker.failures import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCKER_SOCKET = "/var/run/docker.sock"
_SCHEME = "unix://"


def find_socket(environment: Mapping[str, str] = os.environ) -> str:
    """The engine's Unix socket, which need not answer. Raises RuntimeUnavailable when there is none."""
    host = environment.get("DOCKER_HOST", "")
    if host and not host.startswith(_SCHEME):
        raise unavailable(f"at {host} cannot be used: only sockets of this machine can")
    if host:
        return host.removeprefix(_SCHEME)
    for candidate in _usual(environment):
        if os.path.exists(candidate):
            return candidate
    raise unavailable(f"is not there: nothing is at {DOCKER_SOCKET}")


def _usual(environment: Mapping[str, str]) -> Iterator[str]:
    yield DOCKER_SOCKET
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield os.path.join(runtime, "docker.sock")
        yield os.path.join(runtime, "podman", "podman.sock")
    yield "/run/podman/podman.sock"
