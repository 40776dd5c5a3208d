"""Which packages are older than they need be, because their newer releases want a newer Python.

Resolvers say nothing of it: a release that does not suit the interpreter does not exist for them. So what was
asked for is resolved once more, for the newest Python, without being installed.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from runtimes.packages.python_way import Way

#: The newest Python that most packages are released for.
NEWEST = "3.14"
_FILE = ".atek-newest.txt"
_PINNED = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")
_RELEASE = re.compile(r"(?:v|\d+!)?(\d+(?:\.\d+)*)")


def newest_words(way: Way) -> tuple[str, ...] | None:
    """uv's words for what the newest Python would get; None where a lock decides, or nothing does."""
    if "-r" not in way.words or way.files or way.words[-1] == "pylock.toml":
        return None
    options = ("--no-deps", "--no-header", "--no-annotate", "--quiet", "--python-version", NEWEST)
    return ("pip", "compile", way.words[-1], *options, "--output-file", _FILE)


def find_older(copy: Path, venv: Path) -> list[str]:
    """A sentence for each package that is older; what was asked is gone then."""
    try:
        answer = (copy / _FILE).read_text("utf-8")
        (copy / _FILE).unlink()
    except OSError:
        return []
    newest = {_normal(name): version for name, version in _PINNED.findall(answer)}
    here = _installed(venv)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [
        f"{name} {here[name]} instead of {version}, which wants a newer Python than {python}"
        for name, version in sorted(newest.items())
        if name in here and _release(here[name]) < _release(version)
    ]


def _installed(venv: Path) -> dict[str, str]:
    found = {}
    for folder in venv.glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        found[_normal(name)] = version
    return found


def _release(version: str) -> tuple[int, ...]:
    """What orders final releases; there is none of a text that is no version."""
    match = _RELEASE.match(version)
    return tuple(map(int, match[1].split("."))) if match else ()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
