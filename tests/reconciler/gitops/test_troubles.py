"""What git, ssh, curl and the servers of others say, and which reason it is."""

from __future__ import annotations

import pytest

from reconciler.gitops.troubles import PASSING, GitTrouble, trouble_of

_SAID = [
    (
        "remote: Repository not found.\nfatal: repository 'https://git.example.com/a.git/' not found",
        "RepositoryNotFound",
    ),
    (
        "ERROR: Repository not found.\nfatal: Could not read from remote repository.\n\nPlease make sure you "
        "have the correct access rights\nand the repository exists.",
        "RepositoryNotFound",
    ),
    ("fatal: remote error: access denied or repository not exported: /a.git", "RepositoryNotFound"),
    ("fatal: '/srv/a.git' does not appear to be a git repository", "RepositoryNotFound"),
    (
        "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://git.example.com/a.git/'",
        "CredentialsRefused",
    ),
    (
        "fatal: could not read Username for 'https://git.example.com': terminal prompts disabled",
        "CredentialsRefused",
    ),
    ("git@git.example.com: Permission denied (publickey).\nfatal: Could not read from", "CredentialsRefused"),
    ('Load key "/k": error in libcrypto\ngit@h: Permission denied (publickey).', "CredentialsRefused"),
    (
        "@@@@@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@@@@@@@@\nOffending ED25519 "
        "key in /hosts:1\nHost key verification failed.\nfatal: Could not read from remote repository.",
        "HostKeyChanged",
    ),
    (
        "No ED25519 host key is known for [h]:22 and you have requested strict checking.\n"
        "Host key verification failed.",
        "HostKeyUnknown",
    ),
    (
        "fatal: unable to access 'https://h/a/': server certificate verification failed. CAfile: none "
        "CRLfile: none",
        "CertificateNotTrusted",
    ),
    (
        "fatal: unable to access 'https://h/a/': SSL certificate problem: self-signed certificate",
        "CertificateNotTrusted",
    ),
    (
        "fatal: unable to access 'https://h/a/': SSL certificate problem: certificate has expired",
        "CertificateNotValidNow",
    ),
    ("fatal: unable to access 'https://h/a/': The requested URL returned error: 301", "RepositoryMoved"),
    ("fatal: unable to access 'https://h/a/': Could not resolve host: h", "ServerUnreachable"),
    ("ssh: connect to host h port 22: Connection refused\nfatal: Could not read from", "ServerUnreachable"),
    ("fatal: unable to look up h (port 9418) (Name or service not known)", "ServerUnreachable"),
    (
        "error: RPC failed; curl 18 transfer closed with outstanding read data remaining\nfatal: early EOF",
        "ServerUnreachable",
    ),
    ("fatal: unable to access 'https://h/a/': The requested URL returned error: 429", "ServerUnreachable"),
    ("fatal: the remote end hung up unexpectedly", "ServerUnreachable"),
    (
        "error: file write error: No space left on device\nfatal: unable to write pack\nfatal: early EOF",
        "DiskFull",
    ),
    ("fatal: detected dubious ownership in repository at '/srv/a.git'", "RepositoryOwnedByOthers"),
    ("fatal: what nobody has seen before", "GitFailed"),
    ("", "GitFailed"),
]


@pytest.mark.parametrize(("said", "reason"), _SAID)
def test_reasons(said: str, reason: str) -> None:
    trouble = trouble_of(said, "https://git.example.com/a.git")
    assert trouble.reason == reason
    assert trouble.message.startswith("https://git.example.com/a.git: ")
    assert bool(trouble.hint) == (reason != "GitFailed")
    assert ("again" in trouble.hint) == (reason in PASSING)


def test_what_a_server_says_is_told_safely() -> None:
    trouble = trouble_of("remote: \x1b[2J\x07evil\n" * 1000 + "fatal: \u202egnp", "url")
    assert trouble.message.isprintable() and len(trouble.message) < 1100


def test_a_trouble_is_a_sentence_and_a_hint() -> None:
    assert str(GitTrouble("Reason", "it is so", hint="do this")) == "it is so (do this)"
    assert str(GitTrouble("Reason", "it is so")) == "it is so"
