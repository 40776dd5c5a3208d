"""Certificates for tests, from an authority of the node's own kind."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from reconciler.lan.authority import ROOT, issue

if TYPE_CHECKING:
    from pathlib import Path

#: What the node is called in these tests.
HOST = "pi.local"


class Authority:
    """The root is in `file`; who trusts it uses `trusting`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.latest = ""
        self.issue()
        self.file = folder / ROOT

    @property
    def root(self) -> str:
        return self.file.read_text()

    def issue(self, *hosts: str, domain: str = "home.example") -> str:
        """A new chain with its key, another one each time."""
        made: dict[str, Any] = issue(
            self._folder, node="pi", domain=domain,
            hosts=[HOST, *hosts] if hosts else [HOST, "*.home.example"], addresses=["127.0.0.1"],
        )  # fmt: skip
        self.latest = made["pem"]
        return self.latest

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))


def serial(pem: str) -> bytes:
    """By which one certificate is told from another: its bytes."""
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 25] + "\n")
