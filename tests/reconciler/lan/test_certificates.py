"""The certificate that is shown: of one's own files, renewed; of the node's authority, by itself in time."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from reconciler.lan import authority, certificates
from reconciler.lan.authority import BadCertificate, issue, read
from reconciler.lan.certificates import FOLDER, LEAF, RENEW, Certificates, Shown
from reconciler.state.settings import TlsSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

#: What is made in these tests is made now.
NOW = time.time()
HOSTS = ["pi.local", "home.example", "*.home.example"]


def made(folder: Path, hosts: list[str] | None = None, addresses: tuple[str, ...] = ("192.168.1.5",)) -> str:
    pem: str = issue(folder, node="pi", domain="home.example", hosts=hosts or HOSTS, addresses=addresses)[
        "pem"
    ]
    return pem


def parts(pem: str) -> tuple[str, str]:
    cert, mark, key = pem.partition("-----BEGIN PRIVATE KEY-----")
    return cert, mark + key


def own(home: Path, pem: str) -> None:
    """As certbot renews: new files, and the names lead to them."""
    for name, text in zip(("cert.pem", "key.pem"), parts(pem), strict=True):
        new = home / f"{name}.{os.urandom(4).hex()}"
        new.write_text(text)
        link = home / f".{name}"
        link.symlink_to(new)
        link.rename(home / name)


def openssl_says(folder: Path, pem: str, *words: str) -> str:
    (folder / "leaf.pem").write_text(parts(pem)[0])
    command = ["openssl", "verify", "-CAfile", str(folder / "root.crt"), *words, str(folder / "leaf.pem")]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip()


# -- the authority


def test_openssl_trusts_what_it_signs_and_for_these_names_only(tmp_path: Path) -> None:
    pem = made(tmp_path)
    for word in (
        "-verify_hostname pi.local",
        "-verify_hostname notes.home.example",
        "-verify_ip 192.168.1.5",
    ):
        assert openssl_says(tmp_path, pem, *word.split()).endswith("OK"), word
    assert not openssl_says(tmp_path, pem, "-verify_hostname", "bank.example").endswith("OK")


def test_its_key_vouches_for_nothing_outside_of_this_house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gets the key signs what it likes: a device has to refuse it."""
    made(tmp_path)
    monkeypatch.setattr(authority, "_is_below", lambda *_: True)
    monkeypatch.setattr(authority, "_is_private", lambda _: True)
    stolen = made(tmp_path, ["bank.example"], ("8.8.8.8",))
    assert "permitted subtree violation" in subprocess.run(
        ["openssl", "verify", "-CAfile", tmp_path / "root.crt", _file(tmp_path, stolen)],
        capture_output=True, text=True,
    ).stderr  # fmt: skip
    # Were it allowed to vouch for more, it would be taken.
    other = tmp_path / "other"
    monkeypatch.setattr(authority, "_OWN_DOMAINS", ("example",))
    monkeypatch.setattr(authority, "PRIVATE", ("0.0.0.0/0",))
    stolen = made(other, ["bank.example"], ("8.8.8.8",))
    assert openssl_says(other, stolen, "-verify_hostname", "bank.example").endswith("OK")


def _file(folder: Path, pem: str) -> Path:
    file = folder / "stolen.pem"
    file.write_text(parts(pem)[0])
    return file


def test_names_of_others_are_left_out(tmp_path: Path) -> None:
    answer = issue(
        tmp_path, node="pi", domain="localhost", hosts=["pi.local", "x.com"], addresses=["8.8.8.8"]
    )
    assert answer["refused"] == ["x.com"]
    assert read(*parts(answer["pem"]))["names"] == ["pi.local"]


def test_the_root_is_made_once_and_its_key_is_for_nobody_else(tmp_path: Path) -> None:
    made(tmp_path)
    before = (tmp_path / "root.crt").read_bytes()
    made(tmp_path)
    assert (tmp_path / "root.crt").read_bytes() == before
    assert (tmp_path / "root.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "root.key").chmod(0o644)
    with pytest.raises(BadCertificate, match="can be read by others"):
        made(tmp_path)


@pytest.mark.parametrize("name", ["root.key", "root.crt"])
def test_a_damaged_root_is_not_replaced_behind_anybodys_back(tmp_path: Path, name: str) -> None:
    made(tmp_path)
    (tmp_path / name).write_text("nonsense")
    with pytest.raises(BadCertificate, match="is damaged"):
        made(tmp_path)


def test_a_root_whose_key_was_lost_in_the_middle_is_made_anew(tmp_path: Path) -> None:
    """kill -9 between the two files: the key was first, and nobody trusts it yet."""
    made(tmp_path)
    (tmp_path / "root.crt").unlink()
    assert openssl_says(tmp_path, made(tmp_path)).endswith("OK")


# -- one's own files


def test_what_is_wrong_with_ones_own_files_is_said(tmp_path: Path) -> None:
    cert, key = parts(made(tmp_path))
    secret = load_pem_private_key(key.encode(), None)
    encrypted = secret.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    ).decode()
    for wrong, why in (
        (("", key), "no certificate"),
        ((cert, ""), "no private key"),
        ((cert, parts(made(tmp_path))[1]), "belongs to another"),
        ((cert, encrypted), "encrypted with a password"),
    ):
        with pytest.raises(BadCertificate, match=why):
            read(*wrong)


