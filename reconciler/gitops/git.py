"""How git is run: with what the node gives it, and nothing else of this machine.

No configuration of the user or the system, no hooks, no filters, no agent, no prompt, no replaced ones;
one protocol, which is that of the URL, or none for what needs no server. What it prints, how long it takes
and how large its files get is bounded; whoever goes over is ended with all that it started.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from reconciler.gitops.troubles import AGAIN, GitTrouble, trouble_of
from runtimes.packages.environment import PROXIES
from runtimes.packages.public_network import public_way
from runtimes.processes.children import TABLE, NotStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds that an answer from a server, or from the disk, may take; and the way of a whole commit.
ASK, LOCAL, FETCH = 30.0, 120.0, 600.0
#: Bytes that git may print before it is ended, and of what it says about errors that are kept.
MOST_PRINTED, _MOST_SAID = 64 * 2**20, 2**16
#: Bytes of memory: a delta may claim to be anything.
_MEMORY = 2 * 2**30
#: A path where nothing is.
NOWHERE = "/nonexistent"
_PASSED_ON = ("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.commitGraph": "false",
    # Larger files are not held in memory, and packs only in parts.
    "core.bigFileThreshold": "16m",
    "core.packedGitLimit": "256m",
    "core.packedGitWindowSize": "32m",
    # Whoever waits for a commit waits for no disk: it is made safe once it is applied (`Repository.forget`).
    "core.fsync": "none",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "100",
    "http.lowSpeedTime": "60",
    "http.sslVerify": "true",
    "init.defaultBranch": "main",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "submodule.recurse": "false",
    "transfer.credentialsInUrl": "die",
}


class TooMuch(Exception):
    """Git printed more than it may."""


@dataclass(frozen=True, slots=True)
class Access:
    """How one server is asked: its protocol, and what git needs to know for it.

    `public_only`: a stranger has named it, so it is reached on the public network, or not at all.
    """

    protocol: str
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    public_only: bool = False


#: What is here already needs no server, and must not reach for one.
HERE = Access("none")


async def git(
    *arguments: str,
    url: str,
    access: Access = HERE,
    mirror: str = "",
    seconds: float = LOCAL,
    largest: int = 0,
    stdin: int = subprocess.DEVNULL,
    hear: Callable[[bytes], None] | None = None,
) -> bytes:
    """What git prints. Raises GitTrouble. `largest`: bytes of a file that it may write.

    `hear` gets what it prints instead, as it comes.
    """
    run = partial(
        _git, *arguments, url=url, mirror=mirror, seconds=seconds, largest=largest, stdin=stdin, hear=hear
    )
    if not access.public_only:
        return await run(access=access)
    async with public_way() as way:
        try:
            settings = {**access.settings, "http.proxy": way.url}
            return await run(access=replace(access, settings=settings))
        except GitTrouble as trouble:
            if not way.refused:
                raise
            why = f"{way.refused[0]} has no address of the public network"
            raise GitTrouble("NotPublic", f"{url}: {why}, where alone it may be fetched from") from trouble


async def _git(
    *arguments: str,
    url: str,
    access: Access,
    mirror: str,
    seconds: float,
    largest: int,
    stdin: int,
    hear: Callable[[bytes], None] | None,
) -> bytes:
    printed, said = bytearray(), bytearray()
    code = None
    try:
        with anyio.move_on_after(seconds):
            code = await TABLE.execute(
                [*(_limited(largest) if largest else ()), "git", *arguments],
                env=environment(access, mirror),
                cwd="/",
                stdin=stdin,
                on_output=hear or partial(_keep_all, printed),
                on_errors=partial(_keep_last, said),
            )
    except NotStarted as error:
        hint = "install git (apt install git)"
        raise GitTrouble("GitMissing", "there is no git on this machine", hint=hint) from error
    except TooMuch:
        raise GitTrouble("RepositoryTooLarge", f"{url}: it has too many refs or files to be listed") from None
    if code is None:
        raise GitTrouble("TakesTooLong", f"{url}: no end after {seconds:.0f} s", hint=AGAIN)
    if code != 0:
        words = said.decode("utf-8", "replace")
        # The kernel's word for a file that gets larger than it may, and git's for the same.
        if code == -25 or "File too large" in words or "signal 25" in words:
            raise GitTrouble("RepositoryTooLarge", f"{url}: it is larger than {largest} bytes")
        raise trouble_of(words, url)
    return bytes(printed)


def environment(access: Access = HERE, mirror: str = "") -> dict[str, str]:
    """All that git sees of this machine."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or (name.lower() in PROXIES and not access.public_only)
    }
    settings = {**_SETTINGS, **access.settings}
    counted = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (name, value) in enumerate(settings.items()):
        counted |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    own = {
        "GIT_ALLOW_PROTOCOL": access.protocol, "GIT_ASKPASS": "", "SSH_ASKPASS": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ATTR_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_GRAFT_FILE": NOWHERE, "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1", "HOME": NOWHERE,
        "LC_ALL": "C",
    }  # fmt: skip
    if mirror:
        own["GIT_DIR"] = mirror
    return {**passed, **own, **counted, **access.environment}


def _keep_all(into: bytearray, chunk: bytes) -> None:
    into += chunk
    if len(into) > MOST_PRINTED:
        raise TooMuch


def _keep_last(into: bytearray, chunk: bytes) -> None:
    into += chunk
    del into[:-_MOST_SAID]


def _limited(largest: int) -> tuple[str, ...]:
    """What sets bounds before git starts anything: a limit that came later would be nobody's but its own."""
    # In blocks of 512 bytes, says POSIX of the one; in kilobytes, says every shell of Linux of the other.
    script = f'ulimit -f {largest // 512 + 1}; ulimit -v {_MEMORY // 1024}; exec "$@"'
    return ("/bin/sh", "-c", script, "sh")
