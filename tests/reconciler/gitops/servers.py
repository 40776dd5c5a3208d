"""Git servers as people have them, on loopback: git's own backend for http, a real sshd, git daemon."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.reconciler.gitops.signers import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass
class HttpServer:
    """What it asks for and does may be changed while it runs; `asked` are the requests so far.

    `token`: what a password has to be. `answer`: a status, with headers, instead of git's answer.
    `before`: called with each path, and may take its time.
    """

    root: Path
    url: str = ""
    token: str | None = None
    answer: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None
    before: Callable[[str], None] = lambda path: None
    environment: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(f"{request.command} {request.path}")
        self.authorizations.append(request.headers.get("Authorization", ""))
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length) if length else _chunks(request)
        self.before(request.path)
        if (other := self.answer(request.path)) is not None:
            _reply(request, other[0], other[1], b"")
        elif not self._is_known(request):
            _reply(request, 401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
        else:
            self._backend(request, body)

    def _is_known(self, request: BaseHTTPRequestHandler) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if self.token is None:
            return True
        return kind == "Basic" and base64.b64decode(given).decode().partition(":")[2] == self.token

    def _backend(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        parts = urlsplit(request.path)
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path, "QUERY_STRING": parts.query, "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""), "CONTENT_LENGTH": str(len(body)),
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            **self.environment,
        }  # fmt: skip
        said = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True
        ).stdout
        head, _, rest = said.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        _reply(request, status, headers, rest)


def _chunks(request: BaseHTTPRequestHandler) -> bytes:
    body = b""
    if request.headers.get("Transfer-Encoding") == "chunked":
        while size := int(request.rfile.readline(), 16):
            body += request.rfile.read(size)
            request.rfile.readline()
        request.rfile.readline()
    return body


def _reply(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    try:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        request.close_connection = True


@dataclass(frozen=True)
class Authority:
    """A private CA, and a certificate of it for localhost; `days` may lie in the past."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        return context


def authority(folder: Path, name: str = "localhost", days: int = 30) -> Authority:
    folder.mkdir(exist_ok=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca, server = folder / "ca", folder / "server"
    run(
        "openssl",
        "req",
        "-x509",
        *key,
        "-keyout",
        f"{ca}.key",
        "-out",
        f"{ca}.pem",
        "-subj",
        "/CN=a private CA",
    )
    run("openssl", "req", *key, "-keyout", f"{server}.key", "-out", f"{server}.csr", "-subj", f"/CN={name}")
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    run(
        "openssl", "x509", "-req", "-in", f"{server}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
        "-CAcreateserial", "-out", f"{server}.pem", "-extfile", str(extensions), "-days", str(days),
    )  # fmt: skip
    return Authority(folder)


@contextmanager
def http_server(root: Path, tls: Authority | None = None, port: int = 0) -> Iterator[HttpServer]:
    """Serves the bare repositories of a folder at `url`/NAME.git."""
    state = HttpServer(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.handle(self)

        do_POST = do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that go away, or do not trust the certificate."""

    with Server(("127.0.0.1", port), Handler) as server:
        if tls is not None:
            server.socket = tls.context().wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        scheme = "https" if tls else "http"
        state.url = f"{scheme}://localhost:{server.server_address[1]}"
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class SshServer:
    """`url` has the user in it; `known`: what a file of known hosts says of it."""

    url: str
    known: str
    folder: Path

    def allow(self, *public: str) -> None:
        """Only these keys may come in from now on."""
        (self.folder / "authorized").write_text("".join(f"{key}\n" for key in public))


@contextmanager
def ssh_server(folder: Path, *, host_key: str = "host") -> Iterator[SshServer]:
    """A real sshd for the user of the tests, with nothing of the machine's configuration."""
    folder.mkdir(mode=0o700, exist_ok=True)
    key = folder / host_key
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    port = free_port()
    (folder / "authorized").touch(mode=0o600)
    if os.geteuid() == 0:
        # Its own empty folder, which Debian's package makes when it is started.
        os.makedirs("/run/sshd", exist_ok=True)
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": key, "PidFile": "none",
        "AuthorizedKeysFile": folder / "authorized", "UsePAM": "no", "StrictModes": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "AcceptEnv": "GIT_PROTOCOL", "PermitRootLogin": "prohibit-password",
    }  # fmt: skip
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    sshd = shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ["PATH"])
    assert sshd is not None, "install openssh-server"
    line = [sshd, "-D", "-e", "-f", str(config)]
    known = f"[localhost]:{port} {key.with_name(key.name + '.pub').read_text()}"
    with _running(line, port, {}):
        yield SshServer(f"ssh://{getpass.getuser()}@localhost:{port}", known, folder)


@contextmanager
def git_daemon(root: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """By git's own protocol, which asks nobody who he is."""
    port = free_port()
    options = ("--export-all", f"--base-path={root}", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr")
    with _running(["git", "daemon", *options, str(root)], port, environment or {}):
        yield f"git://localhost:{port}"


@contextmanager
def _running(line: Sequence[str], port: int, more: Mapping[str, str]) -> Iterator[None]:
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        **more,
    }  # fmt: skip
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _wait(process, port)
        yield
    finally:
        os.killpg(process.pid, 9)
        process.communicate()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
