"""Real servers, and what can be wrong with them: each is one clear reason, and heals."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from manifests.model.git_source import GitSource
from reconciler.gitops.credentials import access
from reconciler.gitops.git import environment
from tests.reconciler.gitops.servers import (
    Authority,
    SshServer,
    authority,
    free_port,
    http_server,
    ssh_server,
)
from tests.reconciler.gitops.signers import SshSigner, ssh_signer
from tests.reconciler.gitops.test_repository import laid_out, trouble
from tests.runtimes.packages.git_server import Repository, web_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.gitops.repository import Repository as Mirror

pytestmark = pytest.mark.anyio
Opened = "Callable[..., Mirror]"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def key(tmp_path: Path) -> SshSigner:
    return ssh_signer(tmp_path, "node")


@pytest.fixture
def sshd(tmp_path: Path, key: SshSigner) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "sshd") as server:
        server.allow(key.public)
        yield server


def by_ssh(home: Path, server: SshServer, key: SshSigner, origin: Repository) -> dict[str, Any]:
    (home / "known hosts").write_text(server.known)
    credentials = {"sshKey": str(key.key), "knownHosts": "known hosts"}
    return {"url": f"{server.url}{origin.path}", "credentials": credentials}


# -- http


async def test_smart_http(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.git("--git-dir", str(origin.path), "config", "uploadpack.allowFilter", "true")
    with http_server(origin.path.parent) as server:
        for text in ("1", "2"):
            origin.commit({"a": text, "b/c": text})
            assert await laid_out(opened(f"{server.url}/work.git")) == {"a": text, "b/c": text}
            assert await laid_out(opened(f"{server.url}/work.git"), "b") == {"c": text}
        assert not any(server.authorizations)


async def test_dumb_http(origin: Repository, opened: Callable[..., Mirror]) -> None:
    for text in ("1", "2"):
        commit = origin.commit({"a": text, "b/c": text}, tag=f"v1.{text}.0")
        with web_server(origin.path.parent) as url:
            assert await laid_out(opened(f"{url}/work.git")) == {"a": text, "b/c": text}
            assert await laid_out(opened(f"{url}/work.git", ref="^1"), "b") == {"c": text}
            assert await laid_out(opened(f"{url}/work.git", ref=commit), "b") == {"c": text}


async def test_a_token_and_a_private_ca(
    origin: Repository, opened: Callable[..., Mirror], home: Path, tls: Authority
) -> None:
    origin.commit({"a": "1"})
    (home / "token").write_text("s3cret\n")
    (home / "token").chmod(0o600)
    values = {"credentials": {"tokenFile": "token", "username": "me"}, "caFile": str(tls.ca)}
    with http_server(origin.path.parent, tls) as server:
        server.token = "s3cret"
        url = f"{server.url}/work.git"
        assert await laid_out(opened(url, **values)) == {"a": "1"}
        server.token = "another"
        refused = await trouble(opened(url, **values))
        assert refused.reason == "CredentialsRefused" and "s3cret" not in str(refused)
        assert (await trouble(opened(url, caFile=str(tls.ca)))).reason == "CredentialsRefused"
        server.token = "s3cret"
        assert await laid_out(opened(url, **values)) == {"a": "1"}


async def test_files_of_secrets_that_others_may_read(
    origin: Repository, opened: Callable[..., Mirror], home: Path, tls: Authority
) -> None:
    values = {"credentials": {"tokenFile": "token"}, "caFile": str(tls.ca)}
    url = "https://localhost:1/work.git"
    assert (await trouble(opened(url, **values))).reason == "CredentialsMissing"
    (home / "token").write_text("s3cret\n")
    for mode in (0o640, 0o604, 0o660):
        (home / "token").chmod(mode)
        exposed = await trouble(opened(url, **values))
        assert exposed.reason == "CredentialsExposed" and "chmod 600" in exposed.hint
    (home / "token").chmod(0o600)
    (home / "token").write_text("two\nlines\n")
    assert (await trouble(opened(url, **values))).reason == "CredentialsMissing"


async def test_a_token_is_nowhere(
    origin: Repository, opened: Callable[..., Mirror], home: Path, tls: Authority
) -> None:
    """Neither in a command line or environment of what runs meanwhile, nor in a file of the node's."""
    origin.commit({"a": "1"})
    (home / "token").write_text("s3cret-token\n")
    (home / "token").chmod(0o600)
    seen: list[bytes] = []

    def look(path: str) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    seen.append((process / name).read_bytes())
                except OSError:
                    continue

    with http_server(origin.path.parent, tls) as server:
        server.token, server.before = "s3cret-token", look
        values = {"credentials": {"tokenFile": "token"}, "caFile": str(tls.ca)}
        assert await laid_out(opened(f"{server.url}/work.git", **values)) == {"a": "1"}
    assert any(b"git" in each for each in seen)
    assert not [each for each in seen if b"s3cret-token" in each]
    written = [path for path in (home / "state").rglob("*") if path.is_file()]
    assert not [path for path in written if b"s3cret-token" in path.read_bytes()]


