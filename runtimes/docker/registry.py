"""What a registry offers: the tags of a repository, and the digest that one of them is now.

By the OCI distribution API, asked directly: engines tell a digest (not all of them) and never the tags.
`docker.io` is asked where Docker asks. Who has to log in does so as the registry says, by Basic or with a
token from its own realm; credentials go nowhere but there, and never over plain HTTP to another machine.
Nothing is followed to another host but the realm.
"""

from __future__ import annotations

import base64
import re
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import httpcore
import orjson

from runtimes.base import RuntimeFailure
from runtimes.docker.credentials import DEFAULT_REGISTRY, login, registry_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

FAILED = "RegistryFailed"
#: Docker's own registry is not at its name.
_DOCKER_HOST = "registry-1.docker.io"
_MANIFESTS = ", ".join((
    "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
))  # fmt: skip
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
#: Bytes of one answer, and pages of tags: what is more is no list of versions.
_LARGEST, _PAGES, _PAGE = 8 * 2**20, 50, 1000
_HTTP_ERRORS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)
#: Seconds for a connection, and for each part of an answer.
_CONNECT, _ANSWER = 10.0, 30.0


@dataclass(frozen=True, slots=True)
class Name:
    """Where an image is: `host` to ask, the `repository` there, and the `tag` that its reference names."""

    host: str
    repository: str
    tag: str

    @property
    def base(self) -> str:
        return f"{'http' if _is_loopback(self.host) else 'https'}://{self.host}"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_name(reference: str) -> Name:
    """Of a reference with or without a tag; a digest in it is left out."""
    host = registry_of(reference)
    rest = reference.partition("@")[0]
    if host != DEFAULT_REGISTRY or rest.startswith(f"{DEFAULT_REGISTRY}/"):
        rest = rest.partition("/")[2]
    folder, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    repository = f"{folder}{slash}{name}"
    if host == DEFAULT_REGISTRY:
        host = _DOCKER_HOST
        repository = repository if "/" in repository else f"library/{repository}"
    return Name(host, repository, tag or "latest")


class Registry:
    """Asks for one image. `credentials` is the file with those for registries."""

    def __init__(self, credentials: Path) -> None:
        self._credentials = credentials

    async def digest(self, reference: str) -> str:
        """What the reference's tag is now. Raises RuntimeFailure."""
        name = parse_name(reference)
        path = f"/v2/{name.repository}/manifests/{quote(name.tag)}"
        async with self._session(reference, name) as session:
            answer = await session.get("HEAD", name.base + path, {"Accept": _MANIFESTS})
        found = answer.headers.get("docker-content-digest", "")
        if not _DIGEST.fullmatch(found):
            raise RuntimeFailure(FAILED, f"{reference}: its registry does not say which digest it is")
        return found

    async def tags(self, reference: str) -> list[str]:
        """All that its repository has. Raises RuntimeFailure."""
        name = parse_name(reference)
        url = f"{name.base}/v2/{name.repository}/tags/list?n={_PAGE}"
        tags: list[str] = []
        async with self._session(reference, name) as session:
            for _ in range(_PAGES):
                answer = await session.get("GET", url, {})
                tags += _tags(reference, answer.body)
                following = _NEXT.search(answer.headers.get("link", ""))
                if following is None:
                    break
                url = _on_same_host(urljoin(url, following[1]), name)
        return tags

    @asynccontextmanager
    async def _session(self, reference: str, name: Name) -> AsyncIterator[_Session]:
        known = login(self._credentials, reference)
        context = ssl.create_default_context()
        async with httpcore.AsyncConnectionPool(ssl_context=context) as pool:
            yield _Session(pool, reference, name, known)


