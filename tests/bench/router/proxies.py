"""Those who are compared: each forwards what it gets on a port to the backend's Unix socket.

One worker each, connections kept open on both sides, no access log: what our router does too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tests.bench.packages import from_npm, from_system
from tests.bench.router.backends import nginx_user
from tests.bench.router.daemon import Daemon, free_port, listens

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.router.backends import Backend
    from tests.bench.router.wire import Address


class Proxy(Protocol):
    """One contestant."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> Address:
        """Where it listens."""
        ...

    @property
    def token(self) -> str:
        """What its callers carry. Ours looks at it, the others get one of the same length."""
        ...

    def start(self) -> None:
        """Returns when it listens."""
        ...

    def check(self) -> None:
        """Whatever else has to be so before it may be measured. Raises WrongAnswer."""
        ...

    def pids(self) -> list[int]:
        """The processes that forward."""
        ...

    def stop(self) -> None: ...


class Direct:
    """No proxy at all, the backend itself."""

    name = "backend alone"
    token = "x" * 64

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.address = backend.address

    def start(self) -> None: ...

    def check(self) -> None: ...

    def pids(self) -> list[int]:
        return self._backend.pids()

    def stop(self) -> None: ...


class Forwarder(Daemon):
    """What those below have in common: a port, a configuration in a file, a command."""

    name = ""
    token = "x" * 64

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.socket = backend.socket
        self.port = free_port()
        self.config = self.folder / "config"

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    def start(self) -> None:
        self.launch()
        self.until(lambda: listens(self.port), f"{self.name} listens")

    def launch(self) -> None: ...

    def check(self) -> None: ...


class Nginx(Forwarder):
    """The one to be measured by."""

    name = "nginx"

    def launch(self) -> None:
        program = from_system("nginx", "nginx")
        temporary = " ".join(
            f"{kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.config.write_text(
            f"worker_processes 1; worker_rlimit_nofile 16384; {nginx_user()}\n"
            f"error_log {self.folder}/error.log error; pid {self.folder}/pid;\n"
            "events { worker_connections 16000; }\n"
            f"http {{ access_log off; {temporary} keepalive_requests 1000000000;\n"
            f"upstream backend {{ server unix:{self.socket};\n"
            "    keepalive 256; keepalive_requests 1000000000; }\n"
            f"server {{ listen 127.0.0.1:{self.port} backlog=1024; location / {{\n"
            '    proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";\n'
            "    proxy_set_header Host $host; } } }\n"
        )
        self.begin(program, "-c", self.config, "-g", "daemon off;")


class Haproxy(Forwarder):
    """One thread."""

    name = "haproxy"

    def launch(self) -> None:
        program = from_system("haproxy", "haproxy")
        self.config.write_text(
            "global\n    nbthread 1\n"
            "defaults\n    mode http\n    http-reuse always\n    timeout http-keep-alive 75s\n"
            "    timeout connect 5s\n    timeout client 75s\n    timeout server 75s\n"
            f"listen all\n    bind 127.0.0.1:{self.port} backlog 1024\n"
            f"    server backend unix@{self.socket} pool-max-conn 256\n"
        )
        self.begin(program, "-db", "-f", self.config)


class Caddy(Forwarder):
    """One processor for Go."""

    name = "Caddy"

    def launch(self) -> None:
        program = from_system("caddy", "caddy")
        self.config.write_text(
            "{\n    admin off\n    auto_https off\n"
            "    log {\n        level ERROR\n    }\n}\n"
            f"http://:{self.port} {{\n    bind 127.0.0.1\n    reverse_proxy unix/{self.socket} {{\n"
            "        transport http {\n            keepalive_idle_conns_per_host 256\n        }\n    }\n}\n"
        )
        self.begin(
            program, "run", "--adapter", "caddyfile", "--config", self.config,
            GOMAXPROCS="1", HOME=str(self.folder), XDG_DATA_HOME=str(self.folder),
        )  # fmt: skip


class HttpProxy(Forwarder):
    """Node's http-proxy, with an agent that keeps connections."""

    name = "http-proxy (Node)"

    def __init__(self, backend: Backend, cache: Path) -> None:
        super().__init__(backend)
        self._modules = cache / "http-proxy"

    def launch(self) -> None:
        from_npm("http-proxy", self._modules)
        program = from_system("node", "nodejs")
        self.config.write_text(
            f"const {{ createServer, Agent }} = require('http');\n"
            f"const proxy = require('{self._modules}/node_modules/http-proxy').createProxyServer({{\n"
            f"  target: {{ socketPath: '{self.socket}' }},\n"
            "  agent: new Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 256 }) });\n"
            "const server = createServer((request, response) => proxy.web(request, response, "
            "(error) => { response.statusCode = 502; response.end(String(error)); }));\n"
            "server.keepAliveTimeout = 75000;\n"
            f"server.listen({{ port: {self.port}, host: '127.0.0.1', backlog: 1024 }});\n"
        )
        # http-proxy calls util._extend, of which newer Nodes warn once.
        self.begin(program, "--no-deprecation", self.config)