async def test_a_token_is_for_its_server_only(
    origin: Repository, opened: Callable[..., Mirror], home: Path, tls: Authority
) -> None:
    (home / "token").write_text("s3cret\n")
    (home / "token").chmod(0o600)
    with http_server(origin.path.parent, tls) as other, http_server(origin.path.parent, tls) as server:
        server.answer = lambda path: (302, {"Location": other.url + path})
        other.token = "s3cret"
        values = {"credentials": {"tokenFile": "token"}, "caFile": str(tls.ca)}
        assert (await trouble(opened(f"{server.url}/work.git", **values))).reason == "RepositoryMoved"
        assert other.asked == []


async def test_the_helper_knows_one_server(home: Path, tls: Authority) -> None:
    """Whoever else asks for a password on the way (a large file's server) gets none."""
    (home / "token").write_text("s3cret\n")
    (home / "token").chmod(0o600)
    values = {"name": "it", "url": "https://localhost:444/a.git", "credentials": {"tokenFile": "token"}}
    own = environment(access(GitSource.model_validate(values), home, home))

    def ask(host: str) -> str:
        asked = f"protocol=https\nhost={host}\n\n"
        line = ["git", "credential", "fill"]
        return subprocess.run(line, env=own, input=asked, capture_output=True, text=True).stdout

    assert "username=git\npassword=s3cret\n" in ask("localhost:444")
    for other in ("localhost", "localhost:445", "example.com", "localhost:444.example.com"):
        assert "s3cret" not in ask(other)


async def test_nothing_of_the_users_configuration_counts(
    origin: Repository,
    opened: Callable[..., Mirror],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tls: Authority,
) -> None:
    origin.commit({"a": "mine"})
    theirs = Repository(tmp_path / "theirs")
    theirs.commit({"a": "theirs"})
    config = tmp_path / ".gitconfig"
    config.write_text(
        f'[url "{theirs.path}"]\n\tinsteadOf = {origin.path}\n'
        '[http "https://localhost"]\n\tsslVerify = false\n[http]\n\tfollowRedirects = true\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG"):
        monkeypatch.setenv(name, str(config))
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    assert await laid_out(opened()) == {"a": "mine"}
    with http_server(origin.path.parent, tls) as server:
        assert (await trouble(opened(f"{server.url}/work.git"))).reason == "CertificateNotTrusted"


@pytest.mark.parametrize("where", ["/new/work.git", "/new/work"])
async def test_a_repository_that_its_server_has_moved(
    origin: Repository, opened: Callable[..., Mirror], home: Path, tls: Authority, where: str
) -> None:
    (home / "token").write_text("s3cret\n")
    (home / "token").chmod(0o600)
    values = {"credentials": {"tokenFile": "token"}, "caFile": str(tls.ca)}
    (origin.path.parent / "new").mkdir()
    (origin.path.parent / where[1:]).symlink_to(origin.path)
    with http_server(origin.path.parent, tls) as server:
        server.token = "s3cret"

        def moved(path: str) -> tuple[int, dict[str, str]] | None:
            there = path.replace("/old.git/", f"{where}/")
            return None if there == path else (301, {"Location": there})

        server.answer = moved
        mirror = opened(f"{server.url}/old.git", **values)
        for text in ("1", "2"):
            origin.commit({"a": text})
            assert await laid_out(mirror) == {"a": text}
        assert mirror.place == f"{server.url}{where}"
        server.answer = lambda path: (302, {"Location": path.replace("/info", "/x/info")})
        assert (await trouble(mirror)).reason == "RepositoryMoved"


@pytest.mark.parametrize(("name", "days"), [("localhost", -1), ("other.example.com", 30)])
async def test_certificates(
    origin: Repository, opened: Callable[..., Mirror], tmp_path: Path, name: str, days: int
) -> None:
    origin.commit({"a": "1"})
    own = authority(tmp_path / "tls", name, days)
    with http_server(origin.path.parent, own) as server:
        told = await trouble(opened(f"{server.url}/work.git", caFile=str(own.ca)))
        assert told.reason == ("CertificateNotValidNow" if days < 0 else "CertificateNotTrusted")
        assert (await trouble(opened(f"{server.url}/work.git"))).reason == "CertificateNotTrusted"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "RepositoryNotFound"),
        (403, "CredentialsRefused"),
        (500, "ServerUnreachable"),
        (503, "ServerUnreachable"),
    ],
)
async def test_answers_of_a_web_server(
    origin: Repository, opened: Callable[..., Mirror], status: int, reason: str
) -> None:
    origin.commit({"a": "1"})
    with http_server(origin.path.parent) as server:
        mirror = opened(f"{server.url}/work.git")
        server.answer = lambda path: (status, {})
        assert (await trouble(mirror)).reason == reason
        server.answer = lambda path: None
        assert await laid_out(mirror) == {"a": "1"}


