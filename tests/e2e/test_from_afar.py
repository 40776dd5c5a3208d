"""A device reaches a home from afar: paired, carried, cut off, and all that must not work."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from hyper.core_services import HYPER_ID
from tests.e2e.afar import Device, Home

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Two nodes and a network that is away for a while.
pytestmark = pytest.mark.timeout(300)
MEBIBYTE = 2**20
SIZE = 64 * MEBIBYTE
PROGRAM = """
import base64, hashlib, http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade"):
            return self.mirror()
        size = int(self.path[1:] or 0)
        body = repr(sorted(self.headers.items())).encode() if not size else b"x" * size
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            data = self.rfile.read(min(left, 65536))
            if not data:
                open("cut", "w").close()
                return
            digest.update(data)
            left -= len(data)
        body = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def mirror(self):
        key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
        self.end_headers()
        while data := self.connection.recv(65536):
            self.wfile.write(data.upper())

    def log_message(self, *_): pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
HOST = "files.localhost"


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    made = Home()
    try:
        folder = made.root / "files"
        folder.mkdir()
        (folder / "main.py").write_text(PROGRAM)
        document = {"id": "files", "source": str(folder), "port": "auto"}
        made.write("files.json", json.dumps(document))
        made.up()
        made.until(lambda: made.ready("files"), "the service is ready")
        yield made
    finally:
        made.close()


@pytest.fixture
def device(home: Home) -> Iterator[Device]:
    with Device() as made:
        paired(home, made)
        yield made
        home.atek("unpair", "laptop")


def paired(home: Home, device: Device) -> str:
    """The code that it was paired with."""
    code, showing = home.pair()
    with showing:
        device.connect(code)
        device.says("paired with home")
        device.says("http://localhost:")
        assert showing.wait(30) == 0
    return code


def opened(device: Device) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", device.port, timeout=60)


def ask(device: Device, path: str = "/", *, host: str = HOST, **headers: str) -> tuple[int, bytes]:
    connection = opened(device)
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{device.port}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def reached(device: Device) -> bool:
    try:
        return ask(device)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_paired_device_has_the_home_on_its_own_port(home: Home, device: Device) -> None:
    assert ask(device)[0] == 200
    assert ask(device, "/livez", host="localhost")[0] == 200
    assert ask(device, host="evil.example")[0] == 421
    assert "laptop" in home.told("devices")
    (row,) = json.loads(home.told("devices", "--json"))
    assert row["connections"] >= 1
    file = home.home / "state" / "devices.json"
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_large_goes_both_ways(home: Home, device: Device) -> None:
    assert len(ask(device, f"/{SIZE}")[1]) == SIZE
    connection, body = opened(device), os.urandom(MEBIBYTE) * 64
    connection.request("PUT", "/", body, {"Host": HOST})
    assert connection.getresponse().read().decode() == hashlib.sha256(body).hexdigest()
    connection.close()


def test_who_sends_is_known_by_the_tunnel_and_not_by_what_it_says(home: Home, device: Device) -> None:
    said = {
        "Atek-Auth-User": "eve",
        "Atek_Auth_Service": "eve",
        "Remote-User": "eve",
        "X-Forwarded-User": "eve",
    }
    status, body = ask(device, **said)
    assert status == 200
    assert b"eve" not in body
    forged = json.dumps({"noiseKey": "ab" * 32, "secret": ""})
    with socket.create_connection(("127.0.0.1", device.port)) as raw:
        raw.sendall(f"{forged}\n\r\nGET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert b" 400 " in raw.recv(4096)


def upgraded(device: Device) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", device.port), timeout=30)
    head = (
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: a2V5a2V5a2V5a2V5a2V5aw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert b" 101 " in connection.recv(4096)
    return connection


def test_websockets_go_through(home: Home, device: Device) -> None:
    with upgraded(device) as connection:
        for _ in range(3):
            connection.sendall(b"hello")
            assert connection.recv(100) == b"HELLO"


def test_who_is_unpaired_is_cut_off_in_the_middle_of_an_upload(home: Home, device: Device) -> None:
    with upgraded(device) as socket_, socket.create_connection(("127.0.0.1", device.port)) as upload:
        upload.sendall(f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        upload.sendall(b"x" * MEBIBYTE)
        home.told("unpair", "laptop")
        begin = time.monotonic()
        for each in (upload, socket_):
            each.settimeout(5)
            assert ended(each)
        assert time.monotonic() - begin < 1.0
    assert not reached(device)
    assert json.loads(home.told("devices", "--json")) == []
    paired_again = home.atek("unpair", "laptop")
    assert paired_again.returncode == 1


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(4096) == b""
    except ConnectionError:
        return True


def test_a_code_is_good_once_and_a_wrong_one_never(home: Home) -> None:
    with Device() as one, Device("thief") as other:
        code = paired(home, one)
        other.connect("0" + code[1:] if code[0] != "0" else "1" + code[1:])
        other.says("that is no code")
        assert other.status() == 1
        before = home.told("devices", "--json")
        # The meeting of the used code is over: nobody answers there any more.
        other.connect(code)
        time.sleep(5)
        assert json.loads(home.told("devices", "--json"))[0]["key"] == json.loads(before)[0]["key"]
        assert len(json.loads(home.told("devices", "--json"))) == 1
        home.told("unpair", "laptop")


def test_a_daemon_that_is_killed_and_a_silent_network_are_got_over(home: Home, device: Device) -> None:
    pid = home.pid(HYPER_ID)
    os.kill(pid, signal.SIGSTOP)
    try:
        device.says("does not answer")
        time.sleep(2)
    finally:
        os.kill(pid, signal.SIGCONT)
    device.says("http://localhost:")
    assert reached(device)
    with upgraded(device) as connection:
        home.kill_daemon()
        assert ended(connection)
    home.until(lambda: reached(device), "it is reached again")


def test_a_node_that_was_killed_knows_its_devices(home: Home, device: Device) -> None:
    home.kill()
    home.up()
    home.until(lambda: reached(device), "it is reached again")


def test_a_device_comes_back_by_the_homes_name(home: Home, device: Device) -> None:
    device.end()
    device.connect("home")
    device.says("http://localhost:")
    assert reached(device)
    device.end()
    device.connect("elsewhere")
    device.says("no home called elsewhere")
    assert device.status() == 1
