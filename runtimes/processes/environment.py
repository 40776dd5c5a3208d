"""What a program of this machine sees, and the words that it is started with.

It sees exactly its own variables, the node's, and a minimal system: nothing is inherited. The node's are the
original Atek's (ATEK_ASSIGNED_SOCKET_FILE and so on), so that its apps run unchanged; a service's own
settings cannot override them.
"""

from __future__ import annotations

import os
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING

from manifests.packages.resolve import python_file
from runtimes.base import PermanentFailure
from runtimes.processes.executable import require_executable
from runtimes.processes.variables import (
    ROUTER_VARIABLE,
    SOCKET_VARIABLE,
    SYSTEM_PATH,
    TOKEN_VARIABLE,
    expand,
    own_variables,
    secret_variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Endpoint, Launch
    from runtimes.paths import Paths
    from runtimes.preparer import Program


def service_environment(
    launch: Launch,
    endpoint: Endpoint,
    program: Program,
    paths: Paths,
    secret_files: Mapping[str, str] = MappingProxyType({}),
    *,
    socket: Path,
    user: Mapping[str, str] = MappingProxyType({}),
    inside: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The whole environment of one instance.

    `secret_files`: where its secrets lie, by their names; `socket`: where it listens unless on a port;
    `user`: what says who it runs as; `inside`: what is to be known of the network of a strict sandbox.
    """
    service_id = launch.service.id
    data = os.fspath(paths.data(service_id))
    system = {
        "PATH": os.pathsep.join([*program.path, SYSTEM_PATH]),
        "HOME": data,
        "TMPDIR": os.path.join(data, "tmp"),
        "LANG": "C.UTF-8",
        **user,
        **inside,
    }
    node = {
        SOCKET_VARIABLE: os.fspath(socket),
        "ATEK_ASSIGNED_SERVICE_KEY": launch.identity.get("key", ""),
        "ATEK_HOST_PORT": str(paths.host_port),
        TOKEN_VARIABLE: launch.identity.get("token", ""),
        ROUTER_VARIABLE: launch.identity.get("routerToken", ""),
        "ATEK_DATA_DIR": data,
    }
    if endpoint.port is not None:
        node["PORT"] = str(endpoint.port)
    # Python holds back what it prints to a file; what a program said last would be missing from its log.
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    own = own_variables(launch.service.manifest, {**system, **node})
    return {**system, **unbuffered, **secret_variables(launch, secret_files), **own, **node}


def command_line(launch: Launch, program: Program, environment: Mapping[str, str]) -> list[str]:
    """The words to execute, the first one as a path that exists. Raises PermanentFailure."""
    words = launch.service.manifest.command or program.argv
    if not words:
        raise PermanentFailure(
            "NoEntryPoint", "nothing says which program to run", hint="add command: to the manifest"
        )
    line = expand(words, environment, launch.secrets.env)
    found = _find(line[0], program.cwd, environment["PATH"], _installs(launch.service))
    require_executable(found, search=environment["PATH"])
    return [found, *line[1:]]


def _installs(service: Service) -> str:
    """What would install more for it than the machine has, as a hint."""
    if service.package is None or service.runtime != "process":
        return ""
    file = python_file(service.package.path)
    return f"write runtime: python, as its {file} is of a Python package; or " if file else ""


def _find(command: str, folder: str, path: str, instead: str) -> str:
    if "/" in command:
        found = os.path.normpath(os.path.join(folder, command))
        if not os.path.exists(found):
            raise PermanentFailure(
                "CommandNotFound", f"there is no program {found}", hint="check command: in the manifest"
            )
        if not os.access(found, os.X_OK) or os.path.isdir(found):
            raise PermanentFailure(
                "NotExecutable", f"{found} is not an executable file", hint=f"try chmod +x {found}"
            )
        return found
    located = shutil.which(command, path=path)
    if located is None:
        raise PermanentFailure(
            "CommandNotFound",
            f"the program {command} is not on this machine",
            hint=f"{instead}install it, or write its whole path; services do not inherit your PATH",
        )
    return located