async def test_nobody_there(opened: Callable[..., Mirror]) -> None:
    port = free_port()
    for url in (
        f"http://localhost:{port}/a.git",
        f"git://localhost:{port}/a.git",
        "https://nowhere.invalid/a.git",
    ):
        told = await trouble(opened(url))
        assert told.reason == "ServerUnreachable" and url in told.message


# -- ssh


async def test_ssh(
    origin: Repository, opened: Callable[..., Mirror], home: Path, sshd: SshServer, key: SshSigner
) -> None:
    origin.commit({"a": "1", "b/c": "1"})
    mirror = opened(**by_ssh(home, sshd, key, origin))
    assert await laid_out(mirror) == {"a": "1", "b/c": "1"}
    assert await laid_out(mirror, "b") == {"c": "1"}


async def test_ssh_keys_that_are_revoked(
    origin: Repository, opened: Callable[..., Mirror], home: Path, sshd: SshServer, key: SshSigner
) -> None:
    origin.commit({"a": "1"})
    mirror = opened(**by_ssh(home, sshd, key, origin))
    sshd.allow()
    assert (await trouble(mirror)).reason == "CredentialsRefused"
    sshd.allow(key.public)
    assert await laid_out(mirror) == {"a": "1"}
    key.key.chmod(0o644)
    assert (await trouble(mirror)).reason == "CredentialsExposed"


async def test_host_keys(
    origin: Repository,
    opened: Callable[..., Mirror],
    home: Path,
    tmp_path: Path,
    sshd: SshServer,
    key: SshSigner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user's own configuration believes everybody, and does not count."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("StrictHostKeyChecking no\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -oStrictHostKeyChecking=no")
    origin.commit({"a": "1"})
    mirror = opened(**by_ssh(home, sshd, key, origin))
    (home / "known hosts").write_text("")
    assert (await trouble(mirror)).reason == "HostKeyUnknown"
    other = ssh_signer(tmp_path, "other")
    (home / "known hosts").write_text(f"{sshd.known.split()[0]} {other.public}\n")
    changed = await trouble(mirror)
    assert changed.reason == "HostKeyChanged" and "owner" in changed.hint
    (home / "known hosts").write_text(sshd.known)
    assert await laid_out(mirror) == {"a": "1"}


async def test_a_repository_that_is_not_there_by_ssh(
    origin: Repository, opened: Callable[..., Mirror], home: Path, sshd: SshServer, key: SshSigner
) -> None:
    values = by_ssh(home, sshd, key, origin)
    values["url"] = f"{sshd.url}/nowhere.git"
    assert (await trouble(opened(**values))).reason == "RepositoryNotFound"
