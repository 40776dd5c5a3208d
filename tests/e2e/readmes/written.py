"""Commands as the READMEs have them: found, and held against the lines that tests run for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[3]
#: What a command begins with. A name alone is no command: `node` is a runtime, too.
_PROGRAMS = (
    "atek", "make", "npm", "node", "docker", "docker-compose", "python", "pip", "curl", "git", "chmod",
    "chown", "export", "systemctl", "loginctl", "sudo", "apt-get", "ssh",
)  # fmt: skip
_COMMAND = re.compile(rf"(?:\.venv/bin/)?(?:{'|'.join(_PROGRAMS)}) \S")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: `[--json]`, `NAME[@REF]`: with it and without are both right.
_OPTIONAL = re.compile(r" \[[^]]+\]|\[@[^]]+\]")
#: In a command: a name to fill in, and one or more of them.
_NAME, _VALUE = re.compile(r"(?<![\w$])[A-Z]+…?(?![\w=])|…"), r"""(?:"[^"]*"|'[^']*'|(?!-)[^\s@]+)"""


def readmes() -> list[str]:
    """All there are, but for those of libraries."""
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("README.md"))
    return sorted(str(path) for path in paths if not {".venv", "node_modules"} & set(path.parts))


def read(readme: str) -> str:
    return (ROOT / readme).read_text("utf-8")


def tours(text: str) -> dict[str, str]:
    """The shell lines of each part that has some, by its heading."""
    found: dict[str, str] = {}
    blank = _FENCED.sub(lambda block: " " * len(block[0]), text)
    for block in _FENCED.finditer(text):
        if block[1] == "sh":
            heading = re.findall(r"^#.*$", blank[: block.start()], re.MULTILINE)[-1]
            found[heading] = found.get(heading, "") + block[2]
    return found


def commands(text: str) -> list[str]:
    """Those in indented blocks and in the running text, without what is said of them."""
    prose = _FENCED.sub("", text)
    found: list[str] = []
    for line in re.findall(r"^    (\S.*)$", prose, re.MULTILINE):
        found += re.split(r" {2,}", line)
    found += (code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", prose))
    return list(dict.fromkeys(each for each in found if _COMMAND.match(each)))


def strays(run: Mapping[str, Iterable[str]]) -> list[str]:
    """Lines that are not what is written, and what may be written as well and no line has."""
    found: list[str] = []
    for command, lines in run.items():
        pattern = re.compile(_pattern(command))
        matches = {line: pattern.fullmatch(re.sub(r" --home \S+$", "", line)) for line in lines}
        found += [f"{line!r} is not {command!r}" for line, match in matches.items() if not match]
        used = [match.groups() for match in matches.values() if match]
        if not used or not all(any(column) for column in zip(*used, strict=True)):
            found.append(f"not all of {command!r} is run")
    return found


def _pattern(command: str) -> str:
    """Of the lines that are this command, a group for each optional part."""
    parts = _OPTIONAL.findall(command)
    between = _OPTIONAL.split(command)
    optional = [f"({_filled(part.replace('[', '').replace(']', ''))})?" for part in parts]
    return "".join(a + b for a, b in zip(map(_filled, between), [*optional, ""], strict=True))


def _filled(text: str) -> str:
    """Names may be anything, ports any."""
    pattern, at = "", 0
    for name in _NAME.finditer(text):
        pattern += (
            re.escape(text[at : name.start()]) + _VALUE + (rf"(?: {_VALUE})*" if "…" in name[0] else "")
        )
        at = name.end()
    pattern += re.escape(text[at:])
    return pattern.replace(":2835", r":\d+").replace(r"\ limits", r"(?:\ --\S+(?: [^-\s]\S*)?)+")
