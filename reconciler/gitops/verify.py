"""Who signed a commit, as git itself finds out: with the source's keys, and none of this machine's.

Only what git calls good (G) is: a key that is expired, revoked, unknown or trusted by nobody does not count.
A tag's signature counts for the name that it was made for: under another name it is somebody's trick.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from reconciler.gitops.credentials import trusted_file
from reconciler.gitops.git import HERE, Access, environment, git
from reconciler.gitops.history import lineage
from reconciler.gitops.mirror import stdin_of
from reconciler.gitops.objects import objects, read
from reconciler.gitops.troubles import GitTrouble
from runtimes.data.removal import remove_tree
from runtimes.processes.children import TABLE, NotStarted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manifests.model.git_source import Verify
    from reconciler.gitops.listing import Seen
    from reconciler.gitops.mirror import Mirror

#: A commit, what git found, who, and the key; what an author wrote is not among it.
_FORMAT, _FIELDS = "%H%x00%G?%x00%GS%x00%GF%x00%GK", 5
_GOOD = "G"
_FOUND = {
    "B": "its signature is not good: what was signed is something else",
    "U": "it is signed with the key {key}, which is none of the source's",
    "X": "its signature has expired",
    "Y": "it is signed with the key {key}, which has expired",
    "R": "it is signed with the key {key}, which is revoked",
    "E": "it is signed with the key {key}, which is none of the source's",
    "N": "it is not signed",
}
#: How homes of gpg are called.
KEYS = ".keys-"
_HINT = "see verify in [[sources.git]]; the last commit that was verified stays"
# What git, ssh-keygen and gpg say of a good signature of a tag.
_SSH = re.compile(r'Good "git" signature for (?P<who>.+) with \S+ key (?P<key>\S+)')
_GPG = re.compile(r"^\[GNUPG:\] GOODSIG \S+ (?P<who>.+)$", re.MULTILINE)
_GPG_KEY = re.compile(r"^\[GNUPG:\] VALIDSIG (?P<key>[0-9A-F]+)", re.MULTILINE)
_SIGNATURE = re.compile(rb"^-----BEGIN (?:PGP|SSH) SIGNATURE-----", re.MULTILINE)
_GPG_SETTINGS = "trust-model always\nno-autostart\nno-auto-check-trustdb\nno-auto-key-retrieve\n"


async def verified(mirror: Mirror, seen: Seen, since: str | None, verify: Verify, home: Path) -> str:
    """Who signed it, in words. Raises GitTrouble: NotVerified."""
    keys = await _keys(mirror, verify, home)
    who = []
    if seen.ref.startswith("refs/tags/"):
        who += [await _tag(mirror, seen, keys)]
    if verify.mode != "tag":
        commits: Sequence[str] = (seen.commit,)
        if verify.mode == "every" and since is not None:
            commits = tuple(dict.fromkeys((seen.commit, *(await lineage(mirror, seen, since)).commits)))
        who += await _commits(mirror, commits, keys)
    return ", ".join(dict.fromkeys(who))


async def _commits(mirror: Mirror, commits: Sequence[str], keys: Access) -> list[str]:
    descriptor = stdin_of("".join(f"{commit}\n" for commit in commits))
    line = ("log", "--no-walk=unsorted", "--stdin", "-z", f"--format={_FORMAT}")
    try:
        printed = await git(*line, url=mirror.url, access=keys, mirror=str(mirror.path), stdin=descriptor)
    finally:
        os.close(descriptor)
    words = printed.decode("utf-8", "replace").split("\0")
    found = [words[start : start + _FIELDS] for start in range(0, len(words) - 1, _FIELDS)]
    if [fields[0] for fields in found] != list(commits):
        raise GitTrouble("NotVerified", f"{mirror.url}: git did not check all commits", hint=_HINT)
    for commit, result, _, fingerprint, key in found:
        if result != _GOOD:
            why = _FOUND.get(result, _FOUND["N"]).format(key=fingerprint or key or "of somebody")
            about = await anyio.to_thread.run_sync(read, mirror.path, commit)
            what = f"commit {commit[:12]} ({about.subject[:100]}, by {about.author[:100]})"
            raise GitTrouble("NotVerified", f"{mirror.url}: {what}: {why}", hint=_HINT)
    return [f"{who} ({fingerprint or key})" for _, _, who, fingerprint, key in found]


async def _tag(mirror: Mirror, seen: Seen, keys: Access) -> str:
    name = seen.ref.removeprefix("refs/tags/")
    if seen.object in ("", seen.commit):
        raise _not(mirror, name, "it has no message, and so no signature: git tag --sign makes one that has")
    tag = await anyio.to_thread.run_sync(_read_tag, mirror, seen.object)
    head, _, _ = tag.partition(b"\n\n")
    fields = dict(line.partition(b" ")[::2] for line in head.split(b"\n"))
    if fields.get(b"object") != seen.commit.encode() or fields.get(b"type") != b"commit":
        raise _not(mirror, name, f"it is not of commit {seen.commit[:12]} itself")
    if fields.get(b"tag") != name.encode():
        was = fields.get(b"tag", b"").decode("utf-8", "replace")
        raise _not(mirror, name, f"it was signed as the tag {was}, and renamed")
    if not _SIGNATURE.search(tag):
        raise _not(mirror, name, _FOUND["N"])
    return await _signer_of_tag(mirror, seen.object, name, keys)


async def _signer_of_tag(mirror: Mirror, tag: str, name: str, keys: Access) -> str:
    said = bytearray()
    line = ["git", "verify-tag", "--raw", tag]
    code = await TABLE.execute(line, env=environment(keys, str(mirror.path)), cwd="/", on_output=said.extend)
    text = said.decode("utf-8", "replace")
    found, key = _SSH.search(text) or _GPG.search(text), _GPG_KEY.search(text)
    if code != 0 or found is None:
        told = [line.strip() for line in text.splitlines() if "FAILURE" not in line and line.strip()]
        raise _not(
            mirror, name, "its signature is of none of the source's keys: " + " | ".join(told[-3:])[:300]
        )
    return f"{found['who']} ({found['key'] if 'key' in found.groupdict() else key['key'] if key else ''})"


def _not(mirror: Mirror, name: str, why: str) -> GitTrouble:
    return GitTrouble("NotVerified", f"{mirror.url}: tag {name}: {why}", hint=_HINT)


def _read_tag(mirror: Mirror, name: str) -> bytes:
    with objects(mirror.path) as found:
        return found.tag(name)


# The keys


async def _keys(mirror: Mirror, verify: Verify, home: Path) -> Access:
    """What git is told of them; a kind of which the source has none is known to nobody."""
    settings = {"gpg.program": "/bin/false", "gpg.x509.program": "/bin/false", "gpg.minTrustLevel": "fully"}
    environment = {}
    needed = (("ssh-keygen", verify.allowed_signers), ("gpg", verify.gpg_keys))
    if missing := next((program for program, wanted in needed if wanted and not shutil.which(program)), None):
        raise GitTrouble("ProgramMissing", f"signatures are verified by {missing}, which is not here")
    settings["gpg.ssh.program"] = "ssh-keygen" if verify.allowed_signers else "/bin/false"
    if verify.allowed_signers:
        settings["gpg.ssh.allowedSignersFile"] = trusted_file(home / verify.allowed_signers)
    if verify.revoked:
        settings["gpg.ssh.revocationFile"] = trusted_file(home / verify.revoked)
    if verify.gpg_keys:
        settings["gpg.program"] = "gpg"
        files = [trusted_file(home / each) for each in verify.gpg_keys]
        environment["GNUPGHOME"] = str(await _keyring(mirror.path.parent, files))
    return replace(HERE, settings=settings, environment=environment)


async def _keyring(folder: Path, files: Sequence[str]) -> Path:
    """A home of gpg's with these keys and no others, which are trusted because the config names them."""
    digest = hashlib.sha256(b"\0".join([Path(file).read_bytes() for file in files])).hexdigest()[:16]
    place = folder / f"{KEYS}{digest}"
    if place.is_dir():
        return place
    unfinished = folder / f".new-keys-{digest}"
    await anyio.to_thread.run_sync(remove_tree, unfinished)
    unfinished.mkdir(mode=0o700)
    (unfinished / "gpg.conf").write_text(_GPG_SETTINGS)
    for file in files:
        await _import(unfinished, file)
    os.rename(unfinished, place)
    return place


async def _import(home: Path, file: str) -> None:
    said = bytearray()
    line = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--status-fd=1", "--import", "--", file]
    try:
        await TABLE.execute(line, cwd="/", env=environment(), on_output=said.extend)
    except NotStarted as error:
        raise GitTrouble(
            "GpgMissing", "there is no gpg here", hint="install gpg (apt install gpg)"
        ) from error
    # Its exit status is nothing to go by: a key that has expired is a failure, though it is taken.
    if b"[GNUPG:] IMPORT_OK " not in said:
        told = " | ".join(said.decode("utf-8", "replace").splitlines()[-2:])
        raise GitTrouble("KeysUnreadable", f"gpg finds no key in {file}: {told}")
