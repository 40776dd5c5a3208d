"""From PyPI."""

from __future__ import annotations

from tests.programs.program import Program, after, http

FASTAPI = """
import os
from pathlib import Path
from fastapi import FastAPI

app, names = FastAPI(), Path(os.environ["ATEK_DATA_DIR"], "names")

@app.get("/")
async def read() -> list[str]:
    return names.read_text().split() if names.exists() else []

@app.post("/{name}")
async def add(name: str) -> None:
    with names.open("a") as file:
        file.write(f"{name}\\n")
"""
FLASK = """
import os
from pathlib import Path
from flask import Flask

app, names = Flask(__name__), Path(os.environ["ATEK_DATA_DIR"], "names")

@app.get("/")
def read() -> list[str]:
    return names.read_text().split() if names.exists() else []

@app.post("/<name>")
def add(name: str) -> str:
    with names.open("a") as file:
        file.write(f"{name}\\n")
    return "ok"
"""
STREAMLIT = """
import streamlit
streamlit.title("A page")
"""
SYNAPSE = """
cd "$ATEK_DATA_DIR" || exit
python -m synapse.app.homeserver --server-name localhost --config-path "$ATEK_DATA_DIR/homeserver.yaml" \\
  --data-directory "$ATEK_DATA_DIR" --generate-config --report-stats no || exit
cat > "$ATEK_DATA_DIR/more.yaml" <<END
listeners: [{port: $PORT, bind_addresses: [127.0.0.1], type: http, resources: [{names: [client]}]}]
enable_registration: true
enable_registration_without_verification: true
trusted_key_servers: []
END
exec python -m synapse.app.homeserver -c "$ATEK_DATA_DIR/homeserver.yaml" -c "$ATEK_DATA_DIR/more.yaml"
"""
HOME_ASSISTANT = """
cat > "$ATEK_DATA_DIR/configuration.yaml" <<END
http: {server_host: 127.0.0.1, server_port: $PORT, use_x_forwarded_for: true, trusted_proxies: [127.0.0.1]}
onboarding:
END
exec hass -c "$ATEK_DATA_DIR"
"""
OWNER = (
    '{"client_id": "http://x.localhost/", "name": "K", "username": "k", "password": "s", "language": "en"}'
)
CALENDAR = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n"
)
CALENDAR += "DTSTART:20260101T000000Z\r\nSUMMARY:Kitty's birthday\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
ACCOUNT = '{"username": "kitty", "password": "a-long-secret", "auth": {"type": "m.login.dummy"}}'
LOGIN = '{"type": "m.login.password", "user": "kitty", "password": "a-long-secret"}'
NOTEBOOK = '{"type": "file", "format": "text", "content": "Kitty"}'


def pypi(*requirements: str, **files: str) -> dict[str, str]:
    named = {name.replace("_py", ".py"): text for name, text in files.items()}
    return {"requirements.txt": "".join(f"{each}\n" for each in requirements), **named}


def shell(script: str) -> list[str]:
    return ["sh", "-c", script.replace("$", "$$")]


PROGRAMS = [
    Program(
        "Datasette",
        "0.65.1",
        ["datasette", "serve", "--uds", "$ATEK_ASSIGNED_SOCKET_FILE", "--create", "$ATEK_DATA_DIR/notes.db"],
        files=pypi("datasette==0.65.1", "setuptools<81"),
        answers=http("/notes.json", "notes"),
        manifest={},
    ),
    Program(
        "Radicale",
        "3.5.8",
        [
            "radicale", "--server-hosts", "127.0.0.1:$PORT", "--auth-type", "none",
            "--storage-filesystem-folder", "$ATEK_DATA_DIR/collections",
        ],
        files=pypi("radicale==3.5.8"),
        answers=http("/.web/", "Radicale"),
        writes=after(
            http("/kitty/", method="MKCOL"),
            http("/kitty/cal/", method="MKCALENDAR"),
            http("/kitty/cal/1.ics", method="PUT", body=CALENDAR, Content_Type="text/calendar"),
        ),
        reads=http("/kitty/cal/1.ics", "Kitty's birthday"),
    ),
    Program(
        "JupyterLab",
        "4.4.10",
        [
            "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=$PORT",
            "--ServerApp.root_dir=$ATEK_DATA_DIR", "--ServerApp.allow_remote_access=True",
            "--IdentityProvider.token=secret",
        ],
        files=pypi("jupyterlab==4.4.10"),
        answers=http("/api", "version"),
        writes=http(
            "/api/contents/cat.txt", method="PUT", body=NOTEBOOK, Content_Type="application/json",
            Authorization="token secret",
        ),
        reads=http("/api/contents/cat.txt", "Kitty", Authorization="token secret"),
    ),
    Program(
        "FastAPI on uvicorn",
        "0.121.0",
        ["uvicorn", "--uds", "$ATEK_ASSIGNED_SOCKET_FILE", "app:app"],
        files=pypi("fastapi==0.121.0", "uvicorn==0.38.0", app_py=FASTAPI),
        answers=http("/"),
        manifest={},
        writes=http("/kitty", method="POST"),
        reads=http("/", "kitty"),
    ),
    Program(
        "Flask on waitress",
        "3.1.2",
        ["waitress-serve", "--host", "127.0.0.1", "--port", "$PORT", "app:app"],
        files=pypi("flask==3.1.2", "waitress==3.0.2", app_py=FLASK),
        answers=http("/"),
        writes=http("/kitty", method="POST"),
        reads=http("/", "kitty"),
    ),
    Program(
        "Streamlit",
        "1.51.0",
        ["streamlit", "run", "app.py", "--server.port", "$PORT", "--server.headless", "true"],
        files=pypi("streamlit==1.51.0", app_py=STREAMLIT),
        answers=http("/_stcore/health", "ok"),
    ),
    Program(
        "changedetection.io",
        "0.50.43",
        ["changedetection.io", "-d", "$ATEK_DATA_DIR", "-h", "127.0.0.1", "-p", "$PORT"],
        files=pypi("changedetection.io==0.50.43"),
        answers=http("/", "Change Detection"),
    ),
    Program(
        "Synapse",
        "1.142.0",
        shell(SYNAPSE),
        files=pypi("matrix-synapse==1.142.0", "prometheus-client==0.23.1"),
        answers=http("/_matrix/client/versions", "v1.1"),
        writes=http("/_matrix/client/v3/register", "kitty", method="POST", body=ACCOUNT),
        reads=http("/_matrix/client/v3/login", "@kitty:localhost", method="POST", body=LOGIN),
    ),
    Program(
        "Home Assistant",
        "2024.3.3",
        shell(HOME_ASSISTANT),
        # What it needs is newer than it by now: acme of that time does not know josepy 2.
        files=pypi("homeassistant==2024.3.3", "josepy==1.15.0"),
        answers=http("/api/onboarding", "user"),
        manifest={"port": "auto", "update": {"healthyDeadline": "300s"}},
        writes=http("/api/onboarding/users", "auth_code", method="POST", body=OWNER),
        reads=http("/api/onboarding", '"step":"user","done":true'),
    ),
    Program(
        "copyparty",
        "1.19.20",
        ["copyparty", "-i", "127.0.0.1", "-p", "$PORT", "-v", "$ATEK_DATA_DIR::rwmd"],
        files=pypi("copyparty==1.19.20"),
        answers=http("/?h", "<!DOCTYPE html>"),
        writes=http("/cat.txt", method="PUT", body="Kitty"),
        reads=http("/cat.txt", "Kitty"),
    ),
]  # fmt: skip
