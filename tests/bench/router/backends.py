"""The program behind every contestant: it answers everything with the same few bytes.

nginx, or for smoke tests a few lines of Python. The benchmark starts one for the others; our node starts an
equal one, as a service.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.bench.packages import from_system
from tests.bench.router.daemon import Daemon, free_port, listens
from tests.bench.router.wire import ANSWER

if TYPE_CHECKING:
    from tests.bench.router.wire import Address

PLAIN = Path(__file__).with_name("plain_backend.py")
_CONFIG = """\
worker_processes 1;
%(user)s
error_log %(folder)s/error.log error;
pid %(folder)s/pid;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    server {
        %(listen)s
        default_type application/json;
        location / { return 200 '%(answer)s'; }
    }
}
"""


class BackendKind(Protocol):
    """What to run."""

    def command(self, folder: Path, socket: Path, port: int) -> list[str]:
        """Listens on both."""
        ...

    def service_command(self, folder: Path) -> list[str]:
        """As a service of our node, where the socket is a variable."""
        ...


class NginxBackend:
    """As fast as there is."""

    def __init__(self) -> None:
        self._program = from_system("nginx", "nginx")

    def command(self, folder: Path, socket: Path, port: int) -> list[str]:
        return self._run(self._write(folder, f"listen unix:{socket}; listen 127.0.0.1:{port} backlog=1024;"))

    def service_command(self, folder: Path) -> list[str]:
        """The shell writes the socket into the configuration: nginx reads no variables. $$ is a dollar."""
        template = self._write(folder, "listen unix:SOCKET;")
        own = "$ATEK_DATA_DIR/nginx.conf"
        script = f'sed "s|SOCKET|$ATEK_ASSIGNED_SOCKET_FILE|" {template} > {own} && exec "$$@"'
        return ["sh", "-c", script, "sh", *self._run(own)]

    def _run(self, config: Path | str) -> list[str]:
        return [self._program, "-c", str(config), "-g", "daemon off;"]

    def _write(self, folder: Path, listen: str) -> Path:
        config = folder / "nginx-backend.conf"
        config.write_text(
            _CONFIG % {"user": nginx_user(), "folder": folder, "listen": listen, "answer": ANSWER.decode()}
        )
        return config


class PlainBackend:
    """Needs nothing installed."""

    def command(self, folder: Path, socket: Path, port: int) -> list[str]:
        return [sys.executable, str(PLAIN), str(socket), str(port)]

    def service_command(self, folder: Path) -> list[str]:
        return [sys.executable, str(PLAIN), "$ATEK_ASSIGNED_SOCKET_FILE"]


class Backend(Daemon):
    """Running, on a Unix socket and, for those who measure it without a proxy, on TCP."""

    def __init__(self, kind: BackendKind) -> None:
        super().__init__()
        self.socket = self.folder / "backend.sock"
        self._port = free_port()
        self.begin(*kind.command(self.folder, self.socket, self._port))
        self.until(lambda: self.socket.exists() and listens(self._port), "the backend listens")

    @property
    def address(self) -> Address:
        return "127.0.0.1", self._port


def nginx_user() -> str:
    """For root: its worker would otherwise be nobody, who may not enter our folders."""
    return "user root;" if os.geteuid() == 0 else ""
