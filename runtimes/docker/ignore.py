""".dockerignore: which files of a package are not sent to the engine. Pure but for `read_ignore`.

The rules are Docker's (https://docs.docker.com/build/concepts/context/#dockerignore-files): patterns of Go's
filepath.Match from the root of the package, `**` for any number of folders, `!` takes back, the last rule
that matches decides.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

FILE = ".dockerignore"


@dataclass(frozen=True, slots=True)
class Ignore:
    """`rules`: what to match, and whether it excludes. `always` is sent whatever they say."""

    rules: tuple[tuple[re.Pattern[str], bool], ...] = ()
    always: tuple[str, ...] = (FILE,)

    def excludes(self, path: str) -> bool:
        """Whether a file of this relative path is left out."""
        if path in self.always:
            return False
        excluded = False
        for pattern, excludes in self.rules:
            if pattern.match(path):
                excluded = excludes
        return excluded


def read_ignore(folder: str, dockerfile: str) -> Ignore:
    """The rules of a package; none without a file. The engine needs its Dockerfile. Raises OSError."""
    try:
        with open(os.path.join(folder, FILE), encoding="utf-8", errors="replace") as file:
            return parse_ignore(file.read(), dockerfile)
    except FileNotFoundError:
        return Ignore()


def parse_ignore(text: str, dockerfile: str = "Dockerfile") -> Ignore:
    """Lines that are no pattern (unclosed brackets) match their own letters."""
    rules = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        excludes = not line.startswith("!")
        pattern = os.path.normpath(line.removeprefix("!").strip().lstrip("/"))
        if pattern != ".":
            # What is below a folder that matches, matches too.
            rules.append((re.compile(f"{_expression(pattern)}(/.*)?$", re.DOTALL), excludes))
    return Ignore(tuple(rules), (FILE, dockerfile))


def _expression(pattern: str) -> str:
    found, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            found += "(.*/)?" if pattern[at - 1] == "/" else ".*"
            continue
        end = pattern.find("]", at) if pattern[at] == "[" else -1
        if end > at + 1:
            found += "[" + pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[") + "]"
            at = end + 1
            continue
        found += {"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at]))
        at += 1
    return found
