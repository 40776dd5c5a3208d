"""Daemons with children of their own: what the node's death, an edit, a crash and a stop do to them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.programs import system
from tests.programs.redis import Redis

if TYPE_CHECKING:
    from tests.programs.trial import Trial

NGINX = """
user root;
daemon off;
pid nginx.pid;
error_log stderr;
worker_processes 2;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""
#: Counts in the data folder; setproctitle overwrites what the node had put into the workers' environment.
COUNTING = """
import os
from pathlib import Path

FILE = Path(os.environ["ATEK_DATA_DIR"]) / "count"
GREETING = "one"

def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        with FILE.open("a") as file:
            file.write("x")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{GREETING} {FILE.stat().st_size if FILE.exists() else 0}".encode()]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_redis(trial: Trial) -> None:
    trial.name, server = "Redis", system.program("redis-server", "redis-server")
    trial.version = system.version("redis-server")
    command = [server, "--port", "$PORT", "--dir", "$ATEK_DATA_DIR", "--appendonly", "yes"]

    def declare(*more: str) -> None:
        trial.manifest("redis", command=[*command, *more], port="auto")

    with trial.step("installed"):
        declare()
        trial.up()
        trial.installed("redis")
    with trial.step("answers"), Redis(trial.port("redis")) as redis:
        assert redis.call("SET", "cat", "Kitty") == "OK"
    with trial.step("adopted"), Redis(trial.port("redis")) as redis:
        assert redis.call("PING") == "PONG"
        trial.adopted("redis")
        assert redis.call("GET", "cat") == "Kitty"
    with trial.step("edited"):
        trial.rolled("redis", lambda: declare("--maxmemory", "64mb"))
        with Redis(trial.port("redis")) as redis:
            assert redis.call("GET", "cat") == "Kitty"
    with trial.step("crashed"):
        trial.crashed("redis")
        with Redis(trial.port("redis")) as redis:
            assert redis.call("GET", "cat") == "Kitty"
    with trial.step("stopped"):
        trial.stopped("redis")


def test_nginx(trial: Trial) -> None:
    trial.name, nginx = "nginx", system.program("nginx", "nginx")
    trial.version = system.version("nginx")
    port = free_port()
    conf = NGINX.format(port=port, folder=trial.root / "site")
    folder = trial.package("site", {"nginx.conf": conf, "www/index.html": "one"})
    with trial.step("installed"):
        command = [nginx, "-p", "$ATEK_DATA_DIR", "-e", "stderr", "-c", str(folder / "nginx.conf")]
        trial.manifest("nginx", source=str(folder), runtime="process", command=command, port=port)
        trial.up()
        trial.installed("nginx")
    with trial.step("answers"):
        assert trial.page("nginx") == "one"
    with trial.step("adopted"):
        trial.adopted("nginx")
        assert trial.page("nginx") == "one"
    with trial.step("edited"):
        trial.rolled("nginx", lambda: (folder / "www/index.html").write_text("two"))
        assert trial.page("nginx") == "two"
    with trial.step("crashed"):
        trial.crashed("nginx")
        assert trial.page("nginx") == "two"
    with trial.step("stopped"):
        trial.stopped("nginx")


def test_gunicorn(trial: Trial) -> None:
    trial.name, trial.version = "gunicorn", "23.0.0"
    requirements = "gunicorn==23.0.0\nsetproctitle==1.3.6\n"
    folder = trial.package("counter", {"app.py": COUNTING, "requirements.txt": requirements})
    command = ["gunicorn", "--workers", "2", "--bind", "unix:$ATEK_ASSIGNED_SOCKET_FILE", "app:application"]
    with trial.step("installed"):
        trial.manifest("counter", source=str(folder), command=command)
        trial.up()
        trial.installed("counter")
    with trial.step("answers"):
        assert trial.ask("counter", method="POST") == (200, "one 1")
    with trial.step("adopted"):
        trial.adopted("counter")
        assert trial.ask("counter", method="POST") == (200, "one 2")
    with trial.step("edited"):
        edited = COUNTING.replace("one", "two")
        trial.rolled("counter", lambda: (folder / "app.py").write_text(edited))
        assert trial.page("counter") == "two 2"
    with trial.step("crashed"):
        trial.crashed("counter")
        assert trial.page("counter") == "two 2"
    with trial.step("stopped"):
        trial.stopped("counter")
