"""Who signed what is applied: real keys, and everything that somebody could try with others."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.gitops.troubles import GitTrouble
from tests.reconciler.gitops.signers import GpgSigner, SshSigner, gpg_signer, sign_nothing, ssh_signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.gitops.repository import Repository as Mirror
    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio


@pytest.fixture
def alice(tmp_path: Path) -> SshSigner:
    return ssh_signer(tmp_path, "alice")


@pytest.fixture
def mallory(tmp_path: Path) -> SshSigner:
    return ssh_signer(tmp_path, "mallory")


@pytest.fixture(scope="module")
def bob() -> Iterator[GpgSigner]:
    """Sockets have short names."""
    with (
        tempfile.TemporaryDirectory() as folder,
        gpg_signer(Path(folder, "g"), "Bob <bob@example.com>") as bob,
    ):
        yield bob


async def verified(mirror: Mirror, since: str | None = None, **verify: Any) -> str:
    source = mirror.source
    seen = await mirror.look(source.ref)
    if since:
        await mirror.fetch(type(seen)(since, "", since))
    await mirror.fetch(seen)
    assert source.verify is not None
    return await mirror.verified(seen, since, source.verify)


async def refused(mirror: Mirror, since: str | None = None) -> str:
    with pytest.raises(GitTrouble) as caught:
        await verified(mirror, since)
    assert caught.value.reason == "NotVerified", caught.value
    return caught.value.message


@pytest.fixture
def signed_by(home: Path, opened: Callable[..., Mirror]) -> Callable[..., Mirror]:
    """A source that believes these SSH signers."""

    def make(*lines: str, mode: str = "head", **values: Any) -> Mirror:
        (home / "signers").write_text("".join(lines))
        return opened(
            verify={"mode": mode, "allowedSigners": "signers", **values.pop("verify", {})}, **values
        )

    return make


async def test_a_commit_of_an_allowed_signer(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    alice.sign(origin)
    origin.commit({"a": "1"})
    assert (await verified(signed_by(alice.allowed()))).startswith("alice@example.com (SHA256:")


async def test_commits_of_nobody_and_of_others(
    origin: Repository, alice: SshSigner, mallory: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    commit = origin.commit({"a": "1"})
    message = await refused(signed_by(alice.allowed()))
    assert "not signed" in message and commit[:12] in message and "a@example.com" in message
    mallory.sign(origin)
    origin.commit({"a": "2"})
    assert "none of the source's" in await refused(signed_by(alice.allowed()))


async def test_a_commit_that_was_changed_after_it_was_signed(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror], tmp_path: Path
) -> None:
    alice.sign(origin)
    origin.commit({"a": "1"})
    forged = tmp_path / "forged"
    forged.write_text(origin.git("cat-file", "commit", "HEAD").replace("more", "less") + "\n")
    name = origin.git("hash-object", "-t", "commit", "-w", str(forged))
    origin.git("push", "--quiet", "--force", "origin", f"{name}:refs/heads/main")
    await refused(signed_by(alice.allowed()))


async def test_keys_that_are_no_longer_good(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror], home: Path
) -> None:
    alice.sign(origin)
    origin.commit({"a": "1"})
    assert await verified(signed_by(alice.allowed('valid-before="20990101"')))
    await refused(signed_by(alice.allowed('valid-before="20200101"')))
    await refused(signed_by(alice.allowed('valid-after="20990101"')))
    await refused(signed_by(alice.allowed('namespaces="file"')))
    (home / "revoked").write_text(alice.public + "\n")
    await refused(signed_by(alice.allowed(), verify={"revoked": "revoked"}))


async def test_every_commit_since_the_last_one(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    first = origin.commit({"a": "1"})
    alice.sign(origin)
    origin.commit({"a": "2"})
    third = origin.commit({"a": "3"})
    assert await verified(signed_by(alice.allowed(), mode="every"), first)
    sign_nothing(origin)
    hidden = origin.commit({"a": "evil"})
    alice.sign(origin)
    origin.commit({"a": "4"})
    assert hidden[:12] in await refused(signed_by(alice.allowed(), mode="every"), first)
    assert hidden[:12] in await refused(signed_by(alice.allowed(), mode="every"), third)
    assert await verified(signed_by(alice.allowed()), third)


async def test_every_commit_also_across_merges(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    alice.sign(origin)
    root = origin.commit({"a": "0"})
    first = origin.commit({"a": "1"})
    origin.git("checkout", "--quiet", "-b", "side", root)
    sign_nothing(origin)
    hidden = origin.commit({"b": "evil"})
    alice.sign(origin)
    origin.commit({"b": "good"})
    origin.git("checkout", "--quiet", "main")
    origin.git("merge", "--quiet", "--no-ff", "-m", "merged", "side")
    origin.git("push", "--quiet", "origin", "main")
    assert hidden[:12] in await refused(signed_by(alice.allowed(), mode="every"), first)


async def test_a_merge_of_an_old_branch_asks_for_no_signature_of_what_was_applied_before(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    root = origin.commit({"a": "0"})
    alice.sign(origin)
    first = origin.commit({"a": "1"})
    origin.git("checkout", "--quiet", "-b", "side", root)
    origin.commit({"b": "good"})
    origin.git("checkout", "--quiet", "main")
    origin.git("merge", "--quiet", "--no-ff", "-m", "merged", "side")
    origin.git("push", "--quiet", "origin", "main")
    assert await verified(signed_by(alice.allowed(), mode="every"), first)


async def test_what_was_applied_before_is_not_asked_for_however_long_ago(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short way to the first commit is known before the long one is, by which it was applied."""
    monkeypatch.setattr("reconciler.gitops.history._DEPTHS", (0, 4, 2**31 - 1))
    root = origin.commit({"a": "0"})
    for index in range(5):
        origin.git("commit", "--quiet", "--allow-empty", "--message", f"long ago {index}")
    first = origin.commit({"a": "1"})
    alice.sign(origin)
    origin.git("checkout", "--quiet", "-b", "side", root)
    origin.commit({"b": "good"})
    origin.git("checkout", "--quiet", "main")
    origin.git("merge", "--quiet", "--no-ff", "-m", "merged", "side")
    origin.git("push", "--quiet", "origin", "main")
    assert await verified(signed_by(alice.allowed(), mode="every"), first)


