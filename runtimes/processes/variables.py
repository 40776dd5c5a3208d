"""A service's own variables, and what `$NAME` means in its command: whatever it runs on. Pure.

What a secret says never gets into a command, which every user of the machine may read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from manifests.model.expansion import UnknownVariable, expanded
from runtimes.base import PermanentFailure

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.model.manifest import Manifest
    from runtimes.base import Launch

SOCKET_VARIABLE = "ATEK_ASSIGNED_SOCKET_FILE"
#: What it shows to the node, and what the node shows to it.
TOKEN_VARIABLE, ROUTER_VARIABLE = "ATEK_HOST_BEARER_TOKEN", "ATEK_ROUTER_TOKEN"
_TOKENS = (TOKEN_VARIABLE, ROUTER_VARIABLE)
GATEWAY_VARIABLE = "ATEK_HOST_SOCKET"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


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
    would be a surprise that nobody finds; and for the tokens and the variables named `secrets`, because
    everybody may read a command line.
    """
    named = (match[1] or match[2] for word in words for match in _REFERENCE.finditer(word))
    unknown = dict.fromkeys(name for name in named if name and name not in {*environment, *_TOKENS})
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
        if name in _TOKENS or name in secrets:
            raise PermanentFailure(
                "SecretInCommand",
                f"every user of this machine could read ${name} in the command",
                hint=f"let the program read it from its environment; a shell does with $${name}",
            )
        tokens = filter(None, map(environment.get, _TOKENS))
        if any(token in environment.get(name, "") for token in tokens):
            raise PermanentFailure(
                "SecretInCommand",
                f"every user of this machine could read the token that is in ${name} in the command",
                hint=f"let the program read it from its environment; a shell does with $${name}",
            )
        return environment[name]

    return _REFERENCE.sub(value, argument)
