"""The node's variables in a service's `env`: `$NAME` and `${NAME}` of those that the node documents. Pure.

Every other dollar is itself, so that a password's hash may be written as it is; `$$PORT` is the text `$PORT`.
Where `literalEnv` says so (it is said of Compose files and records) all dollars are themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.model.manifest import Manifest

#: What the node gives to each service, beside all that begin with `ATEK_`.
DOCUMENTED = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "PORT"})
_REFERENCE = re.compile(r"(\$?)\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


class UnknownVariable(Exception):
    """`name` refers to `variable`, which this service does not have."""

    def __init__(self, references: Sequence[tuple[str, str]]) -> None:
        told = ", ".join(f"env.{name} refers to ${variable}" for name, variable in references)
        super().__init__(f"{told}, which this service does not have")
        #: The names of variables, and what they refer to.
        self.references = references


def expands(env: Mapping[str, str]) -> bool:
    """Whether any value has a reference, escaped or not, so that it means something else than it says."""
    return any("$" in value and any(map(_documented, _REFERENCE.finditer(value))) for value in env.values())


def literal(manifest: Manifest) -> Manifest:
    """The same for a manifest whose author knows of no references."""
    needed = expands(manifest.env) and not manifest.literal_env
    return manifest.model_copy(update={"literal_env": True}) if needed else manifest


def expanded(manifest: Manifest, known: Mapping[str, str]) -> dict[str, str]:
    """The manifest's `env` with what is `known` of the node's variables. Raises UnknownVariable.

    A variable that the manifest sets anew is referred to by others as it is set; by itself, as it was.
    """
    if manifest.literal_env or not expands(manifest.env):
        return dict(manifest.env)
    set_anew = {name for name in manifest.env if name in known or name in DOCUMENTED}
    there = {name: known if name in set_anew else {*known, *set_anew} for name in manifest.env}
    if missing := [(n, each) for n, value in manifest.env.items() for each in _missing(value, there[n])]:
        raise UnknownVariable(missing)
    own = {name: _with(manifest.env[name], known) for name in set_anew}
    return {
        name: own[name] if name in own else _with(value, {**known, **own})
        for name, value in manifest.env.items()
    }


def expanded_where_known(manifest: Manifest, known: Mapping[str, str]) -> dict[str, str]:
    """The same without the values that refer to something else."""
    if manifest.literal_env or not expands(manifest.env):
        return dict(manifest.env)
    return {name: _with(value, known) for name, value in manifest.env.items() if not _missing(value, known)}


def _documented(match: re.Match[str]) -> bool:
    name = match[2] or match[3]
    return name in DOCUMENTED or name.startswith("ATEK_")


def _missing(value: str, known: Collection[str]) -> list[str]:
    """The documented variables that a value refers to and that are not there."""
    found = (
        match[2] or match[3] for match in _REFERENCE.finditer(value) if _documented(match) and not match[1]
    )
    return [variable for variable in dict.fromkeys(found) if variable not in known]


def _with(value: str, known: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        if not _documented(match):
            return match[0]
        if match[1]:
            return match[0][1:]
        return known[match[2] or match[3]]

    return _REFERENCE.sub(replacement, value)
