"""The node's own certificate authority, and what a certificate says: X.509 by `cryptography`.

The root may vouch for this house only: names under `.local`, `.localhost` and the node's own domain, and
addresses of private networks (name constraints, RFC 5280, section 4.2.1.10; phones keep them). So a device
that trusts it trusts it with nothing on the internet, whoever gets its key. A leaf lasts 90 days, well below
the 398 that Apple takes at most.

`python -m reconciler.lan.authority` reads one request from its standard input and writes its answer, in JSON:

    {"do": "issue", "folder", "node", "domain", "hosts", "addresses"} → {"pem", "until", "refused"}
    {"do": "read", "cert", "key"}                                     → {"pem", "from", "until", "names"}
    or {"error", "hint"}; times are seconds since 1970.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from manifests.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv6Address

ROOT_KEY, ROOT = "root.key", "root.crt"
ROOT_LASTS, LEAF_LASTS = timedelta(days=3650), timedelta(days=90)
#: A device's clock may be behind.
_EARLIER = timedelta(days=1)
_OWN_DOMAINS = ("local", "localhost")
PRIVATE = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
    "fc00::/7", "fe80::/10", "::1/128",
)  # fmt: skip


class BadCertificate(Exception):
    """One sentence, and a hint."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def issue(
    folder: Path, *, node: str, domain: str, hosts: Sequence[str], addresses: Iterable[str]
) -> dict[str, Any]:
    """A chain with its key for what the root may vouch for; the root is made the first time.

    Raises BadCertificate where there is a root that cannot be used, and OSError.
    """
    key, root = _ensure_root(folder, node, domain)
    constraints = root.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = {
        each.value for each in constraints.permitted_subtrees or () if isinstance(each, x509.DNSName)
    }
    good = [host for host in hosts if _is_below(host, permitted)]
    inside = [each for each in map(ip_address, addresses) if _is_private(each)]
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    until = min(now + LEAF_LASTS, root.not_valid_after_utc)
    leaf = (
        _builder(_name(good[0] if good else node), leaf_key.public_key(), now, until)
        .issuer_name(root.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([*map(x509.DNSName, good), *map(x509.IPAddress, inside)]),
            critical=False,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = _pem(leaf) + _pem(root) + _key_pem(leaf_key)
    return {"pem": pem, "until": until.timestamp(), "refused": [host for host in hosts if host not in good]}


def read(cert: str, key: str) -> dict[str, Any]:
    """What a person's own certificate (with its chain) and key are, both PEM. Raises BadCertificate."""
    try:
        chain = x509.load_pem_x509_certificates(cert.encode())
    except ValueError as error:
        raise BadCertificate("it is no certificate in PEM", "-----BEGIN CERTIFICATE----- …") from error
    try:
        private = serialization.load_pem_private_key(key.encode(), None)
    except TypeError as error:
        raise BadCertificate(
            "its key is encrypted with a password", "openssl pkey -in KEY -out PLAIN-KEY; chmod 600 PLAIN-KEY"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate("its key is no private key in PEM", "-----BEGIN PRIVATE KEY----- …") from error
    leaf = chain[0]
    if _public(private.public_key()) != _public(leaf.public_key()):
        raise BadCertificate("the key belongs to another certificate", "cert and key are made together")
    return {
        "pem": "".join(map(_pem, chain)) + key,
        "from": leaf.not_valid_before_utc.timestamp(),
        "until": leaf.not_valid_after_utc.timestamp(),
        "names": _names(leaf),
    }


def _ensure_root(folder: Path, node: str, domain: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    if not (folder / ROOT).exists():
        _make_root(folder, node, domain)
    again = (
        f"restore it from a backup, or delete {folder} for a new one, which each device has to trust again"
    )
    try:
        descriptor = os.open(folder / ROOT_KEY, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if os.fstat(descriptor).st_mode & 0o077:
                raise BadCertificate(
                    f"{folder / ROOT_KEY} can be read by others", f"chmod 600 it, if nobody did; or {again}"
                )
            key = serialization.load_pem_private_key(file.read(), None)
        root = x509.load_pem_x509_certificate((folder / ROOT).read_bytes())
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise BadCertificate(f"the authority in {folder} is damaged", again) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or _public(key.public_key()) != _public(
        root.public_key()
    ):
        raise BadCertificate(f"the authority's key in {folder} is another one's", again)
    if root.not_valid_after_utc <= datetime.now(UTC):
        raise BadCertificate("the authority's certificate has ended", again)
    return key, root


def _make_root(folder: Path, node: str, domain: str) -> None:
    """The key first: a certificate without one would be trusted in vain."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    domains = dict.fromkeys([*_OWN_DOMAINS, domain])
    permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in domains]
    permitted += [x509.IPAddress(ip_network(each)) for each in PRIVATE]
    name = _name(f"Atek home {node}")
    root = (
        _builder(name, key.public_key(), now, now + ROOT_LASTS)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(folder / ROOT_KEY, _key_pem(key).encode())
    write_atomically(folder / ROOT, _pem(root).encode())


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _EARLIER).not_valid_after(until)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in map(ip_network, PRIVATE))


def _is_below(host: str, domains: Iterable[str]) -> bool:
    bare = host.removeprefix("*.")
    return any(bare == domain or bare.endswith(f".{domain}") for domain in domains)


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(each.value) for each in found if isinstance(each, (x509.DNSName, x509.IPAddress))]


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    what = request.pop("do")
    try:
        if what == "issue":
            return issue(Path(request.pop("folder")), **request)
        return read(**request)
    except BadCertificate as error:
        return {"error": str(error), "hint": error.hint}
    except OSError as error:
        return {
            "error": f"the certificate cannot be kept: {error.strerror or error}",
            "hint": "is the disk full?",
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(json.load(sys.stdin))))
