"""What a service sees: exactly its own variables, the node's, and a minimal system. Nothing is inherited.

The node's variables are the original Atek's (ATEK_ASSIGNED_SOCKET_FILE and so on), so that its apps run
unchanged; a service's own settings cannot override them.
"""

from __future__ import annotations

import os
import re
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING

from manifests.model.expansion import UnknownVariable, expanded
from manifests.packages.resolve import python_file
from runtimes.base import PermanentFailure
from runtimes.processes.executable import require_executable
from runtimes.processes.marks import SOCKET_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.model.manifest import Manifest
    from manifests.model.service import Service
    from runtimes.base import Endpoint, Launch
    from runtimes.paths import Paths
    from runtimes.preparer import Program

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


def service_environment(
    launch: Launch,
    endpoint: Endpoint,
    program: Program,
    paths: Paths,
    secret_files: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The whole environment of one instance. `secret_files`: where its secrets lie, by their names."""
    service_id = launch.service.id
    data = os.fspath(paths.data(service_id))
    system = {
        "PATH": os.pathsep.join([*program.path, SYSTEM_PATH]),
        "HOME": data,
        "TMPDIR": os.path.join(data, "tmp"),
        "LANG": "C.UTF-8",
    }
    node = {
        SOCKET_VARIABLE: os.fspath(paths.socket(launch.instance)),
        "ATEK_ASSIGNED_SERVICE_KEY": launch.identity.get("key", ""),
        "ATEK_HOST_PORT": str(paths.host_port),
        TOKEN_VARIABLE: launch.identity.get("token", ""),
        "ATEK_DATA_DIR": data,
    }
    if endpoint.port is not None:
        node["PORT"] = str(endpoint.port)
    # Python holds back what it prints to a file; what a program said last would be missing from its log.
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    own = own_variables(launch.service.manifest, {**system, **node})
    return {**system, **unbuffered, **secret_variables(launch, secret_files), **own, **node}


def secret_variables(launch: Launch, files: Mapping[str, str]) -> dict[str, str]:
    """The secrets that are variables, and where the others are: `NAME_FILE`."""
    return {**{f"{name}_FILE": path for name, path in files.items()}, **launch.secrets.env}


def own_variables(manifest: Manifest, known: Mapping[str, str]) -> dict[str, str]:
    """A service's `env`, the node's variables put in. Raises PermanentFailure for one that is not there."""
    try:
        return expanded(manifest, known)
    except UnknownVariable as error:
        variables = dict.fromkeys(variable for _, variable in error.references)
        escaped = (f"$${variable} for the text ${variable}" for variable in variables)
        port = "; PORT is there with port: auto" if "PORT" in variables else ""
        raise PermanentFailure(
            "UnknownVariable", str(error), hint=f"write {', '.join(escaped)}, or literalEnv: true{port}"
        ) from error


def expand(words: Sequence[str], environment: Mapping[str, str], secrets: Collection[str] = ()) -> list[str]:
    """`$NAME` and `${NAME}` become the variable's value, `$$` a dollar.

    Raises PermanentFailure for names that the service does not have, because an empty word in their place
    would be a surprise that nobody finds; and for the token and the variables named `secrets`, because
    everybody may read a command line.
    """
    named = (match[1] or match[2] for word in words for match in _REFERENCE.finditer(word))
    unknown = dict.fromkeys(name for name in named if name and name not in {*environment, TOKEN_VARIABLE})
    if unknown:
        names = ", ".join(f"${name}" for name in unknown)
        raise PermanentFailure(
            "UnknownVariable",
            f"the command refers to {names}, which this service does not have",
            hint=f"add {', '.join(unknown)} to env:, or write $$ for a dollar sign",
        )
    return [_expand(word, environment, secrets) for word in words]


def _expand(argument: str, environment: Mapping[str, str], secrets: Collection[str]) -> str:

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        if name == TOKEN_VARIABLE or name in secrets:
            raise PermanentFailure(
                "SecretInCommand",
                f"every user of this machine could read ${name} in the command",
                hint=f"let the program read it from its environment; a shell does with $${name}",
            )
        token = environment.get(TOKEN_VARIABLE)
        if token and token in environment.get(name, ""):
            raise PermanentFailure(
                "SecretInCommand",
                f"every user of this machine could read the token that is in ${name} in the command",
                hint=f"let the program read it from its environment; a shell does with $${name}",
            )
        return environment[name]

    return _REFERENCE.sub(value, argument)


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
