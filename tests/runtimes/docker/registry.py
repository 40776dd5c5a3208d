"""A registry for pulls in tests: the part of the distribution API that reading needs, on a loopback address.

Engines speak plain HTTP with registries at 127.0.0.0/8. Who wants an image needs a name and a password when
the registry has any: by HTTP Basic, or with a token that is given for them (`tokens`).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import secrets
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
#: Large enough that an engine tells how far it is.
_LAYER_SIZE = 3 * 2**20


class Registry:
    """`user` and `password` are asked for unless they are empty. Every request's path is in `asked`."""

    def __init__(self, server: ThreadingHTTPServer, *, user: str, password: str, tokens: bool) -> None:
        self.address = f"127.0.0.1:{server.server_port}"
        self.asked: list[str] = []
        self.tokens = tokens
        self.token = secrets.token_hex(8)
        #: So many tags are told at a time.
        self.page = 1000
        self.basic = f"{user}:{password}" if user else ""
        #: Repository and tag or digest → manifest; digest → blob.
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def add(self, repository: str, tag: str, content: str, root: bytes | None = None) -> str:
        """An image with one file, new under this tag. Returns the digest of its manifest.

        `root`: the archive of a whole root folder instead; its programs see the content as VERSION.
        """
        layer = root or _layer(content)
        about = {"Labels": {"content": content}, "Env": ["PATH=/bin", f"VERSION={content}"]}
        config = {
            "architecture": "amd64", "os": "linux", "config": about,
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }  # fmt: skip
        manifest = {
            "schemaVersion": 2, "mediaType": _MANIFEST,
            "config": self._blob(json.dumps(config).encode(), _CONFIG),
            "layers": [self._blob(gzip.compress(layer, 1), _LAYER)],
        }  # fmt: skip
        data = json.dumps(manifest).encode()
        self.manifests[repository, tag] = self.manifests[repository, _digest(data)] = data
        return _digest(data)

    def _blob(self, data: bytes, media_type: str) -> dict[str, object]:
        self.blobs[_digest(data)] = data
        return {"mediaType": media_type, "size": len(data), "digest": _digest(data)}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _layer(content: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in (("content", content.encode()), ("weight", secrets.token_bytes(_LAYER_SIZE))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


class _Handler(BaseHTTPRequestHandler):
    registry: ClassVar[Registry]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        registry = self.registry
        path, _, _ = self.path.partition("?")
        registry.asked.append(path)
        given = self.headers.get("Authorization", "")
        basic = "Basic " + base64.b64encode(registry.basic.encode()).decode()
        if path == "/token":
            if given == basic:
                self._answer(200, json.dumps({"token": registry.token}).encode())
            else:
                self._refuse(401, "UNAUTHORIZED", "incorrect username or password")
        elif registry.basic and given != (f"Bearer {registry.token}" if registry.tokens else basic):
            how = f'Bearer realm="http://{registry.address}/token",service="test"'
            challenge = how if registry.tokens else 'Basic realm="test"'
            self._refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
        elif path == "/v2/":
            self._answer(200, b"{}")
        else:
            self._content(path.removeprefix("/v2/"))

    do_HEAD = do_GET

    def _tags(self, repository: str) -> None:
        """In pages of `page`, as large registries have them."""
        registry = self.registry
        words = parse_qs(urlsplit(self.path).query)
        tags = sorted(tag for name, tag in registry.manifests if name == repository and ":" not in tag)
        rest = [tag for tag in tags if tag > words.get("last", [""])[0]]
        headers = {}
        if len(rest) > registry.page:
            last = rest[registry.page - 1]
            headers["Link"] = f'</v2/{repository}/tags/list?last={last}&n={registry.page}>; rel="next"'
        if not tags:
            self._refuse(404, "NAME_UNKNOWN", "repository name not known to registry")
            return
        value = {"name": repository, "tags": rest[: registry.page]}
        self._answer(200, json.dumps(value).encode(), headers)

    def _content(self, path: str) -> None:
        before, slash, name = path.rpartition("/")
        repository, _, kind = before.rpartition("/")
        if (kind, name) == ("tags", "list"):
            self._tags(repository)
            return
        found = self.registry.blobs.get(name)
        if kind == "manifests":
            found = self.registry.manifests.get((repository, name))
        if not slash or found is None:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        media_type = _MANIFEST if kind == "manifests" else "application/octet-stream"
        self._answer(200, found, {"Content-Type": media_type, "Docker-Content-Digest": _digest(found)})

    def _refuse(self, status: int, code: str, why: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps({"errors": [{"code": code, "message": why}]}).encode(), headers)

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def registry(*, user: str = "", password: str = "", tokens: bool = False) -> Iterator[Registry]:
    """Listens until the block ends."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.registry = Registry(server, user=user, password=password, tokens=tokens)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Handler.registry
        finally:
            server.shutdown()
            thread.join()
