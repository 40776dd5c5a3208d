"""Runs the tools that prepare packages (npm, uv): in a session of their own, watched line by line.

Their output goes to the service's prepare.log and, the last line at a time, to whoever asks for progress. A
cancelled run leaves no process; a failed one raises with the tool's own last words, and for good where these
say that waiting does not mend it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Protocol

from runtimes.base import Notice, PermanentFailure, RuntimeFailure
from runtimes.packages.environment import tool_environment
from runtimes.packages.tool_errors import ToolWords
from runtimes.processes.children import TABLE, NotStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runtimes.base import Progress
    from runtimes.network.rules import Refusal

#: Characters of a line that are kept for people; the log has all of it.
_LONGEST_LINE = 400


class Workshop(Protocol):
    """For the tools of one service. `cache` is theirs; `inherited` what they see of the node's variables."""

    @property
    def cache(self) -> Path: ...

    @property
    def inherited(self) -> Mapping[str, str]: ...

    @property
    def refused(self) -> Sequence[Refusal]:
        """Where the last tool wanted to go in vain."""
        ...

    async def execute(
        self,
        line: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_errors: Callable[[bytes], None] | None = None,
    ) -> int:
        """Runs a tool to its end and returns its status. Raises RuntimeFailure, or as `Table.execute`."""
        ...


async def execute_here(
    line: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    on_output: Callable[[bytes], None],
    on_errors: Callable[[bytes], None] | None = None,
) -> int:
    """On this machine, as whoever runs the node. Raises as `Table.execute`."""
    return await TABLE.execute(line, cwd=cwd, env=environment, on_output=on_output, on_errors=on_errors)


class OpenWorkshop:
    """Nothing is shut in."""

    execute = staticmethod(execute_here)

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.inherited = tool_environment()
        self.refused: Sequence[Refusal] = ()


class ToolLog:
    """A service's prepare.log: what the tools of its last preparation said."""

    def __init__(self, folder: Path, name: str = "prepare.log") -> None:
        self.service_id = folder.name
        self.path = folder / name
        self._fresh = False

    def open(self) -> BinaryIO:
        """For appending; the first time, what an earlier preparation left is dropped. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        how = os.O_APPEND if self._fresh else os.O_TRUNC
        self._fresh = True
        return open(os.open(self.path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb", buffering=0)


async def run_tool(
    what: str,
    line: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: ToolLog,
    progress: Progress,
    workshop: Workshop | None = None,
) -> None:
    """Runs to the end. Raises RuntimeFailure when it fails; `what` names the step for people.

    `workshop` is where it runs; left out: on this machine as it is.
    """
    progress(what)
    words = ToolWords()
    try:
        with log.open() as file:
            heard = _Heard(file, words, f"{what}: ", progress)
            execute = execute_here if workshop is None else workshop.execute
            code = await execute(line, cwd=cwd, environment=environment, on_output=heard.hear)
        heard.end()
    except NotStarted as error:
        raise RuntimeFailure("PrepareFailed", f"{what}: cannot run {line[0]}: {error.strerror}") from error
    refused = tuple(dict.fromkeys(workshop.refused)) if workshop is not None else ()
    for each in refused:
        progress(Notice(f"{what}: {each}", "EgressRefused"))
    if code != 0 and refused:
        raise blocked(what, refused, words, log)
    if code != 0 and words.disk_full:
        raise disk_full(log.service_id)
    if code != 0:
        kind = PermanentFailure if words.lasting else RuntimeFailure
        raise kind(
            "PrepareFailed",
            f"{what} failed with status {code}: {words}",
            hint=f"see `atek logs {log.service_id} --prepare`, which is {log.path}",
        )


def blocked(what: str, refused: Sequence[Refusal], words: ToolWords, log: ToolLog) -> PermanentFailure:
    """A tool that may go to registries only wanted to go elsewhere, and did not do without."""
    where = ", ".join(dict.fromkeys(each.host for each in refused))
    opens = ", ".join(dict.fromkeys(each.asks_for for each in refused))
    return PermanentFailure(
        "BuildBlocked",
        f"{what} failed: what others wrote is built without a way to {where}, which it asked for ({words})",
        hint=f"`egress: [{opens}]` in its manifest lets it; see `atek logs {log.service_id} --prepare`",
    )


def disk_full(service_id: str) -> RuntimeFailure:
    """What a person is told, whoever noticed it."""
    return RuntimeFailure(
        "DiskFull",
        f"there is no space left on the disk for the package of {service_id}",
        hint="free some; it will be tried again",
    )


class _Heard:
    """A tool's output, on its way to the log, to its last words and to whoever asks for progress."""

    def __init__(self, file: BinaryIO, words: ToolWords, prefix: str, progress: Progress) -> None:
        self._file = file
        self._words = words
        self._prefix = prefix
        self._progress = progress
        self._rest = b""

    def hear(self, chunk: bytes) -> None:
        """Raises OSError (a full disk)."""
        self._file.write(chunk)
        *lines, rest = (self._rest + chunk).split(b"\n")
        # A tool that never ends its line must not fill the memory.
        self._rest = rest[: 4 * _LONGEST_LINE]
        for line in lines:
            if text := _text(line):
                self._words.hear(text)
                self._progress(self._prefix + text)

    def end(self) -> None:
        if text := _text(self._rest):
            self._words.hear(text)


def _text(line: bytes) -> str:
    return printable(line.decode("utf-8", "replace"))


def printable(line: str) -> str:
    """As much of it as people are shown, without what would do something to their terminal."""
    return "".join(character for character in line.strip() if character.isprintable())[:_LONGEST_LINE]