async def test_every_commit_after_the_mirror_was_lost(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    """Of the commit that was applied last only its id is known."""
    origin.commit({"a": "0"})
    first = origin.commit({"a": "1"})
    alice.sign(origin)
    origin.commit({"a": "2"})
    third = origin.commit({"a": "3"})
    mirror = signed_by(alice.allowed(), mode="every")
    seen = await mirror.look(mirror.source.ref)
    await mirror.fetch(seen)
    assert mirror.source.verify is not None
    assert await mirror.verified(seen, first, mirror.source.verify)
    lineage = await mirror.lineage(seen, first)
    assert len(lineage.commits) == 2 and not lineage.rewritten
    # Where not even the server has it any more, every commit there is has to be signed.
    gone = await mirror.lineage(seen, "ab" * 20)
    assert gone.rewritten and len(gone.commits) == 4 and third in gone.commits
    with pytest.raises(GitTrouble) as caught:
        await mirror.verified(seen, "ab" * 20, mirror.source.verify)
    assert caught.value.reason == "NotVerified"


async def test_a_history_that_was_rewritten(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    alice.sign(origin)
    root = origin.commit({"a": "0"})
    first = origin.commit({"a": "1"})
    mirror = signed_by(alice.allowed(), mode="every")
    await mirror.fetch(await mirror.look(mirror.source.ref))
    origin.git("push", "--quiet", "--force", "origin", f"{root}:main")
    origin.git("reset", "--quiet", "--hard", root)
    origin.commit({"a": "2"})
    seen = await mirror.look(mirror.source.ref)
    await mirror.fetch(seen)
    lineage = await mirror.lineage(seen, first)
    assert lineage.rewritten and lineage.commits == (seen.commit,)
    assert await verified(mirror, first)


@pytest.mark.parametrize("ref", [{"tag": "v1.0.0"}, {"semver": "^1"}])
async def test_tags_are_to_be_signed_as_well(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror], ref: dict[str, str]
) -> None:
    alice.sign(origin)
    origin.commit({"a": "1"}, tag="v1.0.0")
    assert (await verified(signed_by(alice.allowed(), ref=ref))).count("alice@example.com") == 1
    sign_nothing(origin)
    origin.git("tag", "--force", "--annotate", "--message=moved", "v1.0.0")
    origin.git("push", "--quiet", "--force", "origin", "v1.0.0")
    assert "tag v1.0.0" in await refused(signed_by(alice.allowed(), ref=ref))
    origin.git("tag", "--force", "v1.0.0", "HEAD")
    origin.git("push", "--quiet", "--force", "origin", "v1.0.0")
    assert "no message" in await refused(signed_by(alice.allowed(), ref=ref))


async def test_a_tag_of_others_and_of_an_unsigned_commit(
    origin: Repository, alice: SshSigner, mallory: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    origin.commit({"a": "1"})
    mallory.sign(origin)
    origin.git("tag", "--sign", "--message=m", "theirs")
    alice.sign(origin)
    origin.git("tag", "--sign", "--message=m", "mine")
    origin.git("push", "--quiet", "--tags", "origin")
    assert "tag theirs" in await refused(signed_by(alice.allowed(), ref={"tag": "theirs"}))
    assert "not signed" in await refused(signed_by(alice.allowed(), ref={"tag": "mine"}))
    assert await verified(signed_by(alice.allowed(), mode="tag", ref={"tag": "mine"}))


async def test_an_old_tag_under_a_new_name(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror]
) -> None:
    alice.sign(origin)
    origin.commit({"a": "old"}, tag="v1.0.0")
    origin.git("push", "--quiet", "origin", "v1.0.0:refs/tags/v1.9.0")
    assert "signed as the tag v1.0.0" in await refused(signed_by(alice.allowed(), ref={"semver": "^1"}))


async def test_gpg(
    origin: Repository, bob: GpgSigner, home: Path, opened: Callable[..., Mirror], alice: SshSigner
) -> None:
    (home / "keys.asc").write_text(bob.exported())
    (home / "signers").write_text(alice.allowed())
    bob.sign(origin)
    origin.commit({"a": "1"}, tag="v1")
    for ref in ("main", {"tag": "v1"}):
        told = await verified(opened(ref=ref, verify={"gpgKeys": ["keys.asc"]}))
        assert "Bob <bob@example.com>" in told and bob.fingerprint in told
    await refused(opened(verify={"allowedSigners": "signers"}))
    assert await verified(opened(verify={"allowedSigners": "signers", "gpgKeys": ["keys.asc"]}))
    alice.sign(origin)
    origin.commit({"a": "2"})
    await refused(opened(verify={"gpgKeys": ["keys.asc"]}))


async def test_gpg_keys_that_are_no_longer_good(
    origin: Repository, home: Path, opened: Callable[..., Mirror], tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        old = ("--faked-system-time", "20200101T000000")
        with gpg_signer(Path(folder, "g"), "Old <old@example.com>", "1y", *old) as signer:
            (home / "keys.asc").write_text(signer.exported())
            signer.sign(origin)
            program = signer.home / "gpg"
            program.write_text(program.read_text().replace("--batch", f"--batch {' '.join(old)}"))
            origin.commit({"a": "1"})
    assert "expired" in await refused(opened(verify={"gpgKeys": ["keys.asc"]}))


async def test_revoked_gpg_keys(origin: Repository, home: Path, opened: Callable[..., Mirror]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        gpg_signer(Path(folder, "g"), "Lost <lost@example.com>") as signer,
    ):
        signer.sign(origin)
        origin.commit({"a": "1"})
        made = signer.home / "openpgp-revocs.d" / f"{signer.fingerprint}.rev"
        revocation = signer.home / "revocation"
        revocation.write_text(made.read_text().replace(":-----BEGIN", "-----BEGIN"))
        signer.gpg("--import", str(revocation))
        (home / "keys.asc").write_text(signer.exported())
    assert "revoked" in await refused(opened(verify={"gpgKeys": ["keys.asc"]}))


async def test_nothing_of_the_user_or_the_repository_weakens_it(
    origin: Repository,
    alice: SshSigner,
    mallory: SshSigner,
    signed_by: Callable[..., Mirror],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice.sign(origin)
    good = origin.commit({"a": "1"})
    mallory.sign(origin)
    bad = origin.commit({"a": "evil"})
    # A home in which everything is believed.
    (tmp_path / "all").write_text(alice.allowed() + mallory.allowed())
    yes = tmp_path / "yes"
    yes.write_text(
        "#!/bin/sh\necho 'Good \"git\" signature for alice@example.com with ED25519 key SHA256:x'\n"
    )
    yes.chmod(0o755)
    config = tmp_path / ".gitconfig"
    config.write_text(
        f'[gpg "ssh"]\nallowedSignersFile = {tmp_path}/all\nprogram = {yes}\n[gpg]\nprogram = {yes}\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(config))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'gpg.ssh.allowedSignersFile'='{tmp_path}/all'")
    # A good commit in the place of a bad one.
    origin.git("update-ref", f"refs/replace/{bad}", good)
    origin.git("push", "--quiet", "origin", f"refs/replace/{bad}")
    mirror = signed_by(alice.allowed())
    await refused(mirror)
    (mirror.mirror / "info").mkdir(exist_ok=True)
    (mirror.mirror / "info" / "grafts").write_text(f"{bad} {good}\n")
    (mirror.mirror / "refs" / "replace").mkdir()
    (mirror.mirror / "refs" / "replace" / bad).write_text(f"{good}\n")
    await refused(mirror)


async def test_whoever_could_write_the_signers_is_not_believed(
    origin: Repository, alice: SshSigner, signed_by: Callable[..., Mirror], home: Path
) -> None:
    alice.sign(origin)
    origin.commit({"a": "1"})
    mirror = signed_by(alice.allowed())
    (home / "signers").chmod(0o666)
    with pytest.raises(GitTrouble) as caught:
        await verified(mirror)
    assert caught.value.reason == "CredentialsExposed" and "chmod" in caught.value.hint