async def test_ones_own_files_are_read_again_when_they_are_renewed(tmp_path: Path) -> None:
    of = Certificates(tmp_path, TlsSettings(cert="cert.pem", key="key.pem"), node="pi", domain="localhost")
    assert await of.look([], [], NOW) is None and "cannot be read" in of.problem
    first, second = made(tmp_path / "ca"), made(tmp_path / "ca")
    own(tmp_path, first)
    now = _begin(first)
    shown = await of.look([], [], now)
    assert shown is not None and shown.pem == first and of.problem == ""
    own(tmp_path, second)
    shown = await of.look([], [], now)
    assert shown is not None and shown.pem == second
    # Half of a renewal: the old pair is shown on, until the other half is there.
    third = made(tmp_path / "ca")
    (tmp_path / "cert.pem").write_text(parts(third)[0])
    assert await of.look([], [], now) == shown and "belongs to another" in of.problem
    assert await of.look([], [], now) == shown and "belongs to another" in of.problem
    own(tmp_path, third)
    shown = await of.look([], [], now)
    assert shown is not None and shown.pem == third and of.problem == ""


async def test_it_is_said_that_nobody_renews_them(tmp_path: Path) -> None:
    of = Certificates(tmp_path, TlsSettings(cert="cert.pem", key="key.pem"), node="pi", domain="localhost")
    own(tmp_path, pem := made(tmp_path / "ca"))
    shown = await of.look([], [], _begin(pem))
    assert shown is not None and of.problem == ""
    assert await of.look([], [], shown.until - 86400) == shown and " ends on " in of.problem
    assert await of.look([], [], shown.until + 1) == shown and " ended on " in of.problem


def _begin(pem: str) -> float:
    found: float = read(*parts(pem))["from"]
    return found


# -- of the node's own authority


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the process was asked; it answers as the real one."""
    requests = []

    async def ask(request: dict[str, Any]) -> dict[str, Any]:
        requests.append(dict(request))
        return authority._answer(dict(request))

    monkeypatch.setattr(certificates, "_ask", ask)
    return requests


async def test_a_leaf_is_kept_until_it_has_to_be_another(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    def life() -> Certificates:
        return Certificates(tmp_path, TlsSettings(authority=True), node="pi", domain="home.example")

    of = life()
    shown = await of.look(HOSTS, ["192.168.1.5"], NOW)
    assert isinstance(shown, Shown) and "pi.local" in read(*parts(shown.pem))["names"]
    assert shown.authority == of.root.read_text()
    assert (tmp_path / FOLDER / LEAF).stat().st_mode & 0o777 == 0o600
    for again in (of, life()):
        assert await again.look(HOSTS, ["192.168.1.5"], NOW) == shown
    assert len(asked) == 1
    moved = await of.look(HOSTS, ["192.168.1.6"], NOW)
    assert moved is not None and "192.168.1.6" in read(*parts(moved.pem))["names"]
    assert await of.look(HOSTS, ["192.168.1.6"], moved.until - RENEW - 1) == moved
    renewed = await of.look(HOSTS, ["192.168.1.6"], moved.until - RENEW + 1)
    assert renewed is not None and renewed != moved and len(asked) == 3


async def test_a_new_authority_signs_a_new_leaf(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    async def look() -> Shown:
        of = Certificates(tmp_path, TlsSettings(authority=True), node="pi", domain="localhost")
        shown = await of.look(["pi.local"], [], NOW)
        assert shown is not None
        return shown

    first = await look()
    for name in ("root.crt", "root.key"):
        (tmp_path / FOLDER / name).unlink()
    second = await look()
    assert second.authority != first.authority and second.pem.count("BEGIN CERTIFICATE") == 2


async def test_what_fails_is_said_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> None:
    of = Certificates(tmp_path, TlsSettings(authority=True), node="pi", domain="localhost")
    monkeypatch.setattr(authority, "write_atomically", _full)
    assert await of.look(["pi.local"], [], NOW) is None
    assert "No space left" in of.problem
    assert await of.look(["pi.local"], [], NOW + 1) is None and len(asked) == 1
    monkeypatch.undo()
    shown = await of.look(["pi.local"], [], NOW + 61)
    assert shown is not None and of.problem == ""


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"for": 1}', "nonsense"])
async def test_a_damaged_leaf_is_made_anew(tmp_path: Path, text: str, asked: list[dict[str, Any]]) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / LEAF).write_text(text)
    of = Certificates(tmp_path, TlsSettings(authority=True), node="pi", domain="localhost")
    assert await of.look(["pi.local"], [], NOW) is not None
    assert json.loads((tmp_path / FOLDER / LEAF).read_text())["for"]["hosts"] == ["pi.local"]


async def test_the_real_process_makes_what_python_trusts(tmp_path: Path) -> None:
    of = Certificates(tmp_path, TlsSettings(authority=True), node="pi", domain="localhost")
    shown = await of.look(["pi.local"], [], NOW)
    assert shown is not None and of.problem == ""
    context = ssl.create_default_context(cadata=shown.authority)
    assert context.get_ca_certs()[0]["subject"] == ((("commonName", "Atek home pi"),),)
