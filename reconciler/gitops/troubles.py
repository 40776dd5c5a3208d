"""What can be wrong with a repository: what git, ssh and curl say, as one reason for each kind. Pure.

A reason is UpperCamelCase and stable. What is `passing` heals by itself: it is tried again at the next look;
of everything else the hint says what a person can do. Words that nobody knows are told as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from manifests.model.base import printable


class GitTrouble(Exception):
    """Why a repository, or a commit of it, cannot be had: a reason, a sentence, and a hint."""

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = printable(message.replace("\n", " "), _LONGEST)
        self.hint = printable(hint, _LONGEST)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class _Kind:
    reason: str
    words: re.Pattern[str]
    message: str
    hint: str


_LONGEST = 1000
#: Lines of what git said last, and characters of each, that are told.
_TOLD, _LINE = 3, 300


def _kind(reason: str, words: str, message: str, hint: str) -> _Kind:
    return _Kind(reason, re.compile(words, re.IGNORECASE), message, hint)


#: What heals by itself says so.
AGAIN = "it will be tried again"
#: The first that fits is it: what is certain stands before what git says after each failure.
_KINDS = (
    _kind(
        "DiskFull", r"No space left on device|Disk quota exceeded|file write error|unable to write file",
        "there is no space left on the disk", "free some; it will be tried again",
    ),
    _kind(
        "HostKeyChanged", r"REMOTE HOST IDENTIFICATION HAS CHANGED|Offending \S+ key in",
        "the server has another host key than knownHosts says",
        "ask its owner whether he changed it before you write the new one into knownHosts",
    ),
    _kind(
        "HostKeyUnknown", r"Host key verification failed|No \S+ host key is known",
        "knownHosts has no key of the server",
        "`ssh-keyscan HOST` tells its keys; compare them with what its owner says",
    ),
    _kind(
        "CertificateNotValidNow",
        r"certificate (?:has|is) expired|certificate is not yet valid|not activated",
        "the server's certificate is not valid at this time",
        "see whether this machine's clock is right, then ask the server's owner",
    ),
    _kind(
        "CertificateNotTrusted",
        r"SSL certificate problem|server certificate verification failed|certificate subject name"
        r"|no alternative certificate subject name|self.signed certificate|error setting certificate",
        "the server's certificate is not signed by anybody who is trusted here, or for another name",
        "a server with a CA of its own needs caFile",
    ),
    _kind(
        "CredentialsRefused",
        r"Authentication failed|could not read (?:Username|Password)|Permission denied \("
        r"|requested URL returned error: 40[13]|HTTP 40[13]|Invalid username or (?:password|token)"
        r"|incorrect passphrase|Load key .*(?:error|invalid)",
        "the server does not take the credentials",
        "see credentials of the source: they may be revoked, or may not read this repository",
    ),
    _kind(
        "RepositoryMoved", r"requested URL returned error: 30\d|unable to update url base from redirection",
        "the repository is somewhere else now", "write where it is as the source's url",
    ),
    _kind(
        "RepositoryNotFound",
        r"repository .*not found|does not appear to be a git repository|not a git repository"
        r"|requested URL returned error: (?:404|410)|repository not exported|does not exist"
        r"|no such repository|not valid: is this a git repository",
        "there is no such repository, or not for this node", "see url, and who may read it",
    ),
    _kind(
        "RepositoryOwnedByOthers", r"detected dubious ownership",
        "the repository on this machine belongs to another user",
        "chown it to the node's user, or have it by ssh or http",
    ),
    _kind(
        "ServerUnreachable",
        r"Could not resolve|Name or service not known|Temporary failure in name resolution"
        r"|Connection (?:refused|timed out|reset|closed)|No route to host|Network is unreachable|timed out"
        r"|unable to connect|Failed to connect|Couldn't connect|unexpected disconnect|early EOF|hung up"
        r"|transfer closed|Empty reply|RPC failed|requested URL returned error: (?:5\d\d|408|429)"
        r"|kex_exchange"
        r"|TLS connect|gnutls_handshake|SSL_connect|SSL_ERROR|unable to access|HTTP/2 stream",
        "the server cannot be reached", AGAIN,
    ),
)  # fmt: skip
#: What needs nobody.
PASSING = frozenset({"ServerUnreachable", "DiskFull", "TakesTooLong", "EmptyRepository", "MovedMeanwhile"})
_BOILERPLATE = re.compile(
    r"fatal: (?:Could not read from remote repository|the remote end hung up)|and the repository exists"
    r"|Please make sure you have the correct access rights|@+$"
    r"|(?:warning|hint|remote: \w+ing objects)\b",
    re.IGNORECASE,
)


def trouble_of(said: str, url: str) -> GitTrouble:
    """What git's last words mean. `url` has no secret in it, so that what is told has none."""
    told = last_words(said)
    for kind in _KINDS:
        if kind.words.search(said):
            return GitTrouble(kind.reason, f"{url}: {kind.message}: {told}", hint=kind.hint)
    return GitTrouble("GitFailed", f"{url}: {told}")


def last_words(said: str) -> str:
    """As much of it as a person is told."""
    lines = [line.strip() for line in said.splitlines()]
    told = [line for line in lines if line and not _BOILERPLATE.match(line)] or list(filter(None, lines))
    return " | ".join(printable(line, _LINE) for line in told[-_TOLD:]) or "git said nothing"
