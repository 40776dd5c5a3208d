"""`atek ca`: the certificate of the node's own authority, its fingerprint, and where devices fetch it."""

from __future__ import annotations

import io
import json
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli import ca
from reconciler.lan.authority import issue
from reconciler.lan.certificates import FOLDER
from tests.reconciler.cli.atek import running_node
from tests.reconciler.fakes import FakeNode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reconciler.cli.atek import Atek

URLS = ["https://pi.local:2835", "https://192.168.1.5:2835"]


@pytest.fixture
def root(atek: Atek) -> Path:
    issue(atek.home / FOLDER, node="pi", domain="localhost", hosts=["pi.local"], addresses=[])
    return atek.home / FOLDER / "root.crt"


class Open(FakeNode):
    def status(self) -> dict[str, Any]:
        told = super().status()
        return {**told, "node": {**told["node"], "urls": URLS}}


def test_the_fingerprint_is_what_openssl_says(atek: Atek, root: Path) -> None:
    command = ["openssl", "x509", "-in", str(root), "-noout", "-fingerprint", "-sha256"]
    done = subprocess.run(command, capture_output=True, text=True)
    said = atek("ca").out
    assert done.stdout.strip().partition("=")[2] in said
    assert str(root) in said and "while the node runs" in said


def test_the_certificate_itself(atek: Atek, root: Path) -> None:
    assert ssl.PEM_cert_to_DER_cert(atek("ca", "--pem").out) == ssl.PEM_cert_to_DER_cert(root.read_text())


def test_where_devices_fetch_it(atek: Atek, root: Path) -> None:
    with running_node(atek.home, Open()):
        assert json.loads(atek("ca", "--json").out)["urls"] == [
            "http://pi.local:2835/_atek/ca.crt", "http://192.168.1.5:2835/_atek/ca.crt",
        ]  # fmt: skip
        assert "http://pi.local:2835/_atek/ca.crt" in atek("ca").out


def test_a_code_for_phones_only_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr("sys.stdout", seen)
    ca._draw(URLS[0])
    assert seen.getvalue() == ""
    monkeypatch.setattr(seen, "isatty", lambda: True, raising=False)
    ca._draw(URLS[0])
    assert len(seen.getvalue().splitlines()) > 10


def test_without_an_authority(atek: Atek) -> None:
    result = atek("ca")
    assert result.status == 1 and "authority = true" in result.err


def test_a_damaged_one(atek: Atek, root: Path) -> None:
    root.write_text("x")
    assert "cannot be read" in atek("ca").err