class _Session:
    """Some requests to one registry, with what it gave for logging in."""

    def __init__(
        self,
        pool: httpcore.AsyncConnectionPool,
        reference: str,
        name: Name,
        known: Mapping[str, str] | None,
    ) -> None:
        self._pool = pool
        self._reference = reference
        self._name = name
        self._known = known
        self._authorization = ""

    async def get(self, method: str, url: str, headers: Mapping[str, str]) -> _Answer:
        """An answer that is no error. Raises RuntimeFailure."""
        answer = await self._ask(method, url, headers)
        if answer.status == 401 and not self._authorization:
            self._authorization = await self._log_in(answer.headers.get("www-authenticate", ""))
            answer = await self._ask(method, url, headers)
        if answer.status == 200:
            return answer
        raise _failure(self._reference, answer.status)

    async def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> _Answer:
        more = {"Authorization": self._authorization} if self._authorization else {}
        return await self._request(method, url, {**headers, **more})

    async def _log_in(self, challenge: str) -> str:
        """The header that the registry wants to see from now on."""
        scheme, _, rest = challenge.partition(" ")
        basic = _basic(self._known) if self._known else ""
        if scheme.lower() == "basic":
            return basic
        realm = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in realm:
            raise _failure(self._reference, 401)
        if not _may_log_in(realm["realm"], self._name):
            raise RuntimeFailure(FAILED, f"{self._reference}: its registry wants a login over plain HTTP")
        scope = f"repository:{self._name.repository}:pull"
        query = urlencode({"service": realm.get("service", ""), "scope": scope})
        joint = "&" if "?" in realm["realm"] else "?"
        headers = {"Authorization": basic} if basic else {}
        answer = await self._request("GET", f"{realm['realm']}{joint}{query}", headers)
        if answer.status != 200:
            raise _failure(self._reference, answer.status)
        token = _json(self._reference, answer.body)
        return f"Bearer {token.get('token') or token.get('access_token') or ''}"

    async def _request(self, method: str, url: str, headers: Mapping[str, str]) -> _Answer:
        timeouts = {"connect": _CONNECT, "read": _ANSWER, "write": _ANSWER, "pool": _CONNECT}
        fields = [(key.encode(), value.encode()) for key, value in headers.items()]
        host = urlsplit(url).netloc
        try:
            async with self._pool.stream(
                method, url, headers=[(b"Host", host.encode()), *fields], extensions={"timeout": timeouts}
            ) as response:
                body = b""
                async for chunk in response.aiter_stream():
                    body += chunk
                    if len(body) > _LARGEST:
                        raise RuntimeFailure(FAILED, f"{self._reference}: {host} answers without an end")
                found = ((key.decode("latin-1").lower(), value) for key, value in response.headers)
                return _Answer(response.status, {key: value.decode("latin-1") for key, value in found}, body)
        except httpcore.TimeoutException as error:
            raise RuntimeFailure(FAILED, f"{self._reference}: {host} does not answer") from error
        except (*_HTTP_ERRORS, OSError) as error:
            raise RuntimeFailure(FAILED, f"{self._reference}: {host} cannot be reached: {error}") from error


def _tags(reference: str, body: bytes) -> list[str]:
    found = _json(reference, body).get("tags") or []
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []


def _json(reference: str, body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RuntimeFailure(FAILED, f"{reference}: its registry does not answer as registries do")
    return value


def _basic(known: Mapping[str, str]) -> str:
    text = f"{known['username']}:{known['password']}"
    return f"Basic {base64.b64encode(text.encode()).decode()}"


#: Status of an answer → what it means, and what to do about it.
_REFUSALS = {
    401: (
        "lets nobody see it without a login",
        "put its credentials into registries.json in the node's home",
    ),
    403: ("lets nobody see it with that login", "see registries.json in the node's home"),
    404: ("has no such image", "check its name and tag"),
    429: ("was asked too often", "a rarer schedule helps"),
}


def _failure(reference: str, status: int) -> RuntimeFailure:
    what, hint = _REFUSALS.get(status, (f"answers with status {status}", ""))
    return RuntimeFailure(FAILED, f"{reference}: its registry {what}", hint=hint)


def _is_loopback(host: str) -> bool:
    """As engines do: with this machine itself they speak plain HTTP."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _may_log_in(realm: str, name: Name) -> bool:
    parts = urlsplit(realm)
    return parts.scheme == "https" or (
        parts.scheme == "http" and _is_loopback(name.host) and _is_loopback(parts.netloc)
    )


def _on_same_host(url: str, name: Name) -> str:
    if not url.startswith(f"{name.base}/"):
        raise RuntimeFailure(FAILED, f"{name.repository}: its registry's list goes on somewhere else")
    return url
