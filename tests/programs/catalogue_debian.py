"""Debian's."""

from __future__ import annotations

from tests.programs.program import Program, command, http, tcp

MOSQUITTO = """
listener $PORT 127.0.0.1
allow_anonymous true
persistence true
persistence_location $ATEK_DATA_DIR/
autosave_interval 1
autosave_on_changes true
user root
"""
HAPROXY = """
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend http
  bind 127.0.0.1:"$PORT"
  http-request return status 200 content-type text/plain string "from haproxy"
"""
CADDYFILE = """
{
  admin off
}
http://:$PORT {
  bind 127.0.0.1
  respond "from caddy"
}
"""
LIGHTTPD = """
server.document-root = "$ATEK_DATA_DIR"
server.bind = "127.0.0.1"
server.port = $PORT
index-file.names = ( "index.html" )
"""


def configured(text: str, *words: str) -> list[str]:
    """Writes its configuration into the data folder, and becomes the program."""
    script = f'cat > "$ATEK_DATA_DIR/conf" <<END\n{text}\nEND\nexec "$@"'
    return ["sh", "-c", script.replace("$", "$$"), "sh", *words]


def common(name: str) -> tuple[str, str]:
    """Most packages are called like their command."""
    return name, name


CONF = "$ATEK_DATA_DIR/conf"
PROGRAMS = [
    Program(
        "Mosquitto",
        "",
        configured(MOSQUITTO, "mosquitto", "-c", CONF),
        answers=command("mosquitto_pub", "-p", "PORT", "-t", "greeting", "-m", "hello"),
        writes=command("mosquitto_pub", "-p", "PORT", "-t", "cat", "-m", "Kitty", "-r", "-q", "1"),
        reads=command("mosquitto_sub", "-p", "PORT", "-t", "cat", "-C", "1", "-W", "10", expected="Kitty"),
        debian=common("mosquitto"),
    ),
    Program(
        "HAProxy",
        "",
        configured(HAPROXY, "haproxy", "-W", "-db", "-f", CONF),
        answers=http("/", "from haproxy"),
        debian=common("haproxy"),
    ),
    Program(
        "Caddy",
        "",
        configured(CADDYFILE, "caddy", "run", "--adapter", "caddyfile", "--config", CONF),
        answers=http("/", "from caddy"),
        debian=common("caddy"),
    ),
    Program(
        "lighttpd",
        "",
        configured(LIGHTTPD, "lighttpd", "-D", "-f", CONF),
        answers=http("/conf", "server.port"),
        debian=common("lighttpd"),
    ),
    Program(
        "memcached",
        "",
        ["memcached", "-u", "root", "-l", "127.0.0.1", "-p", "$PORT"],
        answers=tcp("version\r\nquit\r\n", "VERSION"),
        debian=common("memcached"),
    ),
    Program(
        "Syncthing",
        "",
        [
            "syncthing", "serve", "--no-browser", "--no-restart", "--home", "$ATEK_DATA_DIR",
            "--gui-address", "unix://$ATEK_ASSIGNED_SOCKET_FILE",
        ],
        answers=http("/", "Syncthing"),
        manifest={},
        debian=common("syncthing"),
    ),
]  # fmt: skip
