"""What a server is shown: a token, or an SSH key, and how the server proves who it is.

A secret stays in its file. Git gets it from a small helper, which is asked for this server only, so that it
is in no URL, no command line and no environment; ssh reads its key itself, and neither the user's
configuration nor his agent. A file that others could read, or write, is not used.
"""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from manifests.files import write_atomically
from manifests.sources.trust import judge
from reconciler.gitops.git import Access
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.git_source import GitSource

#: Bytes. No token and no key is larger.
_LARGEST = 65536
_HELPER = """\
#!/bin/sh
# Git asks this for the token of one server (gitcredentials(7)).
[ "$1" = get ] || exit 0
printf 'username=%s\\npassword=' "$ATEK_GIT_USERNAME"
exec cat "$ATEK_GIT_TOKEN_FILE"
"""


def access(source: GitSource, home: Path, folder: Path) -> Access:
    """How the source's server is asked. The helper is kept in `folder`.

    Raises GitTrouble: CredentialsMissing or CredentialsExposed.
    """
    settings: dict[str, str] = {}
    environment: dict[str, str] = {}
    credentials = source.credentials
    if source.ca_file:
        environment["GIT_SSL_CAINFO"] = trusted_file(home / source.ca_file)
    if credentials is not None and credentials.token_file:
        read_token(source, home)
        settings[f"credential.{_origin(source.url)}.helper"] = shlex.quote(_helper(folder))
        environment |= {
            "ATEK_GIT_USERNAME": credentials.username,
            "ATEK_GIT_TOKEN_FILE": str(home / credentials.token_file),
        }
    if credentials is not None and credentials.ssh_key and credentials.known_hosts:
        key = str(home / credentials.ssh_key)
        read_secret(key)
        environment["GIT_SSH_COMMAND"] = _ssh(key, trusted_file(home / credentials.known_hosts))
        environment["GIT_SSH_VARIANT"] = "ssh"
    return Access(source.scheme, settings, environment, public_only=source.public_only)


def with_place(access: Access, source: GitSource, place: str) -> Access:
    """The same for a repository that its server has moved."""
    if place in ("", source.url):
        return access
    settings = {**access.settings, f"url.{place}.insteadOf": source.url}
    return replace(access, protocol=f"{access.protocol}:{place.partition('://')[0]}", settings=settings)


def read_token(source: GitSource, home: Path) -> str:
    """Raises GitTrouble. The only way in which a token gets into this process."""
    assert source.credentials is not None and source.credentials.token_file is not None
    path = home / source.credentials.token_file
    token = read_secret(str(path)).decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    if not token or not token.isascii() or not token.isprintable():
        raise GitTrouble("CredentialsMissing", f"{path} has to be one line, which is the token")
    return token


def read_secret(path: str) -> bytes:
    """A file that only this user can read. Raises GitTrouble."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise GitTrouble("CredentialsMissing", f"{path} is no file")
            if found.st_uid != os.geteuid():
                raise GitTrouble(
                    "CredentialsExposed", f"{path} belongs to another user", hint=f"chown it: {path}"
                )
            if found.st_mode & 0o077:
                raise GitTrouble("CredentialsExposed", f"others may read {path}", hint=f"chmod 600 {path}")
            return file.read(_LARGEST)
    except OSError as error:
        raise GitTrouble("CredentialsMissing", f"{path} cannot be read: {error.strerror}") from error


def trusted_file(path: Path) -> str:
    """A file that only this user, or root, can write: it says whom to believe. Raises GitTrouble."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or not os.access(path, os.R_OK):
            raise GitTrouble("CredentialsMissing", f"{path} is no file that can be read")
    except OSError as error:
        raise GitTrouble("CredentialsMissing", f"{path} cannot be read: {error.strerror}") from error
    if (why := judge(str(path), found)) is not None:
        raise GitTrouble("CredentialsExposed", f"{why.message}: it says whom to believe", hint=why.hint)
    return str(path)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _helper(folder: Path) -> str:
    path = folder / "credential-helper"
    try:
        if path.read_text() == _HELPER and path.stat().st_mode & 0o777 == 0o700:
            return str(path)
    except (OSError, UnicodeDecodeError):
        pass
    write_atomically(path, _HELPER.encode(), mode=0o700)
    return str(path)


def _ssh(key: str, known_hosts: str) -> str:
    options = {
        "BatchMode": "yes", "StrictHostKeyChecking": "yes", "UserKnownHostsFile": _plain(known_hosts),
        "GlobalKnownHostsFile": "/dev/null", "UpdateHostKeys": "no", "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": _plain(key), "PreferredAuthentications": "publickey", "ControlMaster": "no",
        "ControlPath": "none", "ForwardAgent": "no", "ForwardX11": "no", "ClearAllForwardings": "yes",
        "PermitLocalCommand": "no", "ConnectTimeout": "15", "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
    }  # fmt: skip
    words = [
        "ssh",
        "-F",
        "/dev/null",
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
    ]
    return " ".join(map(shlex.quote, words))


def _plain(path: str) -> str:
    """ssh puts something for % and takes what is behind a blank for another file (ssh_config(5))."""
    return '"' + path.replace("%", "%%") + '"'
