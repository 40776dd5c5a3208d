"""Why a tool failed, out of all that it said: its errors, and not what stands around them. Pure.

The first error is the cause as a rule, and what follows are its consequences, its details, and advice. What
was said before it by others (a script that a package manager ran) tells where it happened.

Whether waiting can mend it, a tool says too: a version that nobody published stays away, a lock that does not
fit goes on not fitting. Whatever smells of the network besides is tried again.
"""

from __future__ import annotations

import re
from collections import deque

#: How many of the first errors, of the last ones, and of the lines before all of them a failure repeats.
_FIRST_ERRORS, _LAST_ERRORS, _LAST_LINES = 4, 2, 3
#: What compilers, interpreters and package managers (npm, yarn, pnpm, uv, pip, poetry) begin an error with.
_IS_ERROR = re.compile(
    r"^(npm (error|ERR!)|yarn error|ERR_PNPM|ERROR\b|error\b|cause:|× |╰─▶|fatal:|E: |make.*: \*\*\* )"
    r"|^(Uncaught |Caused by: )?([a-z_]+\.)*[A-Z]\w*(Error|Exception|Exit)\b( \[\w+\])?(:|$)"
    r"|^\S+:\d+(:\d+)?: (fatal )?error: |^\S+\(\d+,\d+\): error |\bnot found$",
    re.IGNORECASE,
)
#: Around an error: traces, progress, where logs are, what was run, what a program prints with nothing in it.
_IS_NOISE = re.compile(
    r"^(npm (warn|notice)|npm (error|ERR!)( \d+)?$"
    r"|npm (error|ERR!) (A complete log|path|cwd|command|gyp (info|verb)|For a full report)"
    r"|npm (error|ERR!) (/\S+$|node_modules/)"
    r"|npm (error|ERR!) (syscall |errno |If you are behind|[\]})]+$)|➤ YN0000: "
    r"|npm (error|ERR!) (Fix the upstream dependency|While resolving|Could not resolve dependency:$)"
    r"|warning |info |\[\d+/\d+\] |yarn install v\d"
    r"|npm (error|ERR!) \d+ (Note that|tarball|You should bug)"
    r"|> |-+> |(Step|STEP) \d+/\d+ ?:|Removing intermediate container"
    r"|at |hint:|Using Python|Node\.js v\d|node:internal/|Traceback \(|File \"|Require stack:"
    r"|(code|errno|syscall|path|spawnargs|requireStack|digest): .*[,\[\]{}'\"]$"
    r"|throw \w|\[(stdout|stderr)\]$)"
    r"|^[^\w×╰]*$"
)
#: From here on npm explains itself: its usage, all of its options.
_USAGE = re.compile(r"npm (error|ERR!) (Usage:|Options:|Clean install a project|Install a project)")
#: What npm ran, which is all that it says of an install script that ended without a word.
_COMMAND = re.compile(r"npm (?:error|ERR!) command (sh -c .+)")
#: How npm, yarn (1 and modern), pnpm, uv and pip say that what was asked for is not there, or not meant so.
_LASTS = re.compile(
    r"^npm (error|ERR!) code (ETARGET|E404|ENOVERSIONS|ERESOLVE|EUSAGE|EOVERRIDE|EJSONPARSE|EBADENGINE"
    r"|EBADPLATFORM|EINVALIDPACKAGENAME|EINVALIDTAGNAME|EUNSUPPORTEDPROTOCOL)\b"
    r"|^error (Your lockfile needs to be updated|Couldn't find (any versions|package|match) )"
    r"|^error An unexpected error occurred: \"\S+: Not found\""
    r"|^\W*YN00(16|28|35|82)\b.*(tag not found|would have been|not found|404|No candidates)"
    r"|ERR_PNPM_(NO_MATCHING_VERSION|NO_VERSIONS|FETCH_404|OUTDATED_LOCKFILE|BROKEN_LOCKFILE|LOCKFILE_\w+"
    r"|SPEC_NOT_SUPPORTED\w*|UNSUPPORTED_ENGINE|LINKED_PKG_DIR_NOT_FOUND|JSON_PARSE)\b"
    r"|No solution found when resolving|No matching distribution found for"
    r"|^error: (Failed to parse|Couldn't parse requirement|Unsupported requirement|Distribution not found at)"
    r"|^error: Error parsing included file|^error: (Requirements f|F)ile not found: "
    r"|^error: The lockfile at \S+ needs to be updated",
)
#: How they all say that somebody did not answer, or not as usual.
_PASSES = re.compile(
    r"\b(ECONN\w+|E?TIMEDOUT|ENOTFOUND|EAI_\w+|ENETUNREACH|EHOSTUNREACH|ESOCKET\w*|ERR_SOCKET\w*)\b"
    r"|\bnetwork (is|was|connectivity|error|request|timeout|problem)|timed? ?out|dns error"
    r"|error sending request|connection (refused|reset|broken|error|closed)|certificate"
    r"|Could not (resolve host|connect)|Failed to (fetch|connect)|\bRetrying\b"
    r"|\b(HTTP|status|code:?|Error:) ?(429|5\d\d)\b"
    r"|\bE?(401|403|429|5\d\d) (Unauth|Forb|Too|Inter|Bad G|Serv|Gate)",
    re.IGNORECASE,
)


class ToolWords:
    """Hears a tool line by line."""

    def __init__(self) -> None:
        self.disk_full = False
        self._lasts = self._passes = self._explains = False
        self._command = ""
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST_ERRORS)
        self._before: deque[str] = deque(maxlen=_LAST_LINES)

    def hear(self, text: str) -> None:
        """One line, without what is not printable."""
        self.disk_full |= "ENOSPC" in text or "No space left on device" in text
        self._lasts |= _LASTS.search(text) is not None
        self._passes |= _PASSES.search(text) is not None
        if ran := _COMMAND.match(text):
            self._command = ran[1]
        self._explains |= _USAGE.match(text) is not None
        if _IS_NOISE.search(text) or (self._explains and text.startswith("npm ")):
            return
        if _IS_ERROR.search(text):
            self._hear_error(text)
        elif not self._first:
            self._before.append(text)

    @property
    def lasting(self) -> bool:
        """Whether the tool says clearly that the same again would fail again."""
        return self._lasts and not self._passes and not self.disk_full

    def __bool__(self) -> bool:
        return bool(self._before or self._first)

    def _hear_error(self, text: str) -> None:
        if text in self._first or text in self._last:
            return
        if len(self._first) < _FIRST_ERRORS:
            self._first.append(text)
        else:
            self._last.append(text)

    def __str__(self) -> str:
        told = [*self._before, *self._first, *self._last]
        if self._command and len(told) <= 1:
            told.append(self._command)
        return " | ".join(told) or "it said nothing"
