"""`atek ca`: how devices come to trust the node's own certificate authority."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import clean
from reconciler.errors import UserError
from reconciler.lan.certificates import FOLDER, ROOT
from runtimes.router.decide.plain import AUTHORITY_PATH

if TYPE_CHECKING:
    import argparse

_HINT = (
    "it is made with `authority = true` under [tls] and `listen` in config.toml, once there is a person "
    "(`atek user add`)"
)


def run(arguments: argparse.Namespace) -> int:
    """Works without a running node too, which alone knows where the certificate can be fetched.

    Raises UserError where there is no authority.
    """
    file = arguments.home / FOLDER / ROOT
    try:
        pem = file.read_text("ascii")
        der = ssl.PEM_cert_to_DER_cert(pem)
    except FileNotFoundError:
        raise UserError("this node has no certificate authority of its own", hint=_HINT) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}", hint="use the node's own account") from error
    if arguments.pem:
        print(pem, end="")
        return 0
    found = {"file": str(file), "fingerprint": fingerprint(der), "urls": _urls(arguments)}
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    _tell(found)
    return 0


def fingerprint(der: bytes) -> str:
    """SHA-256, as phones and browsers show it."""
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[each : each + 2] for each in range(0, len(digest), 2))


def _urls(arguments: argparse.Namespace) -> list[str]:
    """Where a device fetches it in the clear; nowhere while no node runs, or nothing is open."""
    with suppress(UserError):
        urls = Client(arguments.home).call("status")["node"].get("urls", [])
        secure = [url.partition("://")[2] for url in urls if url.startswith("https://")]
        return [f"http://{place}{AUTHORITY_PATH.decode()}" for place in secure]
    return []


def _tell(found: dict[str, Any]) -> None:
    print(f"certificate   {clean(found['file'])}")
    print(f"SHA-256       {found['fingerprint']}")
    if not found["urls"]:
        print("\nDevices can fetch it while the node runs, and `listen` says where.")
        return
    for number, url in enumerate(found["urls"]):
        print(f"{'' if number else 'for devices':12}  {clean(url)}")
    print("\nInstall it on each device, and compare the fingerprint there before you trust it.")
    # A phone may not know names of mDNS; addresses it always does.
    _draw(found["urls"][-1])


def _draw(text: str) -> None:
    """A QR code, where somebody looks."""
    if not sys.stdout.isatty():
        return
    import segno

    drawn = io.StringIO()
    segno.make(text, error="m").terminal(drawn, compact=True)
    print(drawn.getvalue(), end="")
