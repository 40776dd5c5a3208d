"""uv, which prepares Python packages, told to look where pip looks.

uv does not read pip's configuration. A machine whose pip was pointed at a mirror, at an index of its own or
at a folder of wheels would install from somewhere else, or not at all; so what pip would use is handed on in
uv's own variables, unless uv has been configured itself. pip takes the best version of all its indexes, uv by
default of the first that knows the name; with indexes from pip, uv is told to do as pip does.
"""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from runtimes.base import PermanentFailure
from runtimes.packages.environment import tool_environment
from runtimes.processes.children import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

#: pip's option, uv's variable, and what separates several values there.
_INDEX = ("index-url", "UV_DEFAULT_INDEX", " ")
_EXTRA = ("extra-index-url", "UV_INDEX", " ")
_LINKS = ("find-links", "UV_FIND_LINKS", ",")
_CERTIFICATES = ("cert", "SSL_CERT_FILE", " ")
#: Where a setting of pip can stand, the weakest first: config files, a command's section, PIP_*.
_SECTIONS = ("global", "install", ":env:")
#: Variables by which a person has told uv itself where packages are.
_OF_UV = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_LONGEST_PIP = 30.0


@functools.cache
def find_uv() -> str:
    """Raises PermanentFailure when uv is missing."""
    import uv

    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise PermanentFailure("NoUv", "uv is not installed", hint="pip install uv") from error


def uv_settings() -> dict[str, str]:
    """pip's registries as environment variables for uv. Runs pip, so it takes a third of a second."""
    if any(os.environ.get(name) for name in _OF_UV):
        return {}
    return translate(parse_pip_config(_ask_pip()), os.environ)


def translate(pip: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """uv's variables for pip's options; those that `environment` has already are left alone."""
    settings = {
        variable: separator.join(pip[option].split())
        for option, variable, separator in (_INDEX, _EXTRA, _LINKS, _CERTIFICATES)
        if pip.get(option, "").strip() and variable not in environment
    }
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        settings["UV_NO_INDEX"] = "1"
    if "UV_INDEX" in settings and "UV_INDEX_STRATEGY" not in environment:
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return settings


def parse_pip_config(listing: str) -> dict[str, str]:
    """The effective options in what `pip config list` prints: lines of section.option='value'."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.partition(".")
        if section in found:
            try:
                found[section][option] = str(ast.literal_eval(value))
            except (ValueError, SyntaxError):
                continue
    return {option: value for section in _SECTIONS for option, value in found[section].items()}


def _ask_pip() -> str:
    """Nothing where there is no pip: then nobody has configured it either."""
    try:
        line = [sys.executable, "-m", "pip", "config", "list"]
        return TABLE.run(line, timeout=_LONGEST_PIP, env=tool_environment())
    except (OSError, subprocess.SubprocessError):
        return ""
